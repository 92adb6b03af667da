//! A circuit breaker, as a state machine that is told the time.

use std::time::{Duration, Instant};

/// Whether a target is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// It is.
    Closed,
    /// It is not, after repeated failures.
    Open,
    /// One request finds out whether it works again, or the next one will.
    HalfOpen,
}

impl BreakerState {
    /// The state as a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Opens after a number of consecutive failures; once the cool-down is over it lets exactly one
/// probe through, whose outcome closes it or opens it again.
#[derive(Debug)]
pub(super) struct Breaker {
    /// 0 never opens.
    failures_to_open: u32,
    cooldown: Duration,
    state: State,
    /// Counts the changes of state, so that a request admitted before one has no say after it.
    generation: u64,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
}

/// The leave to send one request; handed back with its outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permit {
    generation: u64,
}

impl Breaker {
    pub(super) fn new(failures_to_open: u32, cooldown: Duration) -> Self {
        Self { failures_to_open, cooldown, state: State::Closed { failures: 0 }, generation: 0 }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::Probing => BreakerState::HalfOpen,
        }
    }

    /// Whether [`Self::admit`] would give a permit.
    pub(super) fn would_admit(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } => now >= until,
            State::Probing => false,
        }
    }

    /// Leave to send one request, or `None` while the breaker is open.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Permit> {
        if !self.would_admit(now) {
            return None;
        }
        if matches!(self.state, State::Open { .. }) {
            self.enter(State::Probing);
        }
        Some(Permit { generation: self.generation })
    }

    /// The provider has begun to answer: a probe has found out enough. The permit to go on with.
    pub(super) fn answering(&mut self, permit: Permit) -> Permit {
        if self.is_current(permit) && matches!(self.state, State::Probing) {
            self.enter(State::Closed { failures: 0 });
            return Permit { generation: self.generation };
        }
        permit
    }

    /// The answer came whole.
    pub(super) fn succeed(&mut self, permit: Permit) {
        let permit = self.answering(permit);
        if self.is_current(permit)
            && let State::Closed { failures } = &mut self.state
        {
            *failures = 0;
        }
    }

    /// The provider failed.
    pub(super) fn fail(&mut self, permit: Permit, now: Instant) {
        if !self.is_current(permit) {
            return;
        }
        let opens = match &mut self.state {
            State::Closed { failures } => {
                *failures = failures.saturating_add(1);
                self.failures_to_open > 0 && *failures >= self.failures_to_open
            }
            State::Probing => true,
            State::Open { .. } => false,
        };
        if opens {
            self.enter(State::Open { until: now + self.cooldown });
        }
    }

    /// The request was given up before anything was learnt: the next one may probe at once.
    pub(super) fn abandon(&mut self, permit: Permit, now: Instant) {
        if self.is_current(permit) && matches!(self.state, State::Probing) {
            self.enter(State::Open { until: now });
        }
    }

    fn is_current(&self, permit: Permit) -> bool {
        permit.generation == self.generation
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(30);

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(3, COOLDOWN);
        for _ in 0..3 {
            let permit = breaker.admit(now).unwrap();
            breaker.fail(permit, now);
        }
        breaker
    }

    #[test]
    fn it_opens_after_the_given_number_of_consecutive_failures() {
        let now = Instant::now();
        let mut breaker = Breaker::new(3, COOLDOWN);
        for expected in [BreakerState::Closed, BreakerState::Closed, BreakerState::Open] {
            let permit = breaker.admit(now).unwrap();
            breaker.fail(permit, now);
            assert_eq!(breaker.state(now), expected);
        }
        assert!(breaker.admit(now).is_none());
    }

    #[test]
    fn a_success_in_between_begins_the_count_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::new(2, COOLDOWN);
        for _ in 0..5 {
            let permit = breaker.admit(now).unwrap();
            breaker.fail(permit, now);
            let permit = breaker.admit(now).unwrap();
            breaker.succeed(permit);
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[test]
    fn an_answer_that_begins_does_not_begin_the_count_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::new(2, COOLDOWN);
        for _ in 0..2 {
            let permit = breaker.admit(now).unwrap();
            let permit = breaker.answering(permit);
            breaker.fail(permit, now);
        }
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    #[test]
    fn after_the_cool_down_exactly_one_probe_passes() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(breaker.admit(now + COOLDOWN - Duration::from_nanos(1)).is_none());
        let later = now + COOLDOWN;
        assert!(breaker.admit(later).is_some());
        assert!(breaker.admit(later).is_none());
        assert!(breaker.admit(later + COOLDOWN * 10).is_none());
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
    }

    #[test]
    fn a_probe_that_is_answered_closes_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let probe = breaker.admit(now + COOLDOWN).unwrap();
        breaker.answering(probe);
        assert_eq!(breaker.state(now + COOLDOWN), BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_fails_opens_it_for_another_cool_down() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + COOLDOWN;
        let probe = breaker.admit(later).unwrap();
        breaker.fail(probe, later);
        assert!(breaker.admit(later).is_none());
        assert!(breaker.admit(later + COOLDOWN).is_some());
    }

    #[test]
    fn a_probe_that_is_given_up_leaves_its_place_to_the_next() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + COOLDOWN;
        let probe = breaker.admit(later).unwrap();
        breaker.abandon(probe, later);
        assert!(breaker.admit(later).is_some());
        assert!(breaker.admit(later).is_none());
    }

    #[test]
    fn a_request_from_before_it_opened_has_no_say_any_more() {
        let now = Instant::now();
        let mut breaker = Breaker::new(1, COOLDOWN);
        let slow = breaker.admit(now).unwrap();
        let failing = breaker.admit(now).unwrap();
        breaker.fail(failing, now);
        breaker.succeed(slow);
        assert_eq!(breaker.state(now), BreakerState::Open);
        let probe = breaker.admit(now + COOLDOWN).unwrap();
        breaker.fail(slow, now + COOLDOWN);
        breaker.answering(probe);
        assert_eq!(breaker.state(now + COOLDOWN), BreakerState::Closed);
    }

    #[test]
    fn nought_failures_to_open_means_never() {
        let now = Instant::now();
        let mut breaker = Breaker::new(0, COOLDOWN);
        for _ in 0..100 {
            let permit = breaker.admit(now).unwrap();
            breaker.fail(permit, now);
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }
}
