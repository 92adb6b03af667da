//! A provider with its state of health, and single attempts at it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Provider;
use super::breaker::{Breaker, BreakerState, Permit};
use super::clock::RetryClock;
use super::error::{ProviderError, TimeoutPhase, Verdict};
use super::guard::Limits;

/// How a target is, for health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetState {
    /// The provider's name.
    pub name: String,
    /// The model that it answers with by default.
    pub model: Option<String>,
    /// Whether it is asked.
    pub state: BreakerState,
    /// The code of the last attempt's error; `None` once an answer came whole.
    pub last_error: Option<&'static str>,
}

/// A provider and how it has fared.
pub(super) struct Target {
    pub(super) provider: Arc<dyn Provider>,
    clock: Arc<dyn RetryClock>,
    health: Mutex<Health>,
}

struct Health {
    breaker: Breaker,
    last_error: Option<&'static str>,
}

impl Target {
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        failures_to_open: u32,
        cooldown: Duration,
        clock: Arc<dyn RetryClock>,
    ) -> Arc<Self> {
        let breaker = Breaker::new(failures_to_open, cooldown);
        let target = Self { provider, clock, health: Mutex::new(Health { breaker, last_error: None }) };
        target.show_breaker(BreakerState::Closed);
        Arc::new(target)
    }

    pub(super) fn state(&self, default_model: &str) -> TargetState {
        let health = self.health();
        TargetState {
            name: self.provider.name().to_owned(),
            model: Some(self.provider.resolve_model(default_model)),
            state: health.breaker.state(self.clock.now()),
            last_error: health.last_error,
        }
    }

    pub(super) fn would_admit(&self) -> bool {
        self.health().breaker.would_admit(self.clock.now())
    }

    /// Waits for what `opening` asks the provider for, within the limit for its beginning.
    pub(super) async fn attempt<T>(
        self: &Arc<Self>,
        limits: Limits,
        opening: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<(T, Attempt), ProviderError> {
        let Some(mut attempt) = Attempt::begin(self) else {
            self.count_error(&ProviderError::BreakerOpen);
            return Err(ProviderError::BreakerOpen);
        };
        metrics::counter!("parlor_provider_requests_total", "provider" => self.provider.name().to_owned()).increment(1);
        let outcome = tokio::time::timeout_at(limits.begin_until, opening).await.unwrap_or_else(|_| {
            let late = limits.begin_until == limits.total_until;
            Err(ProviderError::Timeout(if late { TimeoutPhase::Total } else { TimeoutPhase::FirstToken }))
        });
        match outcome {
            Ok(opened) => {
                attempt.answering();
                Ok((opened, attempt))
            }
            Err(error) => {
                attempt.fail(&error);
                Err(error)
            }
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show_breaker(&self, state: BreakerState) {
        let open = f64::from(u8::from(state != BreakerState::Closed));
        metrics::gauge!("parlor_provider_breaker_open", "provider" => self.provider.name().to_owned()).set(open);
    }

    fn count_error(&self, error: &ProviderError) {
        metrics::counter!(
            "parlor_provider_errors_total",
            "provider" => self.provider.name().to_owned(),
            "code" => error.code()
        )
        .increment(1);
    }
}

/// An attempt under way. Tells the target's breaker how it ended; dropped without an end, it was
/// given up by the caller, which says nothing about the provider.
pub(super) struct Attempt {
    target: Arc<Target>,
    permit: Option<Permit>,
}

impl Attempt {
    fn begin(target: &Arc<Target>) -> Option<Self> {
        let permit = target.health().breaker.admit(target.clock.now())?;
        Some(Self { target: Arc::clone(target), permit: Some(permit) })
    }

    /// The provider has begun to answer.
    fn answering(&mut self) {
        if let Some(permit) = self.permit {
            self.permit = Some(self.change(|health, _| health.breaker.answering(permit)));
        }
    }

    /// The answer came whole.
    pub(super) fn succeed(mut self) {
        if let Some(permit) = self.permit.take() {
            self.change(|health, _| {
                health.breaker.succeed(permit);
                health.last_error = None;
            });
        }
    }

    /// The attempt ended with `error`.
    pub(super) fn fail(mut self, error: &ProviderError) {
        tracing::warn!(provider = self.target.provider.name(), code = error.code(), "an attempt failed: {error}");
        self.target.count_error(error);
        if let Some(permit) = self.permit.take() {
            self.change(|health, now| {
                health.last_error = Some(error.code());
                match error.verdict() {
                    Verdict::Failing => health.breaker.fail(permit, now),
                    Verdict::Answering => {
                        health.breaker.answering(permit);
                    }
                    Verdict::Unknown => health.breaker.abandon(permit, now),
                }
            });
        }
    }

    /// Changes the target's health, and shows it where the breaker moved.
    fn change<T>(&self, change: impl FnOnce(&mut Health, std::time::Instant) -> T) -> T {
        let now = self.target.clock.now();
        let mut health = self.target.health();
        let before = health.breaker.state(now);
        let outcome = change(&mut health, now);
        let after = health.breaker.state(now);
        drop(health);
        if before != after {
            self.target.show_breaker(after);
            tracing::warn!(provider = self.target.provider.name(), breaker = after.as_str(), "the breaker moved");
        }
        outcome
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.change(|health, now| health.breaker.abandon(permit, now));
        }
    }
}
