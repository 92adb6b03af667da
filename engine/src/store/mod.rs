//! The database: one [`Db`], one file per noun, one transaction per function.
//!
//! SQL is written once, portably, with `?` for parameters, times as microseconds and ids that the schema counts up. What differs by
//! database stands in `dialect.rs` alone.

mod account_changes;
mod accounts;
mod api_keys;
mod backup;
mod consents;
mod conversations;
mod dialect;
mod error;
mod feedback;
mod files;
mod imports;
mod inspect;
mod jobs;
mod leases;
mod mail_tokens;
mod messages;
mod migrations;
mod moderation;
mod outbox;
mod personal_data;
mod profiles;
mod quotas;
mod reader;
mod refresh_tokens;
mod schedules;
mod search;
mod server;
mod servers;
mod sessions;
mod shares;
mod sqlite;
mod standing;
mod threads;
mod tool_calls;
mod transfer;
mod turns;
mod tx;
mod usage;

use std::hash::Hash;

use futures_util::future::BoxFuture;

use crate::config::{DatabaseSettings, DatabaseUrl};
use crate::domain::ServerId;

pub use account_changes::{AccountUpdate, ListAccounts, Updated};
pub use accounts::{AccountRecord, NewAccount};
pub use api_keys::{ApiKeyRecord, NewApiKey};
pub use backup::{BackupError, back_up, restore};
pub use conversations::{ConversationChange, ConversationFilter, ConversationPlace};
pub use error::StoreError;
pub use feedback::FeedbackOutcome;
pub use files::{FilePlace, FileQuota};
pub use imports::{
    ImportOutcome, ImportedAccount, ImportedAs, ImportedConversation, ImportedKind, ImportedMessage, ImportedRow,
};
pub use inspect::{ColumnInfo, TableInfo};
pub use jobs::{Claim, ClaimedJob, Due, JobEnd, JobRecord, ListJobs, NewJob, QueueState, enqueue_job};
pub use mail_tokens::{MailPurpose, NewMailToken};
pub use messages::{ContextMessage, MessageRow};
pub use migrations::{MigrationState, PlannedMigration};
pub use moderation::{ListModerationEvents, ModerationEvent, NewModerationEvent};
pub use outbox::{FinishedTurn, Happened, OutboxState, Told};
pub use personal_data::LedgerRow;
pub use profiles::ProfileChange;
pub use quotas::{NewReservation, OverQuota, QuotaCount, Reserved};
pub use reader::{Kind, Reader, Value, Values};
pub use refresh_tokens::{NewRefreshToken, RefreshTokenRecord};
pub use schedules::{NewSchedule, ScheduleRecord};
pub use search::{IndexBatch, IndexState};
pub use servers::{LeftBy, OpenTurn, RollCall};
pub use sessions::SessionRecord;
pub use shares::{NewShare, SHARES_MAX, Share};
pub use standing::{Holding, Proofs};
pub use threads::{AnswerTurn, Thread, ThreadMessage};
pub use tool_calls::{StoredToolCall, ToolRound};
pub use transfer::{TransferError, TransferEvent, TransferReport, TransferredTable, transfer};
pub use turns::{
    Begun, Branch, FinishTurn, KeptCall, NewTurn, Opened, OrphanTurn, SIBLINGS_MAX, TurnQuota, TurnRecord,
};
pub use tx::{Column, Param, Row, Tx};
pub use usage::{CallBill, LedgerEntry, ReportRow, UsageColumn, UsageRow, UsageSums};

use server::{Mysql, Postgres};
use sqlite::{Callers, Lately, Sqlite};

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    backend: Backend,
    server: ServerId,
    /// Whether what happens is also kept in the outbox.
    has_outbox: bool,
}

#[derive(Debug, Clone)]
enum Backend {
    Sqlite(Sqlite),
    Postgres(Postgres),
    Mysql(Mysql),
}

/// Who opens the database, and so what else may be at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenAs {
    /// A server: on SQLite the only one; elsewhere one of any number.
    Server,
    /// A command that does one thing beside a running server.
    Command,
}

impl Db {
    /// Opens the database that the settings name, making the file when there is none; a database server is first asked when there is
    /// something to ask. Changes no schema: see [`Db::migrate`].
    ///
    /// # Errors
    /// When it cannot be opened, or is in use by another server.
    pub fn open(settings: &DatabaseSettings, who: OpenAs) -> Result<Self, StoreError> {
        let backend = match &settings.url {
            DatabaseUrl::Sqlite(path) => Backend::Sqlite(Sqlite::open(path, settings.busy_timeout, who)?),
            DatabaseUrl::Postgres(url) => Backend::Postgres(Postgres::open(url, settings)?),
            DatabaseUrl::Mysql { url, ssl_ca } => Backend::Mysql(Mysql::open(url, ssl_ca.as_deref(), settings)?),
        };
        let server = ServerId::random(&mut rand::rng());
        Ok(Self { backend, server, has_outbox: settings.has_outbox })
    }

