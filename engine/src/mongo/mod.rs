//! MongoDB, where finished turns and events are also written: what is written there, and to whom. What becomes of failures is the business of
//! whoever writes (`jobs/outbox.rs`).

#[cfg(not(feature = "mongodb"))]
mod absent;
#[cfg(feature = "mongodb")]
mod commands;
#[cfg(feature = "mongodb")]
mod driver;

use crate::domain::Timestamp;
use crate::store::FinishedTurn;

#[cfg(not(feature = "mongodb"))]
pub use absent::Mongo;
#[cfg(feature = "mongodb")]
pub use driver::Mongo;

/// Why nothing was written. Never the server's own words, which may hold what people say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MongoError {
    /// This program has no driver.
    #[error("this Parlor was built without MongoDB (its feature `mongodb`)")]
    NotBuilt,
    /// The setting cannot be used.
    #[error("shared.mongo_uri is no connection string that the driver can use")]
    Uri,
    /// There is no server.
    #[error("no MongoDB server can be reached")]
    Unreachable,
    /// It does not answer in time.
    #[error("MongoDB does not answer")]
    TimedOut,
    /// It does not let us in.
    #[error("MongoDB does not accept the name or the password")]
    NotLetIn,
    /// It refuses, with a code of its own.
    #[error("MongoDB: error {0}")]
    Refused(i32),
    /// Anything else.
    #[error("MongoDB's driver failed")]
    Failed,
}

/// Something to write. Writing it again changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A finished turn, with what was said in it.
    PutTurn(Box<FinishedTurn>),
    /// Something that happened.
    PutEvent(EventDocument),
    /// The turns of a conversation go.
    EraseConversation(i64),
    /// The turns of an account go, and its events are nobody's.
    EraseAccount(i64),
}

/// Something that happened, as a document of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDocument {
    /// Its `_id`.
    pub id: String,
    /// What happened, such as `turn_finished`.
    pub event: &'static str,
    /// When.
    pub at: Timestamp,
    /// What else is known of it.
    pub fields: Vec<(&'static str, EventValue)>,
}

/// What a field of an event holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventValue {
    /// Nothing.
    Null,
    /// A number, or an id.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// A word.
    Text(String),
}

impl From<i64> for EventValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for EventValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<String> for EventValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for EventValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
