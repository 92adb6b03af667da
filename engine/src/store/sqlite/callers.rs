//! Those who call, as they were found last: most requests come from somebody who was there just before.
//!
//! What was found counts until anybody changes an account, a key or a session. In this process the writer's connection reports the tables that it
//! touches; of what other processes write beside it, the count of transactions in SQLite's shared index of its log tells.

use std::collections::HashMap;
use std::fs::File;
use std::hash::Hash;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::Action;

use crate::domain::{Account, AccountId, GuestKey, GuestRealm};
use crate::store::{AccountRecord, ApiKeyRecord, StoreError};

/// How many are remembered in each way of calling; when there are more, all are looked up again.
const MOST: usize = 10_000;
/// Where it stands who may call. SQLite does not report rows that `REPLACE` or a `DELETE` without `WHERE` removes: nothing may do that to these.
const TABLES: [&str; 3] = ["accounts", "api_keys", "refresh_tokens"];

/// What is remembered of each way of calling.
#[derive(Default)]
pub(in crate::store) struct Callers {
    /// By the hash of the key.
    pub(in crate::store) keys: Lately<String, ApiKeyRecord>,
    /// By the account and the session's family.
    pub(in crate::store) sessions: Lately<(AccountId, String), AccountRecord>,
    /// By their surface and name.
    pub(in crate::store) guests: Lately<(GuestRealm, GuestKey), Account>,
    /// Raised by whatever may have changed who may call.
    version: AtomicU64,
    /// Whether the transaction under way touches one of the tables.
    is_touched: AtomicBool,
    path: PathBuf,
    /// There from the first transaction on. Without it nothing is remembered.
    log: OnceLock<LogIndex>,
    /// The count of transactions that this process knows of.
    seen: AtomicU32,
}

/// What was found under some keys.
pub(in crate::store) struct Lately<K, V>(Mutex<HashMap<K, Found<V>>>);

struct Found<V> {
    value: V,
    version: u64,
}

impl<K, V> Default for Lately<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl Callers {
    /// For the database at `path`; `writer` is the process' one connection that writes.
    pub(super) fn new(path: &Path, writer: &Connection) -> Result<Arc<Self>, StoreError> {
        let callers = Arc::new(Self { path: path.to_owned(), ..Self::default() });
        let told = Arc::clone(&callers);
        let hook = move |action: Action, _: &str, table: &str, _| {
            // Whoever is new was not found before.
            if action != Action::SQLITE_INSERT && TABLES.contains(&table) {
                told.is_touched.store(true, Ordering::Relaxed);
            }
        };
        writer.update_hook(Some(hook)).map_err(|error| StoreError::Open(error.to_string()))?;
        Ok(callers)
    }

    fn transactions(&self) -> Option<u32> {
        self.log.get()?.transactions()
    }

    /// When the writer has begun a transaction, and so nobody else can commit: what others have committed before counts from here.
    pub(super) fn begun(&self) {
        if self.log.get().is_none()
            && let Some(index) = LogIndex::open(&self.path)
            && let Some(now) = index.transactions()
        {
            self.seen.store(now, Ordering::Release);
            // Only the writer does so.
            let _ = self.log.set(index);
        }
        self.catch_up(0);
    }

    /// After the transaction's end, and before anybody is told of it; `has_written` when it committed something.
    pub(super) fn ended(&self, has_written: bool) {
        if self.is_touched.swap(false, Ordering::Relaxed) {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        self.catch_up(has_written.into());
    }

    /// Takes note of the transactions until now, of which `own` at most are this process'.
    fn catch_up(&self, own: u32) {
        let Some(now) = self.transactions() else { return };
        if now.wrapping_sub(self.seen.load(Ordering::Acquire)) > own {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        self.seen.store(now, Ordering::Release);
    }

    /// To be asked before anybody is looked up: what was found at that version holds. `None` while another process has written something: nothing
    /// holds then until the writer has taken note of it.
    pub(in crate::store) fn version(&self) -> Option<u64> {
        // In this order: a change that is noted in between is seen in the version.
        let is_known = self.transactions()? == self.seen.load(Ordering::Acquire);
        is_known.then(|| self.version.load(Ordering::Acquire))
    }
}

impl<K: Eq + Hash, V: Clone> Lately<K, V> {
    /// What was found under that key at that version.
    pub(in crate::store) fn get(&self, key: &K, version: u64) -> Option<V> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(key).filter(|found| found.version == version).map(|found| found.value.clone())
    }

    /// Remembers what was found, looked for since that version.
    pub(in crate::store) fn note(&self, key: K, value: V, version: u64) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MOST {
            found.clear();
        }
        found.insert(key, Found { value, version });
    }
}

