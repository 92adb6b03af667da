//! The rule of every limit: a sliding window.
//!
//! A window slides by weighing: what was counted in the last fixed window counts as far as that window still reaches into the sliding one.
//! So no edge lets twice the limit through, and a key costs three numbers, however high its limit is. `count.lua` says the same in Redis; a
//! property test holds them to each other.

use std::time::Duration;

use crate::domain::Timestamp;

/// The least that a wait lasts.
pub(super) const MOMENT: Duration = Duration::from_micros(1);

/// A fixed window and what the one before it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) began: Timestamp,
    pub(super) length: Duration,
    pub(super) before: u32,
    pub(super) count: u32,
}

impl Window {
    pub(super) const fn new(began: Timestamp, length: Duration) -> Self {
        Self { began, length, before: 0, count: 0 }
    }

    /// Nothing counted in it weighs any more.
    pub(super) fn has_passed(&self, now: Timestamp) -> bool {
        now.since(self.began) >= self.length.saturating_mul(2)
    }

    /// Moves on, so that `now` lies in the running window, which begins now when nothing is counted in it. Returns how far in.
    pub(super) fn advance(&mut self, now: Timestamp) -> Duration {
        if self.has_passed(now) || (self.before == 0 && self.count == 0) {
            *self = Self::new(now, self.length);
        } else if now.since(self.began) >= self.length {
            *self = Self { began: self.began.plus(self.length), length: self.length, before: self.count, count: 0 };
        }
        now.since(self.began)
    }

    /// How many weigh, `elapsed` into the running window.
    pub(super) fn weight(&self, elapsed: Duration) -> u32 {
        let left = self.length.saturating_sub(elapsed).as_micros();
        let before = u128::from(self.before) * left / self.length.as_micros().max(1);
        self.count.saturating_add(u32::try_from(before).unwrap_or(u32::MAX))
    }

    /// How long until fewer than `limit` weigh.
    pub(super) fn wait(&self, limit: u32, elapsed: Duration) -> Duration {
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
