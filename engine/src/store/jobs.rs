//! The queue: jobs wait in it, are claimed by one worker at a time for as long as its lease lasts, and stay for a while when they have ended.

use super::{Db, Row, StoreError, Tx, tx::params};
use crate::domain::{JobState, Timestamp};

/// What is kept of an error, in bytes.
const ERROR_MAX: usize = 500;
/// What a job leaves whose worker went away with it once too often.
const ABANDONED: &str = "its worker went away";

/// Work to be done.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Which handler does it.
    pub kind: &'static str,
    /// What the handler needs to know, as JSON: ids, never what people say.
    pub payload: String,
    /// How often it is tried.
    pub max_attempts: i64,
    /// Not before this.
    pub run_at: Timestamp,
    /// Under a key that a job in the table has, nothing is enqueued.
    pub unique_key: Option<String>,
    /// Now.
    pub now: Timestamp,
}

/// A job in a worker's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJob {
    /// Its id.
    pub id: i64,
    /// Which handler does it.
    pub kind: String,
    /// What the handler needs to know.
    pub payload: String,
    /// How often it has been tried, this time included.
    pub attempts: i64,
    /// How often it may be.
    pub max_attempts: i64,
    /// Since when it could have run.
    pub run_at: Timestamp,
}

/// By which claim a worker has a job: a job that was claimed again is no longer its.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub id: i64,
    /// The worker.
    pub worker: String,
    /// The attempt.
    pub attempts: i64,
}

/// What becomes of a job whose handler has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// It is done.
    Done,
    /// It failed, and is tried again at that time.
    Retry(Timestamp, String),
    /// It failed for the last time.
    Dead(String),
    /// It was not tried, or not to its end, for no fault of its own: the attempt does not count.
    PutBack(Timestamp),
}

/// A job as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// Its id; they count up.
    pub id: i64,
    /// Which handler does it.
    pub kind: String,
    /// What the handler needs to know, as JSON.
    pub payload: String,
    /// Where it stands.
    pub state: JobState,
    /// How often it has been tried.
    pub attempts: i64,
    /// How often it may be.
    pub max_attempts: i64,
    /// Not before this.
    pub run_at: Timestamp,
    /// What went wrong the last time.
    pub last_error: Option<String>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it was last begun.
    pub started_at: Option<Timestamp>,
    /// When it ended for good.
    pub ended_at: Option<Timestamp>,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct ListJobs {
    /// In this state alone.
    pub state: Option<JobState>,
    /// Of this kind alone.
    pub kind: Option<String>,
    /// Older than this one.
    pub before: Option<i64>,
    /// How many.
    pub limit: i64,
}

/// How the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueState {
    /// Jobs that could run now.
    pub due: i64,
    /// Jobs whose time has not come.
    pub later: i64,
    /// Jobs that run.
    pub running: i64,
    /// Dead letters.
    pub dead: i64,
    /// Since when the oldest due job could have run.
    pub oldest_due: Option<Timestamp>,
}

/// What there is to do for workers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// Whether jobs could run.
    pub jobs: bool,
    /// Whether jobs were abandoned by their workers.
    pub abandoned: bool,
    /// The schedules whose time has come.
    pub schedules: Vec<String>,
}

/// The query for jobs, with what follows it.
macro_rules! jobs {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, payload, state, attempts, max_attempts, run_at, last_error, created_at, started_at, ended_at FROM jobs ",
            $rest
        )
    };
}

/// Enqueues a job in the transaction of whatever makes it necessary: both happen or neither. Returns its id; `None` when its unique key is taken.
///
/// # Errors
/// What the database says.
pub async fn enqueue_job(tx: &mut Tx<'_>, new: &NewJob) -> Result<Option<i64>, StoreError> {
    if let Some(key) = &new.unique_key {
        let sql = "SELECT id FROM jobs WHERE unique_key = ?";
        if tx.fetch_optional(sql, params![key], |row| row.get::<i64>(0)).await?.is_some() {
            return Ok(None);
        }
    }
    let id = tx
        .insert(
            "INSERT INTO jobs (kind, payload, max_attempts, run_at, unique_key, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            params![
                new.kind,
                &new.payload,
                new.max_attempts,
                new.run_at.micros(),
                new.unique_key.as_ref(),
                new.now.micros()
            ],
        )
        .await?;
    Ok(Some(id))
}

