//! A budget for retries: a token bucket that calls fill and retries empty, so that a provider in trouble is not asked
//! many times over by everybody at once.

use std::time::{Duration, Instant};

/// What is in it at the start, and the most that time alone puts in: somebody who is alone may retry too.
const RESERVE: f64 = 10.0;
/// How long time alone takes for one retry.
const REFILL: Duration = Duration::from_secs(1);
/// The most that it holds, in retries.
const CAPACITY: f64 = 100.0;

/// Over many calls, at most `share` retries for each call, and one a second.
#[derive(Debug)]
pub(super) struct RetryBudget {
    share: f64,
    tokens: f64,
    filled: Instant,
}

impl RetryBudget {
    pub(super) fn new(share: f64, now: Instant) -> Self {
        Self { share, tokens: RESERVE, filled: now }
    }

    /// A call that is no retry.
    pub(super) fn deposit(&mut self) {
        self.tokens = (self.tokens + self.share).min(CAPACITY);
    }

    /// Leave for one retry.
    pub(super) fn withdraw(&mut self, now: Instant) -> bool {
        let idle = now.saturating_duration_since(self.filled);
        self.filled = now;
        if self.tokens < RESERVE {
            self.tokens = (self.tokens + idle.as_secs_f64() / REFILL.as_secs_f64()).min(RESERVE);
        }
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(budget: &mut RetryBudget, now: Instant) -> usize {
        (0..1000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn retries_never_exceed_their_share_of_the_calls() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(0.25, now);
        assert_eq!(granted(&mut budget, now), 10);
        for _ in 0..40 {
            budget.deposit();
        }
        assert_eq!(granted(&mut budget, now), 10);
    }

    #[test]
    fn time_alone_fills_no_more_than_the_reserve() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(0.0, now);
        assert_eq!(granted(&mut budget, now), 10);
        assert_eq!(granted(&mut budget, now + Duration::from_secs(3)), 3);
        assert_eq!(granted(&mut budget, now + Duration::from_secs(3600)), 10);
    }

    #[test]
    fn calls_save_up_for_no_more_than_the_capacity() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(1.0, now);
        (0..1000).for_each(|_| budget.deposit());
        assert_eq!(granted(&mut budget, now), 100);
    }
}