/// The index of SQLite's log, which all processes at the database share: <https://sqlite.org/walformat.html#the_wal_index_file_format>.
struct LogIndex(File);

impl LogIndex {
    /// The only version of its format.
    const VERSION: u32 = 3_007_000;
    /// Where the count of transactions stands.
    const TRANSACTIONS: u64 = 8;

    fn open(database: &Path) -> Option<Self> {
        let mut path = database.canonicalize().ok()?.into_os_string();
        path.push("-shm");
        let index = Self(File::open(path).ok()?);
        (index.number(0)? == Self::VERSION).then_some(index)
    }

    /// How many transactions there were, whoever committed them; it begins anew after the largest number.
    fn transactions(&self) -> Option<u32> {
        self.number(Self::TRANSACTIONS)
    }

    fn number(&self, offset: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.0.read_exact_at(&mut bytes, offset).ok()?;
        Some(u32::from_ne_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_found_holds_at_its_version() {
        let lately = Lately::<&str, u8>::default();
        assert_eq!(lately.get(&"anna", 0), None);
        lately.note("anna", 7, 0);
        assert_eq!((lately.get(&"anna", 0), lately.get(&"bob", 0), lately.get(&"anna", 1)), (Some(7), None, None));
        // Looked for before a change, and found after it: nobody knows which of both it is.
        lately.note("anna", 8, 0);
        assert_eq!(lately.get(&"anna", 1), None);
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let lately = Lately::<usize, ()>::default();
        for key in 0..=MOST {
            lately.note(key, (), 0);
        }
        assert_eq!((lately.get(&0, 0), lately.get(&MOST, 0)), (None, Some(())));
    }

    fn connect(path: &Path) -> Connection {
        let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::default()).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection
    }

    #[test]
    fn a_change_of_somebody_counts_and_so_does_whatever_another_process_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let (writer, other) = (connect(&path), connect(&path));
        let tables =
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name); CREATE TABLE turns (id INTEGER PRIMARY KEY)";
        writer.execute_batch(tables).unwrap();
        let callers = Callers::new(&path, &writer).unwrap();
        let write = |sql: &str| {
            writer.execute_batch("BEGIN IMMEDIATE").unwrap();
            callers.begun();
            writer.execute_batch(sql).unwrap();
            writer.execute_batch("COMMIT").unwrap();
            callers.ended(!sql.starts_with("SELECT"));
        };
        for (sql, expected) in [
            ("INSERT INTO accounts VALUES (1, 'anna'), (2, 'bob')", 0),
            ("INSERT INTO turns VALUES (1)", 0),
            ("DELETE FROM turns WHERE id = 1", 0),
            ("SELECT 1", 0),
            ("UPDATE accounts SET name = 'anne' WHERE id = 1", 1),
            ("DELETE FROM accounts WHERE id = 1", 2),
        ] {
            write(sql);
            assert_eq!(callers.version(), Some(expected), "{sql}");
        }
        other.execute_batch("INSERT INTO turns VALUES (7)").unwrap();
        assert_eq!(callers.version(), None, "nothing holds until it has been taken note of");
        write("INSERT INTO turns VALUES (8)");
        assert_eq!(callers.version(), Some(3));
        write("INSERT INTO turns VALUES (9)");
        assert_eq!(callers.version(), Some(3));
        // Where the log begins anew, the count goes on.
        writer.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
        write("INSERT INTO turns VALUES (10)");
        assert_eq!(callers.version(), Some(3));
        other.execute_batch("UPDATE accounts SET name = 'rob'").unwrap();
        assert_eq!(callers.version(), None);
    }
}
