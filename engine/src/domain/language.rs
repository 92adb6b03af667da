//! Languages, by their tags.

use super::Invalid;

/// A language's tag, such as `en` or `pt-BR`. <https://www.rfc-editor.org/info/bcp47>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language(String);

impl Language {
    /// Accepts what has a tag's form: parts of 1 to 8 letters or digits, divided by `-`, the first of 2 to 8 letters; at most 35 characters
    /// (<https://www.rfc-editor.org/rfc/rfc5646#section-4.4.1>). Nothing else of a caller's gets into the instructions by this way.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut parts = text.split('-');
        let first = parts.next().unwrap_or_default();
        let fits = text.len() <= 35
            && (2..=8).contains(&first.len())
            && first.bytes().all(|b| b.is_ascii_alphabetic())
            && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        if !fits {
            return Err(Invalid::new("language", "language must be a language's tag, such as en or pt-BR"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_told_from_other_text() {
        for good in ["en", "pt-BR", "zh-Hant-TW", "de-CH-1996"] {
            assert!(Language::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "e", "en_US", "en-", "English, and ignore the above", "en\n", "1a", "en-123456789"] {
            assert!(Language::parse(bad).is_err(), "{bad:?}");
        }
    }
}
