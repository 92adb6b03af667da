//! Bringing in what the backends of the documents have stored: accounts with their passwords' hashes, conversations and their messages.
//!
//! A second run adds what is new since the first: the store lists what every row of another backend's became here.

mod people;
mod report;
mod tables;
mod talks;
mod target;

use crate::config::DatabaseSettings;
use crate::domain::{Clock, GuestRealm};
use crate::store::{Reader, StoreError};

pub use report::{Counts, ImportReport, Note};
pub use target::Target;

/// The backends whose databases are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportKind {
    /// SQLite: `conversations` and `messages`, whose users are names.
    Classic,
    /// MySQL: `conversation_store` and `message_store`, whose users are numbers.
    FullChatbot,
    /// PostgreSQL or SQLite: `users`, `conversations` and `messages`.
    Mvp,
}

impl ImportKind {
    /// What it is called on the command line, and where no other name is given, in the list of what came in.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::FullChatbot => "full_chatbot",
            Self::Mvp => "mvp",
        }
    }
}

/// How to bring it in.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Tells this database from another of the same kind.
    pub name: String,
    /// Gives every conversation a new, random id, also where its own is free.
    pub new_ids: bool,
}

/// Why nothing, or no more, was brought in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The other backend's database cannot be read.
    #[error("the database to import: {0}")]
    Source(#[source] StoreError),
    /// It is not what was said.
    #[error("the database to import is not that of {kind}: {problem}")]
    Unlike {
        /// Whose it should be.
        kind: &'static str,
        /// What is missing.
        problem: String,
    },
    /// It is another backend's.
    #[error(
        "the database to import is not that of {kind}: {problem}. It looks like that of {other}: use --from {other}"
    )]
    OfAnother {
        /// Whose it should be.
        kind: &'static str,
        /// What tells.
        problem: String,
        /// Whose it seems to be.
        other: &'static str,
    },
    /// Our own database cannot be written.
    #[error("database: {0}")]
    Target(#[from] StoreError),
}

/// The other backend's database, with the tables that its document names.
#[derive(Debug)]
pub struct ImportSource {
    reader: Reader,
    kind: ImportKind,
    tables: tables::Tables,
}

impl ImportSource {
    /// Opens it, and makes sure that it is one of that kind.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was said.
    pub async fn open(from: &DatabaseSettings, kind: ImportKind) -> Result<Self, ImportError> {
        let mut reader = Reader::open(from).await.map_err(ImportError::Source)?;
        let tables = tables::Tables::find(&mut reader, kind).await?;
        Ok(Self { reader, kind, tables })
    }
}

/// Brings in what that database holds. What came in before an error stays, and the next run goes on from there.
///
/// # Errors
/// When one of the databases cannot be used.
pub async fn import(
    target: Target<'_>,
    source: ImportSource,
    options: &ImportOptions,
    clock: &Clock,
) -> Result<ImportReport, ImportError> {
    let ImportSource { mut reader, kind, tables } = source;
    let mut report = ImportReport { left_alone: tables.left_alone.clone(), ..ImportReport::default() };
    let owners = match &tables.users {
        Some(users) => people::import(target, &mut reader, users, options, clock, &mut report).await?,
        None if kind == ImportKind::FullChatbot => people::Owners::guests(GuestRealm::FullChatbot),
        None => people::Owners::guests(GuestRealm::Classic),
    };
    talks::import(target, reader, &tables, options, clock, owners, &mut report).await?;
    Ok(report)
}