impl Db {
    /// [`enqueue_job`] in a transaction of its own.
    ///
    /// # Errors
    /// What the database says.
    pub async fn enqueue_job(&self, new: NewJob) -> Result<Option<i64>, StoreError> {
        let enqueued = self.write(move |tx| Box::pin(async move { enqueue_job(tx, &new).await })).await;
        match enqueued {
            // The same was enqueued twice at once.
            Err(StoreError::Duplicate) => Ok(None),
            other => other,
        }
    }

    /// Claims up to `limit` due jobs for `worker`, those that wait longest first. Each is its until `lease_until`; what another worker is
    /// claiming at this moment is passed over.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_jobs(
        &self,
        worker: String,
        now: Timestamp,
        lease_until: Timestamp,
        limit: i64,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let claimed = tx
                    .fetch(
                        "SELECT id, kind, payload, attempts + 1, max_attempts, run_at FROM jobs \
                         WHERE state = 'queued' AND run_at <= ? ORDER BY run_at, id LIMIT ? /*skip locked*/",
                        params![now.micros(), limit],
                        |row| {
                            Ok(ClaimedJob {
                                id: row.get(0)?,
                                kind: row.get(1)?,
                                payload: row.get(2)?,
                                attempts: row.get(3)?,
                                max_attempts: row.get(4)?,
                                run_at: Timestamp::from_micros(row.get(5)?),
                            })
                        },
                    )
                    .await?;
                for job in &claimed {
                    tx.execute(
                        "UPDATE jobs SET state = 'running', attempts = ?, claimed_by = ?, lease_until = ?, started_at = ? WHERE id = ?",
                        params![job.attempts, &worker, lease_until.micros(), now.micros(), job.id],
                    )
                    .await?;
                }
                Ok(claimed)
            })
        })
        .await
    }

    /// Extends a lease; false when the job is the claimant's no longer: it was abandoned, called off, or has ended.
    ///
    /// # Errors
    /// What the database says.
    pub async fn renew_job(&self, claim: Claim, lease_until: Timestamp) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let renewed = tx
                    .execute(
                        "UPDATE jobs SET lease_until = ? WHERE id = ? AND claimed_by = ? AND attempts = ? AND state = 'running'",
                        params![lease_until.micros(), claim.id, &claim.worker, claim.attempts],
                    )
                    .await?;
                Ok(renewed > 0)
            })
        })
        .await
    }

    /// Stores what became of a job; false when it is the claimant's no longer.
    ///
    /// # Errors
    /// What the database says.
    pub async fn end_job(&self, claim: Claim, end: JobEnd, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |tx| Box::pin(async move { end_job(tx, &claim, &end, now).await })).await
    }

    /// Takes up to `limit` jobs from workers whose leases are over: they wait again, or are dead when that was their last attempt. Returns
    /// how many there were.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release_abandoned_jobs(&self, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let abandoned = tx
                    .fetch(
                        "SELECT id, claimed_by, attempts, max_attempts FROM jobs WHERE state = 'running' AND lease_until <= ? \
                         ORDER BY id LIMIT ? /*skip locked*/",
                        params![now.micros(), limit],
                        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                    )
                    .await?;
                for (id, worker, attempts, max_attempts) in &abandoned {
                    let (worker, attempts, max_attempts): (&String, i64, i64) = (worker, *attempts, *max_attempts);
                    let claim = Claim { id: *id, worker: worker.clone(), attempts };
                    let why = ABANDONED.to_owned();
                    let end = if attempts < max_attempts { JobEnd::Retry(now, why) } else { JobEnd::Dead(why) };
                    end_job(tx, &claim, &end, now).await?;
                }
                Ok(abandoned.len())
            })
        })
        .await
    }

    /// What there is to do now.
    ///
    /// # Errors
    /// What the database says.
    pub async fn due(&self, now: Timestamp) -> Result<Due, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let id = |row: &Row<'_>| row.get::<i64>(0);
                let waiting = "SELECT id FROM jobs WHERE state = 'queued' AND run_at <= ? LIMIT 1";
                let abandoned = "SELECT id FROM jobs WHERE state = 'running' AND lease_until <= ? LIMIT 1";
                let schedules = "SELECT name FROM schedules WHERE next_at <= ? ORDER BY name";
                Ok(Due {
                    jobs: tx.fetch_optional(waiting, params![now.micros()], id).await?.is_some(),
                    abandoned: tx.fetch_optional(abandoned, params![now.micros()], id).await?.is_some(),
                    schedules: tx.fetch(schedules, params![now.micros()], |row| row.get(0)).await?,
                })
            })
        })
        .await
    }

    /// How the queue is.
    ///
    /// # Errors
    /// What the database says.
    pub async fn queue_state(&self, now: Timestamp) -> Result<QueueState, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let waiting = "SELECT CAST(COALESCE(SUM(CASE WHEN run_at <= ? THEN 1 ELSE 0 END), 0) AS BIGINT), COUNT(*), MIN(run_at) \
                               FROM jobs WHERE state = 'queued'";
                let waiting = tx
                    .fetch_optional(waiting, params![now.micros()], |row| {
                        Ok((row.get::<i64>(0)?, row.get::<i64>(1)?, row.get::<Option<i64>>(2)?))
                    })
                    .await?;
                let (due, all, oldest) = waiting.unwrap_or_default();
                let count = "SELECT COUNT(*) FROM jobs WHERE state = ?";
                let running = tx.fetch_optional(count, params!["running"], |row| row.get::<i64>(0)).await?;
                let dead = tx.fetch_optional(count, params!["dead"], |row| row.get::<i64>(0)).await?;
                Ok(QueueState {
                    due,
                    later: all - due,
                    running: running.unwrap_or_default(),
                    dead: dead.unwrap_or_default(),
                    oldest_due: oldest.filter(|_| due > 0).map(Timestamp::from_micros),
                })
            })
        })
        .await
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_jobs(&self, list: ListJobs) -> Result<Vec<JobRecord>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let before = list.before.unwrap_or(i64::MAX);
                let (state, limit) = (list.state.map(JobState::as_str), list.limit);
                match (state, &list.kind) {
                    (None, None) => {
                        tx.fetch(jobs!("WHERE id < ? ORDER BY id DESC LIMIT ?"), params![before, limit], job).await
                    }
                    (Some(state), None) => {
                        let sql = jobs!("WHERE state = ? AND id < ? ORDER BY id DESC LIMIT ?");
                        tx.fetch(sql, params![state, before, limit], job).await
                    }
                    (None, Some(kind)) => {
                        let sql = jobs!("WHERE kind = ? AND id < ? ORDER BY id DESC LIMIT ?");
                        tx.fetch(sql, params![kind, before, limit], job).await
                    }
                    (Some(state), Some(kind)) => {
                        let sql = jobs!("WHERE state = ? AND kind = ? AND id < ? ORDER BY id DESC LIMIT ?");
                        tx.fetch(sql, params![state, kind, before, limit], job).await
                    }
                }
            })
        })
        .await
    }

    /// One job.
    ///
    /// # Errors
    /// What the database says.
    pub async fn job(&self, id: i64) -> Result<Option<JobRecord>, StoreError> {
        self.read(move |tx| Box::pin(async move { tx.fetch_optional(jobs!("WHERE id = ?"), params![id], job).await }))
            .await
    }

    /// Has a job that is dead, was called off or waits run now, with all its attempts. Returns whether it was one of these, and the job as it
    /// is; `None` when there is no such job.
    ///
    /// # Errors
    /// What the database says.
    pub async fn retry_job(&self, id: i64, now: Timestamp) -> Result<Option<(bool, JobRecord)>, StoreError> {
        self.change_job(
            "UPDATE jobs SET state = 'queued', attempts = 0, run_at = ?, ended_at = NULL WHERE id = ? AND state IN ('dead', 'cancelled', 'queued')",
            id,
            now,
        )
        .await
    }

    /// Calls off a job that waits or runs; what runs is stopped where its worker next looks. Returns whether it was one of these, and the job
    /// as it is; `None` when there is no such job.
    ///
    /// # Errors
    /// What the database says.
    pub async fn cancel_job(&self, id: i64, now: Timestamp) -> Result<Option<(bool, JobRecord)>, StoreError> {
        self.change_job(
            "UPDATE jobs SET state = 'cancelled', ended_at = ?, claimed_by = NULL, lease_until = NULL WHERE id = ? AND state IN ('queued', 'running')",
            id,
            now,
        )
        .await
    }

    async fn change_job(
        &self,
        sql: &'static str,
        id: i64,
        now: Timestamp,
    ) -> Result<Option<(bool, JobRecord)>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let changed = tx.execute(sql, params![now.micros(), id]).await? > 0;
                let job = tx.fetch_optional(jobs!("WHERE id = ?"), params![id], job).await?;
                Ok(job.map(|job| (changed, job)))
            })
        })
        .await
    }

    /// Removes up to `limit` jobs that ended before `until`. Returns how many went.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_ended_jobs(&self, until: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute(
                    "DELETE FROM jobs WHERE id IN (SELECT id FROM (SELECT id FROM jobs WHERE ended_at <= ? \
                     ORDER BY ended_at LIMIT ?) AS old)",
                    params![until.micros(), limit],
                )
                .await
            })
        })
        .await
    }
}