    /// Opens the database, and asks a database server for a first sign of life, so that one that is not there is told at once.
    ///
    /// # Errors
    /// As [`Db::open`] and [`Db::reach`].
    pub async fn connect(settings: &DatabaseSettings, who: OpenAs) -> Result<Self, StoreError> {
        let db = Self::open(settings, who)?;
        db.reach().await?;
        Ok(db)
    }

    /// The same database, which also keeps what happens in its outbox.
    #[must_use]
    pub fn with_outbox(self) -> Self {
        Self { has_outbox: true, ..self }
    }

    /// Asks a database server for a first sign of life. Opening SQLite has done so.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] and what else the server says.
    pub async fn reach(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(_) => Ok(()),
            Backend::Postgres(postgres) => postgres.reach().await,
            Backend::Mysql(mysql) => mysql.reach().await,
        }
    }

    /// Runs `job` in one transaction that may write. Returns after the commit: what this returns is on the disk. On a database server it is
    /// run again, from a copy, when another transaction was at the same rows.
    ///
    /// # Errors
    /// What the job returns (its changes are undone then), or what keeps the transaction from being committed.
    pub async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.write(job).await,
            // What waits for a server's socket takes 20 KB: in place it would be part of every caller, and be moved with it.
            Backend::Postgres(postgres) => Box::pin(postgres.write(job)).await,
            Backend::Mysql(mysql) => Box::pin(mysql.write(job)).await,
        }
    }

    /// As [`Db::write`], over a connection that is kept for what must not wait behind everything else. Not for SQLite, which has one writer.
    async fn write_apart<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.write(job).await,
            Backend::Postgres(postgres) => postgres.write_apart(job).await,
            Backend::Mysql(mysql) => mysql.write_apart(job).await,
        }
    }

    /// Runs `job` on one consistent state of the database, which it must not change.
    ///
    /// # Errors
    /// What the job returns, or what keeps it from running.
    pub async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.read(job).await,
            Backend::Postgres(postgres) => Box::pin(postgres.read(job)).await,
            Backend::Mysql(mysql) => Box::pin(mysql.read(job)).await,
        }
    }

    /// As [`Db::read`], for what is found by a key within microseconds: on SQLite it runs where it is asked, as handing it to another thread
    /// and back takes longer than finding it. Each query sees the newest state.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub(in crate::store) async fn look_up<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.look_up(job).await,
            Backend::Postgres(_) | Backend::Mysql(_) => self.read(job).await,
        }
    }

    /// As [`Db::look_up`], for what every request of one caller asks. On SQLite what was found last counts, until somebody is changed; who is not
    /// there is looked for each time.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub(in crate::store) async fn look_up_caller<K, T, F>(
        &self,
        lately: fn(&Callers) -> &Lately<K, T>,
        key: K,
        job: F,
    ) -> Result<Option<T>, StoreError>
    where
        K: Eq + Hash + Send,
        T: Clone + Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<Option<T>, StoreError>> + Send + 'static,
    {
        let Backend::Sqlite(sqlite) = &self.backend else { return self.read(job).await };
        let Some(version) = sqlite.callers().version() else { return sqlite.look_up(job).await };
        if let Some(known) = lately(sqlite.callers()).get(&key, version) {
            return Ok(Some(known));
        }
        let found = sqlite.look_up(job).await?;
        if let Some(found) = &found {
            lately(sqlite.callers()).note(key, found.clone(), version);
        }
        Ok(found)
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When none comes.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let file = match &self.backend {
            Backend::Sqlite(sqlite) => Some(sqlite.clone()),
            Backend::Postgres(_) | Backend::Mysql(_) => None,
        };
        // Looks at the file on the reader's thread, as all of the database's I/O.
        self.read(move |tx| {
            Box::pin(async move {
                if file.is_some_and(|file| !file.is_in_place()) {
                    return Err(StoreError::Open("its file was deleted or replaced".to_owned()));
                }
                tx.fetch_optional("SELECT CAST(1 AS BIGINT)", &[], |row| row.get::<i64>(0)).await?;
                Ok(())
            })
        })
        .await
    }

    /// How many writes and reads wait for their turn.
    #[must_use]
    pub fn queue_depths(&self) -> (usize, usize) {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.queue_depths(),
            // What waits there waits for a connection, and the pool does not tell how much.
            Backend::Postgres(_) | Backend::Mysql(_) => (0, 0),
        }
    }

    /// Finishes what waits, then closes the database. Work given to it later is refused.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.close().await,
            Backend::Postgres(postgres) => postgres.close().await,
            Backend::Mysql(mysql) => mysql.close().await,
        }
    }
}
