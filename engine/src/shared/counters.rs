//! Counts of events in fixed windows, by key: the ground of every limit.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::Timestamp;

/// Keys remembered at most. When full, the windows that have passed go; if none has, the new key counts as over its limit, so that a
/// flood of keys never opens a limit.
const CAPACITY: usize = 100_000;

/// Counters within one process.
#[derive(Debug, Default)]
pub struct Counters {
    /// Keys are kept as hashes under a random seed: they are addresses and names of people.
    windows: Mutex<HashMap<u64, Window>>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends: Timestamp,
    count: u32,
}

impl Counters {
    /// Counts one event of `key`, unless `limit` of them have been counted in the running window.
    ///
    /// # Errors
    /// The time until the window ends, when the limit is reached.
    pub fn count(&self, key: &str, limit: u32, window: Duration, now: Timestamp) -> Result<(), Duration> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.hasher.hash_one(key);
        if windows.len() >= CAPACITY && !windows.contains_key(&id) {
            windows.retain(|_, window| window.ends > now);
            if windows.len() >= CAPACITY {
                return Err(window);
            }
        }
        let fresh = Window { ends: now.plus(window), count: 0 };
        let entry = windows.entry(id).or_insert(fresh);
        if entry.ends <= now {
            *entry = fresh;
        }
        if entry.count >= limit {
            return Err(entry.ends.since(now));
        }
        entry.count += 1;
        Ok(())
    }

    /// Takes back one event of `key`.
    pub fn uncount(&self, key: &str) {
        let id = self.hasher.hash_one(key);
        if let Some(window) = self.windows.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&id) {
            window.count = window.count.saturating_sub(1);
        }
    }

    /// Forgets what has been counted of `key`.
    pub fn clear(&self, key: &str) {
        let id = self.hasher.hash_one(key);
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const START: Timestamp = Timestamp::from_micros(1_000_000_000);

    #[test]
    fn a_window_lets_its_number_through_and_says_when_it_ends() {
        let counters = Counters::default();
        assert_eq!(counters.count("a", 2, MINUTE, START), Ok(()));
        assert_eq!(counters.count("a", 2, MINUTE, START), Ok(()));
        let later = START.plus(Duration::from_secs(20));
        assert_eq!(counters.count("a", 2, MINUTE, later), Err(Duration::from_secs(40)));
        assert_eq!(counters.count("b", 2, MINUTE, later), Ok(()));
        assert_eq!(counters.count("a", 2, MINUTE, START.plus(MINUTE)), Ok(()));
    }

    #[test]
    fn what_is_cleared_counts_from_zero() {
        let counters = Counters::default();
        assert_eq!(counters.count("a", 1, MINUTE, START), Ok(()));
        counters.clear("a");
        assert_eq!(counters.count("a", 1, MINUTE, START), Ok(()));
    }

    #[test]
    fn what_is_taken_back_was_never_counted() {
        let counters = Counters::default();
        assert_eq!(counters.count("a", 1, MINUTE, START), Ok(()));
        counters.uncount("a");
        assert_eq!(counters.count("a", 1, MINUTE, START), Ok(()));
    }

    #[test]
    fn a_flood_of_keys_opens_no_limit() {
        let counters = Counters::default();
        for key in 0..CAPACITY {
            assert_eq!(counters.count(&key.to_string(), 1, MINUTE, START), Ok(()));
        }
        assert!(counters.count("one more", 1, MINUTE, START).is_err());
        assert!(counters.count("0", 1, MINUTE, START).is_err());
        assert_eq!(counters.count("one more", 1, MINUTE, START.plus(MINUTE)), Ok(()));
    }
}
