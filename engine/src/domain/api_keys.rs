//! API keys: what a program calls with, and how far it may go.

use super::{ApiKeyId, Invalid, Timestamp};

/// Something that an API key may be allowed. A person who has signed in may do all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read what its account may read.
    Read,
    /// Send messages, and change conversations.
    Chat,
    /// Change the account itself: its API keys, password, sessions and profile. Includes `read` and `chat`.
    Account,
    /// Use the account's role, where that is more than `user`. Includes `read` and `chat`.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Chat, Self::Account, Self::Admin];

    /// The word that the database and the wire use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Chat => "chat",
            Self::Account => "account",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Chat => 2,
            Self::Account => 4,
            Self::Admin => 8,
        }
    }

    /// The bits of every scope that includes this one.
    const fn granted_by(self) -> u8 {
        match self {
            Self::Read | Self::Chat => self.bit() | Self::Account.bit() | Self::Admin.bit(),
            Self::Account | Self::Admin => self.bit(),
        }
    }
}

/// A set of scopes; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Reads their words.
    ///
    /// # Errors
    /// When there is none, or one that does not exist.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, Invalid> {
        let mut bits = 0;
        for word in words {
            let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
            bits |= scope.ok_or_else(|| Invalid::new("scopes", "scopes are read, chat, account and admin"))?.bit();
        }
        if bits == 0 { Err(Invalid::new("scopes", "at least one scope is required")) } else { Ok(Self(bits)) }
    }

    /// Whether they allow `scope`.
    #[must_use]
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & scope.granted_by() != 0
    }

    /// Whether `other` allows nothing that these do not.
    #[must_use]
    pub fn cover(self, other: Self) -> bool {
        Scope::ALL.into_iter().all(|scope| self.allow(scope) || !other.allow(scope))
    }

    /// Their words, in a fixed order.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        Scope::ALL.into_iter().filter(|scope| self.0 & scope.bit() != 0).map(Scope::as_str).collect()
    }
}

/// What its owner calls a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyName(String);

impl ApiKeyName {
    /// # Errors
    /// When it is empty, longer than 100 characters, or holds a control character.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
            return Err(Invalid::new("name", "name must have 1 to 100 printable characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A row of `api_keys`, without the key's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What its owner calls it.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; `None`: when it is deleted.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn scopes(words: &str) -> Scopes {
        Scopes::parse(words.split(' ')).unwrap()
    }

    #[test]
    fn a_scope_allows_itself_and_what_it_includes() {
        assert!(scopes("read").allow(Scope::Read));
        assert!(!scopes("read").allow(Scope::Chat));
        assert!(!scopes("chat").allow(Scope::Read));
        assert!(scopes("admin").allow(Scope::Chat));
        assert!(!scopes("admin").allow(Scope::Account));
        assert!(!scopes("read chat account").allow(Scope::Admin));
    }

    #[test]
    fn scopes_cover_no_more_than_they_allow() {
        assert!(scopes("account").cover(scopes("read chat")));
        assert!(!scopes("account").cover(scopes("admin")));
        assert!(!scopes("chat").cover(scopes("chat account")));
    }

    #[test]
    fn unknown_words_and_none_at_all_are_no_scopes() {
        assert!(Scopes::parse(["root"]).is_err());
        assert!(Scopes::parse(["read", ""]).is_err());
        assert!(Scopes::parse([]).is_err());
        assert_eq!(scopes("chat read chat").words(), ["read", "chat"]);
    }
}
