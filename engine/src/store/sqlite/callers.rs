//! Those who call, as they were found a moment ago: most requests come from somebody who was there just before.
//!
//! What changes an account, a key or a session in this process is seen at once, whoever changes it: the writer's connection reports the tables
//! that it touched, and what was found before its commit counts no more. A command that works on the file beside the server bites within [`LIFE`].

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::Action;
use tokio::time::Instant;

use crate::domain::{Account, AccountId, GuestKey, GuestRealm};
use crate::store::{AccountRecord, ApiKeyRecord, StoreError};

/// How long somebody counts as found.
const LIFE: Duration = Duration::from_secs(1);
/// How many are remembered in each way of calling; when there are more, all are looked up again.
const MOST: usize = 10_000;
/// Where it stands who may call.
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
    /// Which commit this is, of those that changed who may call.
    version: AtomicU64,
    is_touched: AtomicBool,
}

/// What was found under some keys.
pub(in crate::store) struct Lately<K, V>(Mutex<HashMap<K, Found<V>>>);

struct Found<V> {
    value: V,
    version: u64,
    at: Instant,
}

impl<K, V> Default for Lately<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl Callers {
    /// Lets the writer's connection say what it changes.
    pub(super) fn watch(self: &Arc<Self>, writer: &Connection) -> Result<(), StoreError> {
        let callers = Arc::clone(self);
        let hook = move |action: Action, _: &str, table: &str, _| {
            // Whoever is new was not found before.
            if action != Action::SQLITE_INSERT && TABLES.contains(&table) {
                callers.is_touched.store(true, Ordering::Relaxed);
            }
        };
        writer.update_hook(Some(hook)).map_err(|error| StoreError::Open(error.to_string()))
    }

    /// After each commit, and before anybody is told of it.
    pub(super) fn committed(&self) {
        if self.is_touched.swap(false, Ordering::Relaxed) {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// To be asked before something is looked up that will be remembered: a commit after that outdates it.
    pub(in crate::store) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

impl<K: Eq + Hash, V: Clone> Lately<K, V> {
    /// What was found under that key, if it still holds at that version.
    pub(in crate::store) fn get(&self, key: &K, version: u64) -> Option<V> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = found.get(key).filter(|found| found.version == version && found.at.elapsed() < LIFE)?;
        Some(found.value.clone())
    }

    /// Remembers what was found, looked for since that version.
    pub(in crate::store) fn note(&self, key: K, value: V, version: u64) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MOST {
            found.clear();
        }
        found.insert(key, Found { value, version, at: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_found_holds_for_a_second_and_until_the_next_commit_that_matters() {
        let lately = Lately::<&str, u8>::default();
        assert_eq!(lately.get(&"anna", 0), None);
        lately.note("anna", 7, 0);
        assert_eq!((lately.get(&"anna", 0), lately.get(&"bob", 0), lately.get(&"anna", 1)), (Some(7), None, None));
        tokio::time::advance(LIFE).await;
        assert_eq!(lately.get(&"anna", 0), None);
        // Looked for before a commit, and found after it: nobody knows which of both it is.
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

    #[test]
    fn a_commit_matters_that_changed_somebody() -> rusqlite::Result<()> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name); CREATE TABLE turns (id INTEGER PRIMARY KEY)",
        )?;
        let callers = Arc::<Callers>::default();
        assert!(callers.watch(&connection).is_ok());
        for (sql, expected) in [
            ("INSERT INTO accounts VALUES (1, 'anna'), (2, 'bob')", 0),
            ("INSERT INTO turns VALUES (1)", 0),
            ("DELETE FROM turns WHERE id = 1", 0),
            ("UPDATE accounts SET name = 'anne' WHERE id = 1", 1),
            ("DELETE FROM accounts WHERE id = 1", 2),
        ] {
            connection.execute(sql, [])?;
            callers.committed();
            assert_eq!(callers.version(), expected, "{sql}");
        }
        Ok(())
    }
}
