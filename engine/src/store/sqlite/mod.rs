//! SQLite: one writer thread that commits waiting writes together, and a few reader threads.
//!
//! Measured against a pool of async connections this costs a quarter to a tenth of the CPU (see `docs/adr/002-sqlite-threads.md`). A write is
//! answered after the commit of its group; each job has a savepoint, so that one that fails or panics leaves the others whole.

mod callers;

use std::any::Any;
use std::fs::{File, OpenOptions, TryLockError};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

pub(super) use self::callers::{Callers, Lately};
use super::quotas::Held;
use super::{OpenAs, StoreError, Tx};

/// The oldest SQLite that does not corrupt a WAL under concurrent checkpoints: <https://sqlite.org/releaselog/3_51_3.html>
const OLDEST_VERSION: i32 = 3_051_003;
/// Jobs committed together at most.
const GROUP: usize = 256;
/// Jobs that may wait for each kind of thread.
const QUEUE: usize = 8192;
/// How long a caller waits for its job, queue and commit included.
const PATIENCE: Duration = Duration::from_secs(30);
/// Statements kept prepared on each connection.
const STATEMENTS: usize = 128;

/// A job as the writer sees it: runs inside its savepoint; tells whether to keep its changes, and how to answer. Without a connection
/// it does not run, and is answered with what became of its group.
type WriteJob = Box<dyn FnOnce(Option<&mut Session>) -> Finished + Send>;
type ReadJob = Box<dyn FnOnce(&mut Session) + Send>;

/// A thread's connection, and what the server remembers beside the file.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    held: Arc<Held>,
}

/// A reader's connection.
type Reader = Mutex<Option<Session>>;

impl Session {
    pub(super) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }
}

