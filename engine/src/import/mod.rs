//! Bringing in what the backends of the documents have stored: accounts with their passwords' hashes, conversations and their messages.
//!
//! A second run adds what is new since the first: the store lists what every row of another backend's became here.

mod people;
mod report;
mod tables;
mod talks;

use crate::config::DatabaseSettings;
use crate::domain::Clock;
use crate::store::{Db, Reader, StoreError};

pub use report::{Counts, ImportReport, Note};

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
    /// Whose database it is.
    pub kind: ImportKind,
    /// Tells this database from another of the same kind.
    pub source: String,
    /// Looks, and changes nothing.
    pub dry_run: bool,
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
    /// Our own database cannot be written.
    #[error("database: {0}")]
    Target(#[from] StoreError),
}

/// Brings in what that database holds. What came in before an error stays, and the next run goes on from there.
///
/// # Errors
/// When one of the databases cannot be used, or the other one is not what the options say.
pub async fn import(
    db: &Db,
    from: &DatabaseSettings,
    options: &ImportOptions,
    clock: &Clock,
) -> Result<ImportReport, ImportError> {
    let mut reader = Reader::open(from).await.map_err(ImportError::Source)?;
    let tables = tables::Tables::find(&mut reader, options.kind).await?;
    let mut report = ImportReport { left_alone: tables.left_alone.clone(), ..ImportReport::default() };
    let owners = people::import(db, &mut reader, &tables, options, clock, &mut report).await?;
    talks::import(db, reader, &tables, options, clock, owners, &mut report).await?;
    Ok(report)
}
