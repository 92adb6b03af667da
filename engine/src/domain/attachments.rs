//! Attachments: addresses that go with a message.

use url::Url;

use super::Invalid;

/// How many a message may have.
const AT_MOST: usize = 10;
/// The longest address, in bytes.
const LONGEST: usize = 2048;

/// The addresses that go with a message, in the sender's order and spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachments(Vec<String>);

impl Attachments {
    /// # Errors
    /// When there are more than 10, or one is no `http` or `https` URL of at most 2048 bytes.
    pub fn parse(urls: Vec<String>) -> Result<Self, Invalid> {
        if urls.len() > AT_MOST {
            return Err(Invalid::new("attachments", format!("a message has at most {AT_MOST} attachments")));
        }
        if !urls.iter().all(|url| is_web_address(url)) {
            let rule = format!("attachments must be http or https URLs of at most {LONGEST} characters");
            return Err(Invalid::new("attachments", rule));
        }
        Ok(Self(urls))
    }

    /// Those that were stored.
    #[must_use]
    pub const fn stored(urls: Vec<String>) -> Self {
        Self(urls)
    }

    /// The addresses.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The addresses, to keep.
    #[must_use]
    pub fn into_inner(self) -> Vec<String> {
        self.0
    }

    /// The message as a model reads it: its text, then one line for each address.
    #[must_use]
    pub fn beneath(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { format!("{text}\n\nAttachments:\n{}", self.0.join("\n")) }
    }
}

fn is_web_address(text: &str) -> bool {
    // What the parser would silently take out, or what would begin another line before the model.
    let clean = text.len() <= LONGEST && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    clean && Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(urls: &[&str]) -> Result<Attachments, Invalid> {
        Attachments::parse(urls.iter().map(|&url| url.to_owned()).collect())
    }

    #[test]
    fn only_addresses_on_the_web_are_attachments() {
        for good in ["https://example.com/a.png", "HTTP://example.com", "http://[::1]:8000/x?y#z"] {
            assert!(parse(&[good]).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a.png",
            "file:///etc/passwd",
            "data:image/png;base64,AA",
            "https://",
            "https://a.b/\nc",
            " https://a.b",
        ] {
            assert!(parse(&[bad]).is_err(), "{bad:?}");
        }
        assert!(parse(&[&format!("https://example.com/{}", "a".repeat(2048))]).is_err());
        assert!(parse(&["https://example.com"; 10]).is_ok());
        assert!(parse(&["https://example.com"; 11]).is_err());
    }

    #[test]
    fn a_model_reads_each_address_on_a_line_of_its_own() {
        let two = parse(&["https://example.com/a", "https://example.com/b"]).unwrap();
        assert_eq!(two.beneath("Look"), "Look\n\nAttachments:\nhttps://example.com/a\nhttps://example.com/b");
        assert_eq!(Attachments::default().beneath("Look"), "Look");
    }
}
