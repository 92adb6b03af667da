//! What to do after a failed attempt: try again, go to the next target, or give up.

use std::time::Duration;

use super::error::{ProviderError, TimeoutPhase};

/// The wait before the first retry; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// The longest wait that we choose ourselves.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// The longest wait that a provider may ask for; it is not retried when it asks for more.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// The next step after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the same target again after this wait.
    Retry(Duration),
    /// Ask the next target.
    NextTarget,
    /// Answer with the error.
    GiveUp,
}

/// Where a call stands when an attempt has failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// How many times this target was tried again already.
    pub(super) retries: u32,
    /// How many times it may be.
    pub(super) max_retries: u32,
    /// Whether a later target would take the request.
    pub(super) another_target: bool,
    /// What is left of the whole call's time.
    pub(super) remaining: Duration,
    /// A random number in `0.0..1.0`.
    pub(super) jitter: f64,
}

/// Decides on the step after `error`.
pub(super) fn after(error: &ProviderError, at: Situation) -> Step {
    if !error.fails_over() {
        return Step::GiveUp;
    }
    let otherwise = if at.another_target { Step::NextTarget } else { Step::GiveUp };
    // Another target answers sooner than one that asks us to wait or that has just used up the
    // whole time for a first token.
    let slow = matches!(error, ProviderError::RateLimited { .. } | ProviderError::Timeout(TimeoutPhase::FirstToken));
    if !error.is_retryable() || at.retries >= at.max_retries || (slow && at.another_target) {
        return otherwise;
    }
    let asked = error.retry_after().unwrap_or_default();
    if asked > MAX_RETRY_AFTER {
        return otherwise;
    }
    let wait = backoff(at.retries, at.jitter).max(asked);
    if wait >= at.remaining { otherwise } else { Step::Retry(wait) }
}

/// Exponential back-off whose upper half is random, so that callers who failed together do not
/// come back together.
fn backoff(retries: u32, jitter: f64) -> Duration {
    let full = FIRST_BACKOFF.saturating_mul(1 << retries.min(10)).min(MAX_BACKOFF);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Situation = Situation {
        retries: 0,
        max_retries: 2,
        another_target: false,
        remaining: Duration::from_secs(60),
        jitter: 1.0,
    };

    #[test]
    fn the_wait_doubles_up_to_a_limit_and_at_least_half_of_it_is_certain() {
        assert_eq!(backoff(0, 1.0), Duration::from_millis(200));
        assert_eq!(backoff(0, 0.0), Duration::from_millis(100));
        assert_eq!(backoff(1, 1.0), Duration::from_millis(400));
        assert_eq!(backoff(2, 1.0), Duration::from_millis(800));
        assert_eq!(backoff(u32::MAX, 1.0), MAX_BACKOFF);
    }

    #[test]
    fn a_failing_provider_is_retried_as_often_as_allowed_and_then_left() {
        let error = ProviderError::Unavailable { status: 503 };
        assert_eq!(after(&error, AT), Step::Retry(Duration::from_millis(200)));
        assert_eq!(after(&error, Situation { retries: 2, ..AT }), Step::GiveUp);
        assert_eq!(after(&error, Situation { retries: 2, another_target: true, ..AT }), Step::NextTarget);
    }

    #[test]
    fn the_wait_that_a_provider_asks_for_is_honoured_up_to_a_limit() {
        let asks = |seconds| ProviderError::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(after(&asks(3), AT), Step::Retry(Duration::from_secs(3)));
        assert_eq!(after(&asks(30), AT), Step::Retry(Duration::from_secs(30)));
        assert_eq!(after(&asks(31), AT), Step::GiveUp);
        assert_eq!(after(&asks(3), Situation { another_target: true, ..AT }), Step::NextTarget);
    }

    #[test]
    fn a_wait_longer_than_the_time_left_is_not_begun() {
        let error = ProviderError::RateLimited { retry_after: Some(Duration::from_secs(3)) };
        assert_eq!(after(&error, Situation { remaining: Duration::from_secs(2), ..AT }), Step::GiveUp);
    }

    #[test]
    fn a_bad_request_is_neither_retried_nor_carried_to_another_provider() {
        let error = ProviderError::bad_request(400);
        assert_eq!(after(&error, Situation { another_target: true, ..AT }), Step::GiveUp);
        assert_eq!(after(&ProviderError::ContentFiltered, AT), Step::GiveUp);
    }

    #[test]
    fn a_refused_key_goes_to_the_next_target_at_once() {
        assert_eq!(after(&ProviderError::Unauthorized, Situation { another_target: true, ..AT }), Step::NextTarget);
        assert_eq!(after(&ProviderError::Unauthorized, AT), Step::GiveUp);
    }
}
