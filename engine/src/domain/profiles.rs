//! What people say of themselves, and what they have agreed to.

use super::{Invalid, Timestamp};

/// A first or a last name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonName(String);

impl PersonName {
    /// # Errors
    /// When it is empty, longer than 100 characters, or holds a control character.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Invalid> {
        printable(field, text, 100).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an account's owner says of themselves, beside what they sign in with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// When the owner of the account proved to read mail at its address.
    pub email_verified_at: Option<Timestamp>,
}

/// One answer to one question, such as whether a version of the terms is agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// What is agreed to.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is agreed to.
    pub is_granted: bool,
    /// When that was said.
    pub created_at: Timestamp,
}

/// An answer to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsent {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) is_granted: bool,
}

impl NewConsent {
    /// # Errors
    /// When the name is not 1 to 64 of `a-z`, `0-9`, `_`, `.` and `-`, or the version not 1 to 64 printable characters.
    pub fn parse(name: &str, version: &str, is_granted: bool) -> Result<Self, Invalid> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(good) {
            return Err(Invalid::new("name", "name must have 1 to 64 of a-z, 0-9, _, . and -"));
        }
        Ok(Self { name: name.to_owned(), version: printable("version", version, 64)?, is_granted })
    }
}

fn printable(field: &'static str, text: &str, most: usize) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(Invalid::new(field, format!("{field} must have 1 to {most} printable characters")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_and_not_endless() {
        assert!(PersonName::parse("first_name", "Zoë Ann").is_ok());
        for bad in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert!(PersonName::parse("first_name", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_consent_has_a_plain_name_and_a_version() {
        assert!(NewConsent::parse("terms-of-use", "2026-01", true).is_ok());
        assert!(NewConsent::parse("Terms", "1", true).is_err());
        assert!(NewConsent::parse("", "1", true).is_err());
        assert!(NewConsent::parse("terms", "", true).is_err());
    }
}
