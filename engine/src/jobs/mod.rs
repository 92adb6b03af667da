//! Work that nobody waits for: one file per job. A [`Job`] says how its kind is done; a [`Worker`] claims jobs from the database's queue and does
//! them, and enqueues those that recur.
//!
//! A job is done at least once: a worker that goes away in the middle of it leaves it to another. So each does the same when it is done again.

mod indexer;
mod outbox;
mod registry;
mod release_files;
mod release_reservations;
mod remove_ended_jobs;
mod remove_expired;
mod remove_moderation_events;
mod run;
mod scheduler;
mod tidy_search_index;
mod watch;
mod worker;

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::domain::Timestamp;
use crate::store::{NewJob, StoreError};

pub use registry::Registry;
pub use watch::watch_queue;
pub use worker::{Pace, Worker};

/// Rows removed in one transaction at most, so that messages never wait long for it.
const BATCH: i64 = 500;

/// A kind of work.
pub trait Job: Send + Sync {
    /// Its name, in the database and in what recurs: `schedules.<kind>` says when.
    fn kind(&self) -> &'static str;

    /// How long it may take, and how often it is tried.
    fn bounds(&self) -> Bounds {
        Bounds::DEFAULT
    }

    /// Does it. It may be done again after it was done, and be dropped at any await.
    fn run<'a>(&'a self, app: &'a App, payload: &'a Payload) -> BoxFuture<'a, Result<(), JobError>>;
}

/// What a kind of work may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long one attempt may take; what takes longer has failed.
    pub timeout: Duration,
    /// How often it is tried; then it is a dead letter.
    pub max_attempts: u32,
    /// The wait before the second attempt, doubled before each further one, up to an hour; up to half of it is left to chance.
    pub first_wait: Duration,
}

impl Bounds {
    /// For work within the database.
    pub const DEFAULT: Self =
        Self { timeout: Duration::from_secs(300), max_attempts: 5, first_wait: Duration::from_secs(10) };
}

/// What a job needs to know, as JSON: ids, never what people say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(pub String);

impl Payload {
    /// For jobs that need to know nothing.
    #[must_use]
    pub fn none() -> Self {
        Self("{}".to_owned())
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`JobError::Payload`].
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, JobError> {
        serde_json::from_str(&self.0).map_err(|_| JobError::Payload)
    }
}

/// Why a job failed. Its text is kept with the job and shown to admins: it holds nothing that people say.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The database.
    #[error("database: {0}")]
    Store(#[from] StoreError),
    /// The payload is not what the job reads: trying again does not help.
    #[error("the payload does not hold what this kind of job needs")]
    Payload,
    /// It took longer than it may.
    #[error("it took longer than {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It panicked.
    #[error("it panicked")]
    Panicked,
    /// Something else, in words that hold nothing of people.
    #[error("{0}")]
    Failed(&'static str),
}

/// A new job of that kind, to be done as soon as possible: for [`crate::store::enqueue_job`] in a transaction of the application, or
/// [`crate::store::Db::enqueue_job`].
#[must_use]
pub fn new_job(job: &dyn Job, payload: &Payload, now: Timestamp) -> NewJob {
    NewJob {
        kind: job.kind(),
        payload: payload.0.clone(),
        max_attempts: i64::from(job.bounds().max_attempts),
        run_at: now,
        unique_key: None,
        now,
    }
}
