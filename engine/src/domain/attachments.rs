//! Attachments: addresses that go with a message, of files of its sender's and of things on the web.

use url::Url;

use super::{FileId, Invalid};

/// How many a message may have.
const AT_MOST: usize = 10;
/// The longest address, in bytes.
const LONGEST: usize = 2048;
/// How the paths of pictures on the web end.
const PICTURES: [&str; 5] = [".png", ".jpg", ".jpeg", ".gif", ".webp"];

/// The addresses that go with a message, in the sender's order. Those of files are paths on this server, as [`FileId::address`] writes them;
/// the others are in the sender's spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachments(Vec<String>);

impl Attachments {
    /// Each is a file's id, its address (as a path, or beneath `public_url`, where people reach this server), or an address on the web.
    ///
    /// # Errors
    /// When there are more than 10, or one is neither a file's nor an `http` or `https` URL of at most 2048 bytes.
    pub fn parse(given: Vec<String>, public_url: &str) -> Result<Self, Invalid> {
        if given.len() > AT_MOST {
            return Err(Invalid::new("attachments", format!("a message has at most {AT_MOST} attachments")));
        }
        let addresses = given.into_iter().map(|text| match file_of(&text, public_url) {
            Some(id) => Some(id.address()),
            None => is_web_address(&text).then_some(text),
        });
        let rule = || {
            let rule =
                format!("attachments must be ids of files, or http or https URLs of at most {LONGEST} characters");
            Invalid::new("attachments", rule)
        };
        addresses.collect::<Option<_>>().map(Self).ok_or_else(rule)
    }

    /// Those that were stored.
    #[must_use]
    pub const fn stored(addresses: Vec<String>) -> Self {
        Self(addresses)
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

    /// Those that are files, each once.
    #[must_use]
    pub fn files(&self) -> Vec<FileId> {
        let mut ids = Vec::new();
        for id in self.0.iter().filter_map(|address| FileId::of_address(address)) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// How many are pictures on the web, as far as their addresses tell.
    #[must_use]
    pub fn web_pictures(&self) -> usize {
        self.0.iter().filter(|address| is_web_picture(address)).count()
    }

    /// The message as a model reads it: its text, then one line for each address.
    #[must_use]
    pub fn beneath(&self, text: &str) -> String {
        listed_beneath(text, &self.0)
    }
}

/// A text, then one line for each thing that goes with it.
#[must_use]
pub fn listed_beneath(text: &str, lines: &[String]) -> String {
    if lines.is_empty() { text.to_owned() } else { format!("{text}\n\nAttachments:\n{}", lines.join("\n")) }
}

/// Whether the address of something on the web ends as a picture's does.
#[must_use]
pub fn is_web_picture(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let path = url.path().to_ascii_lowercase();
    PICTURES.iter().any(|ending| path.ends_with(ending))
}

fn file_of(text: &str, public_url: &str) -> Option<FileId> {
    let path = text.strip_prefix(public_url).unwrap_or(text);
    FileId::of_address(path).or_else(|| text.parse().ok())
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
        Attachments::parse(urls.iter().map(|&url| url.to_owned()).collect(), "https://chat.example")
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
    fn a_file_is_named_by_its_id_or_its_address_and_kept_as_its_path() {
        let path = "/api/v1/files/1234567890123456/content";
        let spellings = [path, "1234567890123456", "/api/v1/files/1234567890123456"];
        let absolute = format!("https://chat.example{path}");
        for spelling in spellings.into_iter().chain([absolute.as_str()]) {
            assert_eq!(parse(&[spelling]).unwrap().as_slice(), [path], "{spelling}");
        }
        let elsewhere = format!("https://other.example{path}");
        let mixed = parse(&[path, &elsewhere, path]).unwrap();
        assert_eq!(mixed.as_slice(), [path, &elsewhere, path]);
        assert_eq!(mixed.files(), [FileId::new(1_234_567_890_123_456).unwrap()]);
        for bad in ["/api/v1/files/x", "0", "12345678901234567", "/etc/passwd"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn pictures_on_the_web_are_known_by_their_paths() {
        for picture in ["https://a.example/b.PNG", "http://a.example/c/d.jpeg?size=2#x", "https://a.example/.webp"] {
            assert!(is_web_picture(picture), "{picture}");
        }
        for other in ["https://a.example/b.svg", "https://a.png", "https://a.example/?b.png", "/api/v1/files/1/content"]
        {
            assert!(!is_web_picture(other), "{other}");
        }
        assert_eq!(parse(&["https://a.example/b.png", "https://a.example/b"]).unwrap().web_pictures(), 1);
    }

    #[test]
    fn a_model_reads_each_address_on_a_line_of_its_own() {
        let two = parse(&["https://example.com/a", "https://example.com/b"]).unwrap();
        assert_eq!(two.beneath("Look"), "Look\n\nAttachments:\nhttps://example.com/a\nhttps://example.com/b");
        assert_eq!(Attachments::default().beneath("Look"), "Look");
    }
}
