//! Ids: one integer per thing, at least 1 and below 2^53, so that JavaScript and VARCHAR(20) hold it exactly.

use std::{fmt, str::FromStr};

use rand::Rng;

use super::Invalid;

/// Every id is below this: the first integer that a JavaScript number cannot tell from its neighbour.
pub const ID_LIMIT: i64 = 1 << 53;

/// The smallest random id: sixteen digits always, so that ids of one kind look alike.
const RANDOM_FLOOR: i64 = 1_000_000_000_000_000;

fn checked(field: &'static str, value: i64) -> Result<i64, Invalid> {
    if (1..ID_LIMIT).contains(&value) { Ok(value) } else { Err(Invalid::new(field, "is not an id")) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// Takes an integer that a database or a client gave.
            ///
            /// # Errors
            /// When it is not in `1..2^53`.
            pub fn new(value: i64) -> Result<Self, Invalid> {
                checked($field, value).map(Self)
            }

            /// The integer itself.
            #[must_use]
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                let digits = !text.is_empty() && text.len() <= 16 && text.bytes().all(|b| b.is_ascii_digit());
                let value = if digits { text.parse().unwrap_or(0) } else { 0 };
                Self::new(value)
            }
        }
    };
}

id!(
    /// An account: counts up.
    AccountId, "user_id"
);
id!(
    /// An API key: counts up.
    ApiKeyId, "id"
);
id!(
    /// A conversation: random, so that it can neither be guessed nor counted.
    ConversationId, "conversation_id"
);
id!(
    /// A file: random, as a conversation's.
    FileId, "file_id"
);
id!(
    /// A message: counts up.
    MessageId, "message_id"
);
id!(
    /// A server, from its start to its end: random.
    ServerId, "server_id"
);
id!(
    /// A turn: counts up.
    TurnId, "turn_id"
);
id!(
    /// A link to a conversation: counts up.
    ShareId, "share_id"
);

impl ConversationId {
    /// Draws an id; the caller draws again on the rare conflict.
    pub fn random(rng: &mut impl Rng) -> Self {
        Self(rng.random_range(RANDOM_FLOOR..ID_LIMIT))
    }
}

impl ServerId {
    /// Draws an id.
    pub fn random(rng: &mut impl Rng) -> Self {
        Self(rng.random_range(RANDOM_FLOOR..ID_LIMIT))
    }
}

impl FileId {
    /// Draws an id; the caller draws again on the rare conflict.
    pub fn random(rng: &mut impl Rng) -> Self {
        Self(rng.random_range(RANDOM_FLOOR..ID_LIMIT))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_id_is_one_to_sixteen_plain_digits_below_the_limit() {
        assert_eq!("42".parse::<MessageId>().unwrap().get(), 42);
        assert_eq!("9007199254740991".parse::<MessageId>().unwrap().get(), ID_LIMIT - 1);
        for bad in ["", "0", "-1", "+1", " 1", "1.0", "9007199254740992", "99999999999999999", "abc", "१"] {
            assert!(bad.parse::<MessageId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn random_ids_have_sixteen_digits() {
        let mut rng = rand::rng();
        for _ in 0..1000 {
            assert_eq!(ConversationId::random(&mut rng).to_string().len(), 16);
        }
    }
}
