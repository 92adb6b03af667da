//! Accounts: who may call.

use secrecy::{ExposeSecret, SecretString};

use super::{AccountId, AccountQuota, Invalid, Preferences, Timestamp};

/// The shortest password, in characters.
pub const PASSWORD_MIN: usize = 8;
/// The longest password, in characters; every one of them counts.
pub const PASSWORD_MAX: usize = 128;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccountRole {
    /// Named by a request's body, without a login.
    Guest,
    /// Registered.
    User,
    /// May also write the knowledge base.
    Editor,
    /// May do everything.
    Admin,
}

impl AccountRole {
    /// The word that the database and the wire use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::User => "user",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// The role of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Guest, Self::User, Self::Editor, Self::Admin].into_iter().find(|role| role.as_str() == word)
    }
}

/// The surface whose guests an account belongs to; guests of one never meet those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestRealm {
    /// `POST /chat` and its kin.
    Classic,
    /// `POST /chat-message` and its kin.
    FullChatbot,
}

impl GuestRealm {
    /// The word that the database uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::FullChatbot => "full_chatbot",
        }
    }
}

/// A row of `accounts`, without its password.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What it may do.
    pub role: AccountRole,
    /// As its owner wrote it.
    pub email: Option<String>,
    /// As its owner wrote it.
    pub username: Option<String>,
    /// The name by which a guest is known to its surface.
    pub guest_key: Option<String>,
    /// False: nothing it holds opens anything.
    pub is_active: bool,
    /// Goes up when everything issued so far must stop working; access tokens carry it.
    pub token_version: i64,
    /// How its owner wants to be answered.
    pub preferences: Preferences,
    /// What an admin allows it, in the stead of what the settings say.
    pub quotas: Vec<AccountQuota>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An e-mail address, as written, and the key under which it is unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    text: String,
    key: String,
}

impl Email {
    /// Accepts what the HTML standard accepts as a valid e-mail address, with a dot in the domain.
    /// <https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address>
    ///
    /// # Errors
    /// When it is no address, or longer than 254 characters (RFC 5321's limit).
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("email", "value is not a valid email address");
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b));
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() > 254 || !local_ok || !domain.contains('.') || !domain.split('.').all(label_ok) {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), key: text.to_ascii_lowercase() })
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Lower case: one account per address, however it is spelt.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// A user name, as written, and the key under which it is unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    text: String,
    key: String,
}

impl Username {
    /// # Errors
    /// When it is not 1 to 64 letters, digits, `.`, `_` or `-`. An `@` is refused, so that a name is never an e-mail address.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let fits = (1..=64).contains(&text.chars().count())
            && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if !fits {
            return Err(Invalid::new("username", "username must be 1 to 64 letters, digits, '.', '_' or '-'"));
        }
        Ok(Self { text: text.to_owned(), key: text.to_lowercase() })
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Lower case.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// A password that may be set: its length is right. Does not print.
#[derive(Debug, Clone)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// # Errors
    /// When it has fewer than 8 or more than 128 characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&text.chars().count()) {
            return Err(Invalid::new(
                "password",
                format!("password must have {PASSWORD_MIN} to {PASSWORD_MAX} characters"),
            ));
        }
        Ok(Self(SecretString::from(text)))
    }

    /// Its bytes, for hashing.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// The name that a body gives its user on the surfaces without a login.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuestKey(String);

impl GuestKey {
    /// # Errors
    /// When it is empty, longer than 255 characters, or holds a control character.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.chars().count() > 255 || text.chars().any(char::is_control) {
            return Err(Invalid::new("user_id", "user_id must have 1 to 255 printable characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in ["user@example.com", "a.b+c@sub.example.co", "O'Neil@example.org"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "user",
            "@example.com",
            "user@",
            "a b@example.com",
            "user@example",
            "user@-a.com",
            "a..b@c.de",
            "a@b..de",
            "a@b.de\u{0}",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_unique_whatever_its_case() {
        assert_eq!(Email::parse("User@Example.COM").unwrap().key(), "user@example.com");
    }

    #[test]
    fn passwords_have_eight_to_a_hundred_and_twenty_eight_characters() {
        assert!(NewPassword::parse("1234567").is_err());
        assert!(NewPassword::parse("12345678").is_ok());
        assert!(NewPassword::parse(&"ü".repeat(128)).is_ok());
        assert!(NewPassword::parse(&"a".repeat(129)).is_err());
        assert!(!format!("{:?}", NewPassword::parse("SuperSecret123!").unwrap()).contains("Super"));
    }

    #[test]
    fn a_user_name_is_never_an_address() {
        assert!(Username::parse("testuser").is_ok());
        assert!(Username::parse("a@b.de").is_err());
        assert!(Username::parse("").is_err());
    }
}
