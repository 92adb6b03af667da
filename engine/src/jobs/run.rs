//! One attempt at one job: the handler within its time, the lease that is renewed beside it, and what becomes of the job.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Bounds, Job, JobError, Payload, Registry};
use crate::app::App;
use crate::store::{Claim, ClaimedJob, JobEnd};

/// After which part of a lease it is renewed: twice may fail.
const RENEW_AFTER: f64 = 0.3;
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// When a kind of job that this worker does not know is looked at again, by it or by one that does.
const UNKNOWN_WAIT: Duration = Duration::from_secs(60);
/// The waits between attempts to store what became of a job; then its lease runs out, and it is done again.
const STORE_WAITS: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];

/// A job that a worker has claimed.
pub(super) struct Attempt {
    pub(super) app: App,
    pub(super) registry: Registry,
    pub(super) claimed: ClaimedJob,
    pub(super) worker: String,
    pub(super) lease: Duration,
    /// Cancelled when the worker waits no longer for what runs.
    pub(super) abandon: CancellationToken,
}

/// How an attempt ended.
enum Outcome {
    Ended(Result<(), JobError>),
    /// Another has it, or it was called off.
    Lost,
    /// The worker stops.
    Abandoned,
}

impl Attempt {
    /// Makes it, and stores what became of it.
    pub(super) async fn make(self) {
        let Some(job) = self.registry.find(&self.claimed.kind).cloned() else {
            tracing::warn!(
                job = self.claimed.id,
                kind = self.claimed.kind,
                "a job of a kind that this version does not know"
            );
            return self.store(JobEnd::PutBack(self.app.clock().now().plus(UNKNOWN_WAIT)), "unknown").await;
        };
        let began = Instant::now();
        let outcome = self.outcome(job.as_ref()).await;
        metrics::histogram!("parlor_job_seconds", "kind" => job.kind()).record(began.elapsed());
        let (id, kind, attempt) = (self.claimed.id, job.kind(), self.claimed.attempts);
        match outcome {
            Outcome::Ended(Ok(())) => {
                tracing::debug!(job = id, kind, "a job is done");
                self.store(JobEnd::Done, "done").await;
            }
            Outcome::Ended(Err(error)) => {
                let end = self.after_failure(&error, job.bounds());
                if matches!(end, JobEnd::Dead(_)) {
                    tracing::error!(job = id, kind, attempt, %error, "a job failed for the last time");
                    self.store(end, "dead").await;
                } else {
                    tracing::warn!(job = id, kind, attempt, %error, "a job failed, and is tried again");
                    self.store(end, "failed").await;
                }
            }
            Outcome::Lost => {
                tracing::info!(job = id, kind, "a job was called off, or is another worker's now");
                count(kind, "lost");
            }
            Outcome::Abandoned => self.store(JobEnd::PutBack(self.app.clock().now()), "put_back").await,
        }
    }

    async fn outcome(&self, job: &dyn Job) -> Outcome {
        let limit = job.bounds().timeout;
        let payload = Payload(self.claimed.payload.clone());
        let work = AssertUnwindSafe(job.run(&self.app, &payload)).catch_unwind();
        tokio::select! {
            biased;
            done = tokio::time::timeout(limit, work) => Outcome::Ended(match done {
                Ok(Ok(done)) => done,
                Ok(Err(_)) => Err(JobError::Panicked),
                Err(_) => Err(JobError::TimedOut(limit)),
            }),
            () = self.lose() => Outcome::Lost,
            () = self.abandon.cancelled() => Outcome::Abandoned,
        }
    }

    /// Renews the lease; returns when it is lost.
    async fn lose(&self) {
        let mut held_until = Instant::now() + self.lease;
        loop {
            tokio::time::sleep(self.lease.mul_f64(RENEW_AFTER)).await;
            let now = Instant::now();
            match self.app.db().renew_job(self.claim(), self.app.clock().now().plus(self.lease)).await {
                Ok(true) => held_until = now + self.lease,
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(job = self.claimed.id, %error, "a job's lease was not renewed");
                    if Instant::now() >= held_until {
                        return;
                    }
                }
            }
        }
    }

    fn claim(&self) -> Claim {
        Claim { id: self.claimed.id, worker: self.worker.clone(), attempts: self.claimed.attempts }
    }

    fn after_failure(&self, error: &JobError, bounds: Bounds) -> JobEnd {
        let why = error.to_string();
        if matches!(error, JobError::Payload) || self.claimed.attempts >= self.claimed.max_attempts {
            return JobEnd::Dead(why);
        }
        let wait = wait_after(self.claimed.attempts, bounds.first_wait, rand::random());
        JobEnd::Retry(self.app.clock().now().plus(wait), why)
    }

    async fn store(&self, end: JobEnd, outcome: &'static str) {
        let kind = self.registry.find(&self.claimed.kind).map_or("unknown", |job| job.kind());
        count(kind, outcome);
        let mut waits = STORE_WAITS.iter();
        loop {
            let error = match self.app.db().end_job(self.claim(), end.clone(), self.app.clock().now()).await {
                Ok(_) => return,
                Err(error) => error,
            };
            match waits.next() {
                Some(wait) => tokio::time::sleep(*wait).await,
                None => return tracing::warn!(job = self.claimed.id, %error, "what became of a job was not stored"),
            }
        }
    }
}

fn count(kind: &'static str, outcome: &'static str) {
    metrics::counter!("parlor_jobs_total", "kind" => kind, "outcome" => outcome).increment(1);
}

/// The wait after so many attempts; `chance` is 0 to 1.
fn wait_after(attempts: i64, first: Duration, chance: f64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 20)).unwrap_or(0);
    let full = first.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    full.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour_and_half_of_each_is_chance() {
        let first = Duration::from_secs(10);
        let full: Vec<u64> = (1..=12).map(|attempts| wait_after(attempts, first, 1.0).as_secs()).collect();
        assert_eq!(full[..5], [10, 20, 40, 80, 160]);
        assert_eq!(full[11], 3_600);
        assert_eq!(wait_after(3, first, 0.0).as_secs(), 20);
        assert_eq!(wait_after(i64::MAX, first, 0.0).as_secs(), 1_800);
    }
}
