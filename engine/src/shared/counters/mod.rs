//! Counts of events in sliding windows, by key: the ground of every limit. `window.rs` has the rule.

mod memory;
mod redis;
mod window;

use std::sync::Arc;
use std::time::Duration;

use super::link::Link;
use super::pseudonyms::Pseudonyms;
use crate::domain::Clock;
use memory::Memory;
use window::Window;

/// Counters: within one process, or of all replicas. While Redis is away each replica goes on from what it has seen; nothing opens.
#[derive(Debug)]
pub struct Counters {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Memory),
    Redis(redis::Redis),
}

/// Whose events are counted, under which policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subject<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// Whose.
    pub key: &'a str,
}

/// How many events may come in a window.
#[derive(Debug, Clone, Copy)]
pub struct Limit<'a> {
    /// Whose.
    pub subject: Subject<'a>,
    /// How many.
    pub limit: u32,
    /// The window; always the same for one policy.
    pub window: Duration,
}

/// What is left after an event was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Events that may come at once now.
    pub remaining: u32,
    /// Until the running window ends.
    pub resets: Duration,
}

/// A limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit {index} is reached for {retry_after:?}")]
pub struct Refused {
    /// Which of the limits, counted from 0.
    pub index: usize,
    /// Until one more fits.
    pub retry_after: Duration,
}

impl Counted {
    fn of(window: &Window, limit: &Limit<'_>, elapsed: Duration) -> Self {
        Self {
            remaining: limit.limit.saturating_sub(window.weight(elapsed)),
            resets: limit.window.saturating_sub(elapsed),
        }
    }
}

impl Counters {
    /// Counters within this process.
    #[must_use]
    pub fn memory() -> Self {
        Self { place: Place::Memory(Memory::default()) }
    }

    /// Counters of all replicas.
    pub(super) fn redis(link: Arc<Link>, names: Pseudonyms) -> Self {
        Self { place: Place::Redis(redis::Redis::new(link, names)) }
    }

    /// Counts one event against each of `limits`, or against none of them. It asks Redis once, for half a second at most.
    ///
    /// # Errors
    /// [`Refused`] by the first limit that is reached.
    pub async fn count(&self, limits: &[Limit<'_>], clock: &Clock) -> Result<Vec<Counted>, Refused> {
        match &self.place {
            Place::Memory(memory) => memory.count(limits, clock.now()),
            Place::Redis(redis) => redis.count(limits, clock, false).await,
        }
    }

    /// As [`Counters::count`], for what is never taken back: a limit that was reached when Redis was last asked refuses without asking it.
    ///
    /// # Errors
    /// [`Refused`] by the first limit that is reached.
    pub async fn count_for_good(&self, limits: &[Limit<'_>], clock: &Clock) -> Result<Vec<Counted>, Refused> {
        match &self.place {
            Place::Memory(memory) => memory.count(limits, clock.now()),
            Place::Redis(redis) => redis.count(limits, clock, true).await,
        }
    }

    /// Takes back one event.
    pub async fn uncount(&self, subject: Subject<'_>) {
        match &self.place {
            Place::Memory(memory) => memory.uncount(&subject),
            Place::Redis(redis) => redis.uncount(&subject).await,
        }
    }

    /// Forgets what has been counted in `window`.
    pub async fn clear(&self, subject: Subject<'_>, window: Duration, clock: &Clock) {
        match &self.place {
            Place::Memory(memory) => memory.clear(&subject),
            Place::Redis(redis) => redis.clear(&subject, window, clock).await,
        }
    }
}
