//! An application over a real database, and a kind of job that does what its test says.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use parlor_engine::app::App;
use parlor_engine::config::Settings;
use parlor_engine::domain::{Clock, JobState};
use parlor_engine::jobs::{Bounds, Job, JobError, Pace, Payload, Registry, Worker, new_job};
use parlor_engine::providers::Providers;
use parlor_engine::store::{Column, Db, JobRecord, OpenAs};
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// Long enough for a loaded machine; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a worker takes a job for its own here, without a sign of life.
pub const LEASE: Duration = Duration::from_secs(3);

/// Waits until something is as it must become.
pub async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("what the test waits for never came")
}

pub struct Fixture {
    pub app: App,
    pub clock: Clock,
    _folder: TempDir,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::at(Clock::System, |_| {}).await
    }

    pub async fn at(clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::for_tests(folder.path());
        change(&mut settings);
        let db = Db::open(&settings.database, OpenAs::Server).unwrap();
        db.migrate(clock.now()).await.unwrap();
        let providers = Providers::from_settings(&settings.providers, &settings.chat.model).unwrap();
        let app = App::new(settings, db, clock.clone(), providers).unwrap();
        Self { app, clock, _folder: folder }
    }

    /// A worker that does these jobs alone.
    pub fn worker(&self, jobs: Vec<Arc<dyn Job>>) -> Worker {
        self.worker_of(Registry::of(jobs))
    }

    pub fn worker_of(&self, registry: Registry) -> Worker {
        let pace = Pace { look_every: Duration::from_millis(30), lease: LEASE };
        Worker::start(self.app.clone(), registry, pace)
    }

    pub async fn enqueue(&self, job: &dyn Job) -> i64 {
        let new = new_job(job, &Payload("{\"n\":1}".to_owned()), self.clock.now());
        self.app.db().enqueue_job(new).await.unwrap().unwrap()
    }

    pub async fn job(&self, id: i64) -> JobRecord {
        self.app.db().job(id).await.unwrap().unwrap()
    }

    /// Waits until a job stands there.
    pub async fn until_job(&self, id: i64, state: JobState) -> JobRecord {
        until(async || Some(self.job(id).await).filter(|job| job.state == state)).await
    }

    /// The first column of the first row.
    pub async fn value<T: Column + Send + 'static>(&self, sql: &'static str) -> T {
        let read =
            self.app.db().read(move |tx| Box::pin(async move { tx.fetch_optional(sql, &[], |row| row.get(0)).await }));
        read.await.unwrap().unwrap()
    }

    pub async fn execute(&self, sql: &'static str) {
        self.app.db().write(move |tx| Box::pin(async move { tx.execute(sql, &[]).await })).await.unwrap();
    }
}

/// What a [`Told`] job does, each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    Nothing,
    Fails,
    Panics,
    /// Waits for [`Told::go`].
    Waits,
    /// Reads a payload that is not there.
    Misreads,
}

/// A kind of job that does what it is told.
pub struct Told {
    pub does: Does,
    pub bounds: Bounds,
    pub begun: AtomicUsize,
    pub done: AtomicUsize,
    pub most_at_once: AtomicUsize,
    now: AtomicUsize,
    go: Semaphore,
}

impl Told {
    pub fn to(does: Does) -> Arc<Self> {
        let bounds = Bounds { max_attempts: 3, first_wait: Duration::from_millis(10), timeout: PATIENCE };
        Self::within(does, bounds)
    }

    pub fn within(does: Does, bounds: Bounds) -> Arc<Self> {
        let zero = AtomicUsize::default;
        Arc::new(Self {
            does,
            bounds,
            begun: zero(),
            done: zero(),
            most_at_once: zero(),
            now: zero(),
            go: Semaphore::new(0),
        })
    }

    /// Lets so many that wait go on.
    pub fn go(&self, jobs: usize) {
        self.go.add_permits(jobs);
    }

    pub async fn until_begun(&self, jobs: usize) {
        until(async || (self.begun.load(Ordering::SeqCst) >= jobs).then_some(())).await;
    }

    /// How many run now.
    pub fn running(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Job for Told {
    fn kind(&self) -> &'static str {
        "told"
    }

    fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn run<'a>(&'a self, _: &'a App, payload: &'a Payload) -> BoxFuture<'a, Result<(), JobError>> {
        async move {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            let _running = Running(&self.now);
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            self.begun.fetch_add(1, Ordering::SeqCst);
            match self.does {
                Does::Nothing => {}
                Does::Fails => return Err(JobError::Failed("it was told to")),
                Does::Panics => panic!("a job panics on purpose"),
                Does::Waits => self.go.acquire().await.unwrap().forget(),
                Does::Misreads => drop(payload.read::<Vec<String>>()?),
            }
            self.done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        .boxed()
    }
}
