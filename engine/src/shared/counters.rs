//! Counts of events in sliding windows, by key: the ground of every limit.
//!
//! A window slides by weighing: what was counted in the last fixed window counts as far as that window still reaches into the sliding one.
//! So no edge lets twice the limit through, and a key costs two numbers, however high its limit is.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::Timestamp;

/// Keys remembered at most. When full, the windows that have passed go; if none has, the new key counts as over its limit, so that a
/// flood of keys never opens a limit.
const CAPACITY: usize = 100_000;
/// The least that a wait lasts.
const MOMENT: Duration = Duration::from_micros(1);

/// Counters within one process.
#[derive(Debug, Default)]
pub struct Counters {
    /// Keys are kept as hashes under a random seed: they are addresses and names of people.
    windows: Mutex<HashMap<u64, Window>>,
    hasher: RandomState,
}

/// What is left after an event was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Events that may come at once now.
    pub remaining: u32,
    /// Until the running window ends.
    pub resets: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Timestamp,
    length: Duration,
    before: u32,
    count: u32,
}

impl Window {
    const fn new(began: Timestamp, length: Duration) -> Self {
        Self { began, length, before: 0, count: 0 }
    }

    /// Nothing counted in it weighs any more.
    fn has_passed(&self, now: Timestamp) -> bool {
        now.since(self.began) >= self.length.saturating_mul(2)
    }

    /// Moves on, so that `now` lies in the running window. Returns how far in.
    fn advance(&mut self, now: Timestamp) -> Duration {
        if self.has_passed(now) {
            *self = Self::new(now, self.length);
        } else if now.since(self.began) >= self.length {
            *self = Self { began: self.began.plus(self.length), length: self.length, before: self.count, count: 0 };
        }
        now.since(self.began)
    }

    /// How many weigh, `elapsed` into the running window.
    fn weight(&self, elapsed: Duration) -> u32 {
        let left = self.length.saturating_sub(elapsed).as_micros();
        let before = u128::from(self.before) * left / self.length.as_micros().max(1);
        self.count.saturating_add(u32::try_from(before).unwrap_or(u32::MAX))
    }

    /// How long until fewer than `limit` weigh.
    fn wait(&self, limit: u32, elapsed: Duration) -> Duration {
        let until_next = self.length.saturating_sub(elapsed);
        // The time after which `free` of `counted` are left of a window that has ended.
        let fades = |counted: u32, free: u32| {
            let kept = self.length.as_micros() * u128::from(free) / u128::from(counted.max(1));
            self.length.saturating_sub(Duration::from_micros(u64::try_from(kept).unwrap_or(u64::MAX)))
        };
        if self.count >= limit {
            return until_next + fades(self.count, limit) + MOMENT;
        }
        fades(self.before, limit - self.count).saturating_sub(elapsed) + MOMENT
    }
}

impl Counters {
    /// Counts one event of `key`, unless `limit` of them weigh in the window that ends now.
    ///
    /// # Errors
    /// The time until one more fits, when the limit is reached.
    pub fn count(
        &self,
        key: &(impl Hash + ?Sized),
        limit: u32,
        window: Duration,
        now: Timestamp,
    ) -> Result<Counted, Duration> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.hasher.hash_one(key);
        if windows.len() >= CAPACITY && !windows.contains_key(&id) {
            windows.retain(|_, window| !window.has_passed(now));
            if windows.len() >= CAPACITY {
                return Err(window);
            }
        }
        let entry = windows.entry(id).or_insert(Window::new(now, window));
        let elapsed = entry.advance(now);
        let weight = entry.weight(elapsed);
        if weight >= limit {
            return Err(entry.wait(limit, elapsed));
        }
        entry.count += 1;
        Ok(Counted { remaining: limit - weight - 1, resets: window.saturating_sub(elapsed) })
    }

    /// Takes back one event of `key`.
    pub fn uncount(&self, key: &(impl Hash + ?Sized)) {
        let id = self.hasher.hash_one(key);
        if let Some(window) = self.windows.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&id) {
            window.count = window.count.saturating_sub(1);
        }
    }

    /// Forgets what has been counted of `key`.
    pub fn clear(&self, key: &(impl Hash + ?Sized)) {
        let id = self.hasher.hash_one(key);
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const START: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn seconds(number: u64) -> Timestamp {
        START.plus(Duration::from_secs(number))
    }

    fn allowed(counters: &Counters, limit: u32, at: Timestamp, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(counters.count("a", limit, MINUTE, at).is_ok())).sum()
    }

    #[test]
    fn a_window_lets_its_number_through_and_says_when_one_more_fits() {
        let counters = Counters::default();
        assert_eq!(counters.count("a", 2, MINUTE, START), Ok(Counted { remaining: 1, resets: MINUTE }));
        assert_eq!(counters.count("a", 2, MINUTE, START), Ok(Counted { remaining: 0, resets: MINUTE }));
        let later = seconds(20);
        let wait = counters.count("a", 2, MINUTE, later).unwrap_err();
        assert_eq!(wait, Duration::from_secs(40) + MOMENT);
        assert!(counters.count("b", 2, MINUTE, later).is_ok());
        assert!(counters.count("a", 2, MINUTE, seconds(60)).is_err());
        assert!(counters.count("a", 2, MINUTE, later.plus(wait)).is_ok());
    }

    #[test]
    fn the_edge_of_a_window_lets_no_second_burst_through() {
        let counters = Counters::default();
        assert_eq!(allowed(&counters, 60, START, 1), 1);
        assert_eq!(allowed(&counters, 60, seconds(59), 100), 59);
        assert_eq!(allowed(&counters, 60, seconds(60), 100), 0);
        assert_eq!(allowed(&counters, 60, seconds(75), 100), 15);
        assert_eq!(allowed(&counters, 60, seconds(90), 100), 15);
        assert_eq!(allowed(&counters, 60, seconds(1000), 100), 60);
    }

    #[test]
    fn after_the_wait_that_was_told_one_more_fits_and_before_it_none() {
        let counters = Counters::default();
        let mut now = START;
        for step in 0..500_u64 {
            now = now.plus(Duration::from_millis(step * 37 % 4000));
            if let Err(wait) = counters.count("a", 7, MINUTE, now) {
                assert!(counters.count("a", 7, MINUTE, now.plus(wait - MOMENT - MOMENT)).is_err(), "{step}");
                now = now.plus(wait);
                assert!(counters.count("a", 7, MINUTE, now).is_ok(), "{step}");
            }
        }
    }

    #[test]
    fn what_is_cleared_counts_from_zero() {
        let counters = Counters::default();
        assert!(counters.count("a", 1, MINUTE, START).is_ok());
        counters.clear("a");
        assert!(counters.count("a", 1, MINUTE, START).is_ok());
    }

    #[test]
    fn what_is_taken_back_was_never_counted() {
        let counters = Counters::default();
        assert!(counters.count("a", 1, MINUTE, START).is_ok());
        counters.uncount("a");
        assert!(counters.count("a", 1, MINUTE, START).is_ok());
    }

    #[test]
    fn a_flood_of_keys_opens_no_limit() {
        let counters = Counters::default();
        for key in 0..CAPACITY {
            assert!(counters.count(&key, 1, MINUTE, START).is_ok());
        }
        assert!(counters.count("one more", 1, MINUTE, START).is_err());
        assert!(counters.count(&0, 1, MINUTE, START).is_err());
        assert!(counters.count("one more", 1, MINUTE, START.plus(MINUTE * 2)).is_ok());
    }
}