async fn end_job(tx: &mut Tx<'_>, claim: &Claim, end: &JobEnd, now: Timestamp) -> Result<bool, StoreError> {
    let (state, run_at, error, attempts) = match end {
        JobEnd::Done => (JobState::Done, None, None, claim.attempts),
        JobEnd::Retry(at, error) => (JobState::Queued, Some(*at), Some(error), claim.attempts),
        JobEnd::Dead(error) => (JobState::Dead, None, Some(error), claim.attempts),
        JobEnd::PutBack(at) => (JobState::Queued, Some(*at), None, claim.attempts - 1),
    };
    let error = error.map(|error| &error[..error.floor_char_boundary(ERROR_MAX)]);
    let ended = tx
        .execute(
            "UPDATE jobs SET state = ?, attempts = ?, run_at = COALESCE(?, run_at), last_error = COALESCE(?, last_error), ended_at = ?, \
             claimed_by = NULL, lease_until = NULL WHERE id = ? AND claimed_by = ? AND attempts = ? AND state = 'running'",
            params![
                state.as_str(),
                attempts,
                run_at.map(Timestamp::micros),
                error,
                run_at.is_none().then_some(now.micros()),
                claim.id,
                &claim.worker,
                claim.attempts
            ],
        )
        .await?;
    Ok(ended > 0)
}

fn job(row: &Row<'_>) -> Result<JobRecord, StoreError> {
    Ok(JobRecord {
        id: row.get(0)?,
        kind: row.get(1)?,
        payload: row.get(2)?,
        state: row.decode(3, "a job's state", |word: String| JobState::from_word(&word))?,
        attempts: row.get(4)?,
        max_attempts: row.get(5)?,
        run_at: Timestamp::from_micros(row.get(6)?),
        last_error: row.get(7)?,
        created_at: Timestamp::from_micros(row.get(8)?),
        started_at: row.get::<Option<i64>>(9)?.map(Timestamp::from_micros),
        ended_at: row.get::<Option<i64>>(10)?.map(Timestamp::from_micros),
    })
}