impl Deref for Session {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

struct Finished {
    keep: bool,
    /// Sends the answer, once the commit's outcome is known.
    answer: Answer,
}

#[derive(Clone)]
pub(super) struct Sqlite {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None` once closed: the threads end when the senders are gone.
    queues: Mutex<Option<Queues>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    path: PathBuf,
    /// The readers' connections: a thread has one while it works, and whoever looks something up has one that is free. `None` once closed.
    readers: Arc<[Reader]>,
    held: Arc<Held>,
    callers: Arc<Callers>,
    /// What tells the opened file from another at the same path.
    identity: Option<(u64, u64)>,
    /// Held while a server works on the file.
    _lock: Option<File>,
}

#[derive(Clone)]
struct Queues {
    writes: Sender<WriteJob>,
    reads: Sender<ReadJob>,
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl Sqlite {
    pub(super) fn open(path: &Path, busy_timeout: Duration, who: OpenAs) -> Result<Self, StoreError> {
        if rusqlite::version_number() < OLDEST_VERSION {
            return Err(StoreError::Open(format!(
                "SQLite {} can corrupt its log; 3.51.3 or newer is needed",
                rusqlite::version()
            )));
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|error| StoreError::Open(format!("{}: {error}", folder.display())))?;
        }
        let lock = match who {
            OpenAs::Server => Some(lock(path)?),
            OpenAs::Command => None,
        };
        make_private(path)?;
        let held = Arc::<Held>::default();
        let session = |read_only| -> Result<Session, StoreError> {
            Ok(Session { connection: connect(path, busy_timeout, read_only)?, held: Arc::clone(&held) })
        };
        let writer = session(false)?;
        let callers = Callers::new(path, &writer.connection)?;
        let (writes, write_queue) = bounded::<WriteJob>(QUEUE);
        let (reads, read_queue) = bounded::<ReadJob>(QUEUE);
        let mut threads = vec![spawn("parlor-writer", {
            let callers = Arc::clone(&callers);
            move || write_loop(writer, &write_queue, &callers)
        })?];
        let readers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        let readers: Arc<[_]> = (0..readers)
            .map(|_| session(true).map(|session| Mutex::new(Some(session))))
            .collect::<Result<Vec<_>, _>>()?
            .into();
        for number in 0..readers.len() {
            let (readers, queue) = (Arc::clone(&readers), read_queue.clone());
            threads.push(spawn("parlor-reader", move || read_loop(&readers, number, &queue))?);
        }
        Ok(Self {
            shared: Arc::new(Shared {
                queues: Mutex::new(Some(Queues { writes, reads })),
                threads: Mutex::new(threads),
                path: path.to_owned(),
                readers,
                held,
                callers,
                identity: identity_of(path),
                _lock: lock,
            }),
        })
    }

    /// Whether the file that was opened is still the one at its path. What is written to one that was deleted or replaced is lost, and
    /// SQLite does not notice.
    pub(super) fn is_in_place(&self) -> bool {
        identity_of(&self.shared.path) == self.shared.identity
    }

    pub(super) async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let start = Start::default();
        let started = start.clone();
        let job: WriteJob = Box::new(move |session| {
            let result = match session {
                Some(session) if started.begin() => run(session, job),
                _ => Err(StoreError::Overloaded),
            };
            Finished {
                keep: result.is_ok(),
                answer: Box::new(move |committed| {
                    // A caller that has gone needs no answer.
                    let _ = reply.send(committed.and(result));
                }),
            }
        });
        send(&self.queues()?.writes, job)?;
        wait(answer, &start).await
    }

    pub(super) async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let start = Start::default();
        let started = start.clone();
        let job: ReadJob = Box::new(move |session| {
            if started.begin() {
                let _ = reply.send(run(session, job));
            }
        });
        send(&self.queues()?.reads, job)?;
        wait(answer, &start).await
    }

    /// As [`Self::read`], on the caller's own thread where a connection is free.
    pub(super) async fn look_up<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        {
            let _open = self.queues()?;
            let mut free = self.shared.readers.iter().filter_map(|reader| reader.try_lock().ok());
            if let Some(mut reader) = free.next()
                && let Some(session) = reader.as_mut()
            {
                return run(session, job);
            }
        }
        self.read(job).await
    }

    /// What calls under way hold of their quotas.
    pub(super) fn held(&self) -> &Arc<Held> {
        &self.shared.held
    }

    /// Who called last.
    pub(super) fn callers(&self) -> &Callers {
        &self.shared.callers
    }

    pub(super) fn queue_depths(&self) -> (usize, usize) {
        self.queues().map_or((0, 0), |queues| (queues.writes.len(), queues.reads.len()))
    }

    #[allow(clippy::disallowed_methods, reason = "once, to join the threads")]
    pub(super) async fn close(&self) {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = std::mem::take(&mut *self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a database thread ended badly");
        }
    }

    fn queues(&self) -> Result<Queues, StoreError> {
        let queues = self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.clone().ok_or(StoreError::Closed)
    }
}

fn send<J>(queue: &Sender<J>, job: J) -> Result<(), StoreError> {
    queue.try_send(job).map_err(|error| match error {
        TrySendError::Full(_) => StoreError::Overloaded,
        TrySendError::Disconnected(_) => StoreError::Closed,
    })
}

/// Whether a job has begun, or its caller has given it up: one of the two, decided once, so that a job that is told to have failed does not
/// run, and one that runs is told how it ended.
#[derive(Clone, Default)]
struct Start(Arc<AtomicBool>);

impl Start {
    /// For the job: true when it may run.
    fn begin(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// For the caller: true when the job will not run any more.
    fn give_up(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// Gives a caller that goes away in the queue its job's place back.
struct GiveUpOnDrop<'a>(&'a Start);

impl Drop for GiveUpOnDrop<'_> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

async fn wait<T>(mut answer: oneshot::Receiver<Result<T, StoreError>>, start: &Start) -> Result<T, StoreError> {
    let _gone = GiveUpOnDrop(start);
    let answered = match tokio::time::timeout(PATIENCE, &mut answer).await {
        Ok(answered) => answered,
        Err(_) if start.give_up() => return Err(StoreError::Overloaded),
        // It has begun: only its commit can say how it ended.
        Err(_) => answer.await,
    };
    answered.unwrap_or(Err(StoreError::Closed))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| StoreError::Open(format!("no thread: {error}")))
}

/// Keeps a second server off the file: its start-up sweep would end this one's turns.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|error| StoreError::Open(format!("{}: {error}", name.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(StoreError::Open(format!("{}: {error}", name.display()))),
    }
}

/// Makes the file, when there is none, readable by its owner alone; SQLite gives its log the same rights.
fn make_private(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::Open(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Device and inode.
fn identity_of(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn connect(path: &Path, busy_timeout: Duration, read_only: bool) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // Pages; a larger log makes fewer pauses for moving it into the file.
        connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
        // Negative: KiB.
        connection.pragma_update(None, "cache_size", if read_only { -1000 } else { -2000 })?;
        connection.pragma_update(None, "query_only", read_only)?;
        Ok(connection)
    };
    open().map_err(|error| StoreError::Open(format!("{}: {error}", path.display())))
}

fn write_loop(mut session: Session, queue: &Receiver<WriteJob>, callers: &Callers) {
    let mut answers = Vec::with_capacity(GROUP);
    while let Ok(first) = queue.recv() {
        let begun = statement(&session, "BEGIN IMMEDIATE");
        callers.begun();
        let (mut job, mut has_written) = (Some(first), false);
        while let Some(work) = job {
            // A full disk ends the whole transaction under its savepoints: what follows must not run outside of one.
            let usable = begun.is_ok() && !session.is_autocommit();
            answers.push(if usable {
                run_in_savepoint(&mut session, work, &mut has_written)
            } else {
                work(None).answer
            });
            job = if answers.len() < GROUP { queue.try_recv().ok() } else { None };
        }
        let committed = begun.and_then(|()| statement(&session, "COMMIT")).inspect_err(|error| {
            tracing::error!(%error, jobs = answers.len(), "commit failed");
            if !session.is_autocommit() {
                let _ = statement(&session, "ROLLBACK");
            }
            session.held.undo(0);
        });
        session.held.keep();
        callers.ended(has_written && committed.is_ok());
        metrics::histogram!("parlor_database_commit_group")
            .record(f64::from(u16::try_from(answers.len()).unwrap_or(0)));
        for answer in answers.drain(..) {
            answer(committed.as_ref().copied().map_err(|error| StoreError::Commit(error.to_string())));
        }
    }
    // Leaves one file behind instead of three.
    let _ = session.pragma_update(None, "wal_checkpoint", "TRUNCATE");
}

type Answer = Box<dyn FnOnce(Result<(), StoreError>)>;

/// Runs a job, and undoes it when it fails. Sets `has_written` when there is something to commit.
fn run_in_savepoint(session: &mut Session, job: WriteJob, has_written: &mut bool) -> Answer {
    if let Err(error) = statement(session, "SAVEPOINT job") {
        let answer = job(None).answer;
        return Box::new(move |_| answer(Err(StoreError::Commit(error.to_string()))));
    }
    let (mark, changes) = (session.held.mark(), session.total_changes());
    let finished = job(Some(session));
    *has_written |= finished.keep && session.total_changes() > changes;
    let closed = if finished.keep {
        statement(session, "RELEASE job")
    } else {
        session.held.undo(mark);
        statement(session, "ROLLBACK TO job").and_then(|()| statement(session, "RELEASE job"))
    };
    match closed {
        Ok(()) if finished.keep => finished.answer,
        // Undone already: its own failure is the answer, whatever becomes of the group.
        Ok(()) => Box::new(move |_| (finished.answer)(Ok(()))),
        Err(error) => Box::new(move |_| (finished.answer)(Err(StoreError::Commit(error.to_string())))),
    }
}

fn read_loop(readers: &[Reader], number: usize, queue: &Receiver<ReadJob>) {
    let Some(reader) = readers.get(number) else { return };
    while let Ok(job) = queue.recv() {
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(session) = reader.as_mut() else { return };
        // One consistent state for all of a job's queries.
        let _ = statement(session, "BEGIN");
        job(session);
        let _ = statement(session, "ROLLBACK");
    }
    // The last connection that closes leaves one file behind instead of three.
    reader.lock().unwrap_or_else(PoisonError::into_inner).take();
}

fn statement(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// Runs a job to its end on this thread. Everything it may await is ready at once here; a job that is not has awaited something
/// foreign, which must never happen inside a transaction.
fn run<T, F>(session: &mut Session, job: F) -> Result<T, StoreError>
where
    F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>>,
{
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut tx = Tx::Sqlite(session);
        let mut future = job(&mut tx);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                tracing::error!("a database job awaited something else than the database");
                Err(StoreError::Panicked)
            }
        }
    }));
    outcome.unwrap_or_else(|panic: Box<dyn Any + Send>| {
        drop(panic);
        tracing::error!("a database job panicked");
        Err(StoreError::Panicked)
    })
}

#[cfg(test)]
mod tests;
