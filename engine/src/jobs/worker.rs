//! Looks for work, and has it done: a bounded number of jobs at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::run::Attempt;
use super::{Registry, indexer, outbox, scheduler};
use crate::app::App;
use crate::store::StoreError;

/// The wait after a failure of the database, doubled after each further one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Jobs claimed at once at most, whatever room there is.
const CLAIMED_AT_ONCE: usize = 16;
/// Abandoned jobs released at once.
const RELEASED_AT_ONCE: i64 = 100;
/// How long jobs that were stopped get to be put back.
const PUT_BACK: Duration = Duration::from_secs(5);

/// How fast a worker goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often it looks for work; a part of it is left to chance, so that replicas do not look all at once.
    pub look_every: Duration,
    /// How long a job is its own without a sign of life. Longer than the clocks of replicas are apart.
    pub lease: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { look_every: Duration::from_secs(1), lease: Duration::from_secs(60) }
    }
}

/// Does jobs until it is drained.
pub struct Worker {
    looking: JoinHandle<()>,
    /// Tells MongoDB what happens, where it is configured.
    telling: Option<JoinHandle<()>>,
    /// Takes messages into the index of words.
    indexing: JoinHandle<()>,
    stop: CancellationToken,
    abandon: CancellationToken,
    running: TaskTracker,
}

impl Worker {
    /// Starts doing the application's jobs.
    #[must_use]
    pub fn start(app: App, registry: Registry, pace: Pace) -> Self {
        let (stop, abandon, running) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let places = Arc::new(Semaphore::new(app.settings().jobs.concurrency));
        let name = format!("{:016x}", rand::random::<u64>());
        let (stopped, abandoned, tracker) = (stop.clone(), abandon.clone(), running.clone());
        let telling = app
            .mongo()
            .cloned()
            .map(|mongo| tokio::spawn(outbox::tell(app.clone(), mongo, name.clone(), stop.clone())));
        let indexing = tokio::spawn(indexer::index(app.clone(), name.clone(), stop.clone()));
        let rounds = Rounds { app, registry, pace, name, places, stop: stopped, abandon: abandoned, running: tracker };
        Self { looking: tokio::spawn(rounds.make()), telling, indexing, stop, abandon, running }
    }

    /// Takes no more jobs, waits up to `grace` for those that run, then stops the rest and puts them back into the queue.
    pub async fn drain(mut self, grace: Duration) {
        self.stop.cancel();
        if let Some(mut telling) = self.telling.take()
            && tokio::time::timeout(grace.max(PUT_BACK), &mut telling).await.is_err()
        {
            // What it was telling is told again.
            telling.abort();
        }
        if tokio::time::timeout(PUT_BACK, &mut self.indexing).await.is_err() {
            // The piece under way is taken in again, or has been.
            self.indexing.abort();
        }
        // It only fails when it panicked, and then there is nothing to wait for.
        let _ = self.looking.await;
        self.running.close();
        if tokio::time::timeout(grace, self.running.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(jobs = self.running.len(), "jobs still ran at the end of the grace period: put back");
        self.abandon.cancel();
        if tokio::time::timeout(PUT_BACK, self.running.wait()).await.is_err() {
            tracing::error!("some jobs could not be put back in time; they are done again when their leases are over");
        }
    }
}

/// Looks for work, time and again.
struct Rounds {
    app: App,
    registry: Registry,
    pace: Pace,
    name: String,
    places: Arc<Semaphore>,
    stop: CancellationToken,
    abandon: CancellationToken,
    running: TaskTracker,
}

impl Rounds {
    async fn make(self) {
        let mut is_set = false;
        let mut failures = 0_u32;
        loop {
            // Not left half-way: what it has claimed it begins.
            let pause = match self.round(&mut is_set).await {
                Ok(()) => {
                    failures = 0;
                    self.pace.look_every
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, "looking for jobs failed");
                    self.pace.look_every.saturating_mul(1 << failures.min(5)).min(LONGEST_PAUSE)
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause.mul_f64(0.75 + rand::random::<f64>() / 4.0)) => {}
            }
        }
    }

    /// Does what is to be done now, as far as there is room; more that waits is begun as soon as there is.
    async fn round(&self, is_set: &mut bool) -> Result<(), StoreError> {
        let db = self.app.db();
        if !*is_set {
            scheduler::set_schedules(&self.app).await?;
            *is_set = true;
        }
        let mut due = db.due(self.app.clock().now()).await?;
        if due.abandoned {
            let released = db.release_abandoned_jobs(self.app.clock().now(), RELEASED_AT_ONCE).await?;
            tracing::warn!(jobs = released, "jobs were abandoned by their worker");
            due.jobs |= released > 0;
        }
        if !due.schedules.is_empty() {
            scheduler::fire(&self.app, &self.registry, &due.schedules).await?;
            due.jobs = true;
        }
        while due.jobs {
            let room = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                room = self.room() => room,
            };
            let claimed = self.claim(room).await?;
            due.jobs = claimed == room;
        }
        Ok(())
    }

    /// Waits until there is room for a job; returns for how many.
    async fn room(&self) -> usize {
        // Never closed.
        if let Ok(place) = self.places.acquire().await {
            drop(place);
        }
        self.places.available_permits().clamp(1, CLAIMED_AT_ONCE)
    }

    async fn claim(&self, limit: usize) -> Result<usize, StoreError> {
        let now = self.app.clock().now();
        let limit = i64::try_from(limit).unwrap_or(1);
        let claimed = self.app.db().claim_jobs(self.name.clone(), now, now.plus(self.pace.lease), limit).await?;
        let count = claimed.len();
        for claimed in claimed {
            let attempt = Attempt {
                app: self.app.clone(),
                registry: self.registry.clone(),
                claimed,
                worker: self.name.clone(),
                lease: self.pace.lease,
                abandon: self.abandon.clone(),
            };
            // There is a place for each: nobody else takes any.
            let place = Arc::clone(&self.places).try_acquire_owned();
            self.running.spawn(async move {
                attempt.make().await;
                drop(place);
            });
        }
        Ok(count)
    }
}
