//! What callers hold open, sockets and streams, and the word that ends it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::domain::{AccountId, ApiKeyId};

/// What is open within one process, by account. Its size is that of the open connections; telling one account costs what that account holds.
#[derive(Debug, Clone, Default)]
pub struct OpenDoors {
    inner: Arc<Mutex<Doors>>,
}

#[derive(Debug, Default)]
struct Doors {
    newest: u64,
    open: BTreeMap<(AccountId, u64), Held>,
}

#[derive(Debug)]
struct Held {
    standing: Standing,
    end: CancellationToken,
}

/// Who opens something, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Whose it is.
    pub account: AccountId,
    /// The version of the account's tokens then.
    pub token_version: i64,
    /// The API key that it was opened with.
    pub api_key: Option<ApiKeyId>,
    /// The session that it was opened in, by its family; an API key has none.
    pub session: Option<Arc<str>>,
}

/// A session's number, made of its family's random text: what other processes are told, who shall not learn the text.
#[must_use]
pub fn session_number(family: &str) -> u64 {
    family.bytes().fold(0, |number: u64, byte| number.wrapping_mul(257).wrapping_add(byte.into()))
}

/// One open socket or stream, for as long as it is kept.
#[derive(Debug)]
pub struct OpenDoor {
    doors: OpenDoors,
    key: (AccountId, u64),
    end: CancellationToken,
}

impl OpenDoors {
    fn doors(&self) -> MutexGuard<'_, Doors> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that somebody opens something.
    #[must_use]
    pub fn open(&self, standing: Standing) -> OpenDoor {
        let mut doors = self.doors();
        doors.newest += 1;
        let (key, end) = ((standing.account, doors.newest), CancellationToken::new());
        doors.open.insert(key, Held { standing, end: end.clone() });
        OpenDoor { doors: self.clone(), key, end }
    }

    /// Ends everything that `account` holds open.
    pub fn shut(&self, account: AccountId) {
        self.shut_if(account, |_| true);
    }

    /// Ends what is held open with one of these.
    pub fn shut_all(&self, fallen: &HashSet<Standing>) {
        let accounts: HashSet<AccountId> = fallen.iter().map(|standing| standing.account).collect();
        for account in accounts {
            self.shut_if(account, |held| fallen.contains(held));
        }
    }

    /// Ends what `account` holds open with that API key.
    pub fn shut_key(&self, account: AccountId, key: ApiKeyId) {
        self.shut_if(account, |held| held.api_key == Some(key));
    }

    /// Ends what `account` holds open in the session of that number.
    pub fn shut_session(&self, account: AccountId, session: u64) {
        self.shut_if(account, |held| held.session.as_deref().map(session_number) == Some(session));
    }

    fn shut_if(&self, account: AccountId, condition: impl Fn(&Standing) -> bool) {
        let doors = self.doors();
        for (_, held) in doors.open.range((account, 0)..=(account, u64::MAX)) {
            if condition(&held.standing) {
                held.end.cancel();
            }
        }
    }

    /// What something is held open with, each once.
    #[must_use]
    pub fn standings(&self) -> HashSet<Standing> {
        self.doors().open.values().map(|held| held.standing.clone()).collect()
    }

    /// What `account` holds something open with, each once.
    #[must_use]
    pub fn standings_of(&self, account: AccountId) -> HashSet<Standing> {
        let doors = self.doors();
        doors.open.range((account, 0)..=(account, u64::MAX)).map(|(_, held)| held.standing.clone()).collect()
    }
}

impl OpenDoor {
    /// Waits until what it was opened with no longer holds.
    pub async fn shut(&self) {
        self.end.cancelled().await;
    }
}

impl Drop for OpenDoor {
    fn drop(&mut self) {
        self.doors.doors().open.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::FutureExt as _;

    use super::*;

    fn is_shut(door: &OpenDoor) -> bool {
        door.shut().now_or_never().is_some()
    }

    fn standing(account: AccountId, token_version: i64) -> Standing {
        Standing { account, token_version, api_key: None, session: None }
    }

    #[test]
    fn an_account_is_told_and_no_other() {
        let (doors, anna, ben) = (OpenDoors::default(), AccountId::new(1).unwrap(), AccountId::new(2).unwrap());
        let [first, second, other] =
            [(anna, 0), (anna, 3), (ben, 0)].map(|(who, version)| doors.open(standing(who, version)));
        assert_eq!(doors.standings(), [standing(anna, 0), standing(anna, 3), standing(ben, 0)].into());
        assert_eq!(doors.standings_of(anna), [standing(anna, 0), standing(anna, 3)].into());
        doors.shut_all(&[standing(anna, 0)].into());
        assert_eq!([&first, &second, &other].map(is_shut), [true, false, false]);
        doors.shut(anna);
        assert_eq!([&first, &second, &other].map(is_shut), [true, true, false]);
        doors.shut_all(&[standing(anna, 3), standing(ben, 0)].into());
        assert!(is_shut(&other));
    }

    #[test]
    fn what_was_opened_with_a_key_ends_with_it() {
        let (doors, anna) = (OpenDoors::default(), AccountId::new(1).unwrap());
        let [one, two] = [5, 6].map(|key| ApiKeyId::new(key).unwrap());
        let with_key = |key| doors.open(Standing { api_key: key, ..standing(anna, 0) });
        let (first, second, session) = (with_key(Some(one)), with_key(Some(two)), with_key(None));
        doors.shut_key(anna, one);
        assert_eq!([&first, &second, &session].map(is_shut), [true, false, false]);
    }

    #[test]
    fn a_session_is_told_and_no_other_of_its_account() {
        let (doors, anna) = (OpenDoors::default(), AccountId::new(1).unwrap());
        let within = |family: Option<&str>| Standing { session: family.map(Arc::from), ..standing(anna, 0) };
        let open = [Some("one"), Some("two"), None].map(|family| doors.open(within(family)));
        doors.shut_session(anna, session_number("one"));
        assert_eq!(open.each_ref().map(is_shut), [true, false, false]);
        doors.shut_all(&[within(Some("two"))].into());
        assert_eq!(open.each_ref().map(is_shut), [true, true, false]);
    }

    #[test]
    fn what_was_closed_is_forgotten() {
        let (doors, anna) = (OpenDoors::default(), AccountId::new(1).unwrap());
        let door = doors.open(standing(anna, 0));
        assert!(!doors.standings_of(anna).is_empty());
        drop(door);
        assert!(doors.standings().is_empty() && doors.standings_of(anna).is_empty());
    }
}
