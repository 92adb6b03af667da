//! Windows within one process.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::window::Window;
use super::{Counted, Limit, Refused, Subject};
use crate::domain::Timestamp;

/// Keys remembered at most. When full, the windows that have passed go; if none has, the new key counts as over its limit, so that a
/// flood of keys never opens a limit.
pub(super) const CAPACITY: usize = 100_000;

/// Counters within one process.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Keys are kept as hashes under a random seed: they are addresses and names of people.
    windows: Mutex<HashMap<u64, Seen>>,
    hasher: RandomState,
}

/// A window as this process knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) window: Window,
    /// Something was counted here that Redis has not been told.
    pub(super) is_ahead: bool,
}

impl Memory {
    fn windows(&self) -> MutexGuard<'_, HashMap<u64, Seen>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, subject: &Subject<'_>) -> u64 {
        self.hasher.hash_one(subject)
    }

    /// Counts one event of each, or of none.
    pub(super) fn count(&self, limits: &[Limit<'_>], now: Timestamp) -> Result<Vec<Counted>, Refused> {
        let mut windows = self.windows();
        for (index, limit) in limits.iter().enumerate() {
            let id = self.id(&limit.subject);
            if !has_room(&mut windows, id, now) {
                return Err(Refused { index, retry_after: limit.window });
            }
            let seen = windows.entry(id).or_insert(Seen { window: Window::new(now, limit.window), is_ahead: false });
            let elapsed = seen.window.advance(now);
            if seen.window.weight(elapsed) >= limit.limit {
                return Err(Refused { index, retry_after: seen.window.wait(limit.limit, elapsed) });
            }
        }
        let counted = limits.iter().filter_map(|limit| {
            let seen = windows.get_mut(&self.id(&limit.subject))?;
            let elapsed = now.since(seen.window.began);
            seen.window.count = seen.window.count.saturating_add(1);
            seen.is_ahead = true;
            Some(Counted::of(&seen.window, limit, elapsed))
        });
        Ok(counted.collect())
    }

    /// Whether one of them is full by what is known here.
    pub(super) fn check(&self, limits: &[Limit<'_>], now: Timestamp) -> Result<(), Refused> {
        let windows = self.windows();
        for (index, limit) in limits.iter().enumerate() {
            let Some(mut window) = windows.get(&self.id(&limit.subject)).map(|seen| seen.window) else { continue };
            let elapsed = window.advance(now);
            if window.weight(elapsed) >= limit.limit {
                return Err(Refused { index, retry_after: window.wait(limit.limit, elapsed) });
            }
        }
        Ok(())
    }

    /// What is known here.
    pub(super) fn seen(&self, subject: &Subject<'_>) -> Option<Seen> {
        self.windows().get(&self.id(subject)).copied()
    }

    /// Notes what Redis knows.
    pub(super) fn note(&self, subject: &Subject<'_>, known: Window, now: Timestamp) {
        let mut windows = self.windows();
        let id = self.id(subject);
        if !has_room(&mut windows, id, now) {
            return;
        }
        let seen = windows.entry(id).or_insert(Seen { window: known, is_ahead: false });
        // Answers may come in another order than they were given in.
        if known.began > seen.window.began || (known.began == seen.window.began && known.count >= seen.window.count) {
            *seen = Seen { window: known, is_ahead: false };
        }
    }

    /// Takes back one event.
    pub(super) fn uncount(&self, subject: &Subject<'_>) {
        if let Some(seen) = self.windows().get_mut(&self.id(subject)) {
            seen.window.count = seen.window.count.saturating_sub(1);
        }
    }

    /// Forgets what has been counted.
    pub(super) fn clear(&self, subject: &Subject<'_>) {
        self.windows().remove(&self.id(subject));
    }
}

/// Whether `id` is known, or may be.
fn has_room(windows: &mut HashMap<u64, Seen>, id: u64, now: Timestamp) -> bool {
    if windows.len() >= CAPACITY && !windows.contains_key(&id) {
        windows.retain(|_, seen| !seen.window.has_passed(now));
    }
    windows.len() < CAPACITY || windows.contains_key(&id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::super::window::MOMENT;
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const START: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn seconds(number: u64) -> Timestamp {
        START.plus(Duration::from_secs(number))
    }

    fn limit(key: &str, limit: u32) -> Limit<'_> {
        Limit { subject: Subject { policy: "test", key }, limit, window: MINUTE }
    }

    fn count(memory: &Memory, key: &str, most: u32, now: Timestamp) -> Result<Counted, Duration> {
        memory.count(&[limit(key, most)], now).map(|counted| counted[0]).map_err(|refused| refused.retry_after)
    }

    fn allowed(memory: &Memory, most: u32, at: Timestamp, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(count(memory, "a", most, at).is_ok())).sum()
    }

    #[test]
    fn a_window_lets_its_number_through_and_says_when_one_more_fits() {
        let memory = Memory::default();
        assert_eq!(count(&memory, "a", 2, START), Ok(Counted { remaining: 1, resets: MINUTE }));
        assert_eq!(count(&memory, "a", 2, START), Ok(Counted { remaining: 0, resets: MINUTE }));
        let later = seconds(20);
        let wait = count(&memory, "a", 2, later).unwrap_err();
        assert_eq!(wait, Duration::from_secs(40) + MOMENT);
        assert!(count(&memory, "b", 2, later).is_ok());
        assert!(count(&memory, "a", 2, seconds(60)).is_err());
        assert!(count(&memory, "a", 2, later.plus(wait)).is_ok());
    }

    #[test]
    fn the_edge_of_a_window_lets_no_second_burst_through() {
        let memory = Memory::default();
        assert_eq!(allowed(&memory, 60, START, 1), 1);
        assert_eq!(allowed(&memory, 60, seconds(59), 100), 59);
        assert_eq!(allowed(&memory, 60, seconds(60), 100), 0);
        assert_eq!(allowed(&memory, 60, seconds(75), 100), 15);
        assert_eq!(allowed(&memory, 60, seconds(90), 100), 15);
        assert_eq!(allowed(&memory, 60, seconds(1000), 100), 60);
    }

    #[test]
    fn after_the_wait_that_was_told_one_more_fits_and_before_it_none() {
        let memory = Memory::default();
        let mut now = START;
        for step in 0..500_u64 {
            now = now.plus(Duration::from_millis(step * 37 % 4000));
            if let Err(wait) = count(&memory, "a", 7, now) {
                assert!(count(&memory, "a", 7, now.plus(wait - MOMENT - MOMENT)).is_err(), "{step}");
                now = now.plus(wait);
                assert!(count(&memory, "a", 7, now).is_ok(), "{step}");
            }
        }
    }

    #[test]
    fn what_is_cleared_counts_from_zero() {
        let memory = Memory::default();
        assert!(count(&memory, "a", 1, START).is_ok());
        memory.clear(&limit("a", 1).subject);
        assert!(count(&memory, "a", 1, START).is_ok());
    }

    #[test]
    fn what_is_taken_back_was_never_counted() {
        let memory = Memory::default();
        assert!(count(&memory, "a", 1, START).is_ok());
        memory.uncount(&limit("a", 1).subject);
        assert!(count(&memory, "a", 1, START).is_ok());
    }

    #[test]
    fn what_one_limit_refuses_counts_against_none() {
        let memory = Memory::default();
        assert!(count(&memory, "b", 1, START).is_ok());
        let refused = memory.count(&[limit("a", 1), limit("b", 1)], START).unwrap_err();
        assert_eq!(refused.index, 1);
        assert!(count(&memory, "a", 1, START).is_ok());
    }

    #[test]
    fn what_has_been_noted_is_counted_on_from_and_an_older_answer_changes_nothing() {
        let memory = Memory::default();
        let subject = limit("a", 3).subject;
        let window = |count| Window { began: START, length: MINUTE, before: 0, count };
        memory.note(&subject, window(2), START);
        memory.note(&subject, window(1), START);
        assert!(!memory.seen(&subject).unwrap().is_ahead);
        assert_eq!(count(&memory, "a", 3, START), Ok(Counted { remaining: 0, resets: MINUTE }));
        assert!(memory.seen(&subject).unwrap().is_ahead);
        assert!(memory.check(&[limit("a", 3)], START).is_err());
        memory.note(&subject, Window::new(seconds(1), MINUTE), seconds(1));
        assert!(memory.check(&[limit("a", 3)], seconds(1)).is_ok());
    }

    #[test]
    fn a_flood_of_keys_opens_no_limit() {
        let memory = Memory::default();
        for key in 0..CAPACITY {
            assert!(count(&memory, &key.to_string(), 1, START).is_ok());
        }
        assert!(count(&memory, "one more", 1, START).is_err());
        assert!(count(&memory, "0", 1, START).is_err());
        assert!(count(&memory, "one more", 1, START.plus(MINUTE * 2)).is_ok());
    }
}
