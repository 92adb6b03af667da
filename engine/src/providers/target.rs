//! A provider, one of its models, and how they have fared; single attempts at them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram};

use super::Provider;
use super::breaker::{Breaker, BreakerState, Permit};
use super::budget::RetryBudget;
use super::clock::RetryClock;
use super::error::{ProviderError, TimeoutPhase, Verdict};
use super::guard::Limits;
use super::keys::KeyCount;

/// How a target is, for health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetState {
    /// The provider's name.
    pub name: String,
    /// The model that it is asked for; where it answers to any, the one that it answers with by default.
    pub model: Option<String>,
    /// Whether it answers to any model's name, or to that of a route alone.
    pub is_general: bool,
    /// Whether it is asked.
    pub state: BreakerState,
    /// How long it has been in that state.
    pub state_for: Duration,
    /// The code of the last attempt's error; `None` once an answer came whole.
    pub last_error: Option<&'static str>,
    /// Calls under way.
    pub in_flight: u32,
    /// The usual time until an answer begins: an average in which the newest fifth counts most. `None` before the first.
    pub usual_start: Option<Duration>,
    /// Its provider's keys.
    pub keys: KeyCount,
}

impl TargetState {
    /// The model that a route asks it for; `None` where it answers to any.
    #[must_use]
    pub fn routed_model(&self) -> Option<&str> {
        self.model.as_deref().filter(|_| !self.is_general)
    }
}

/// What holds for every target.
#[derive(Debug, Clone, Copy)]
pub(super) struct TargetRules {
    pub(super) failures_to_open: u32,
    pub(super) cooldown: Duration,
    pub(super) retry_share: f64,
}

/// A provider and how it has fared: with one model where a route names it, else with all.
///
/// The breaker is the target's, because one model of a service can fail alone. It is not the key's: a key that is
/// refused rests in its ring, and what opens a breaker is the service's failure, whichever key asks.
pub(super) struct Target {
    pub(super) provider: Arc<dyn Provider>,
    model: Option<String>,
    clock: Arc<dyn RetryClock>,
    health: Mutex<Health>,
    in_flight: AtomicU32,
    /// The usual time until an answer begins, in microseconds; 0 before the first.
    usual_start: AtomicU64,
    // What each call moves, so that no call looks them up. Not before the first: until then nobody may be measuring.
    requests: OnceLock<Counter>,
    starts: OnceLock<Histogram>,
}

struct Health {
    breaker: Breaker,
    budget: RetryBudget,
    /// Since when the breaker has been as it is.
    since: Instant,
    last_error: Option<&'static str>,
}

impl Target {
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        model: Option<String>,
        rules: TargetRules,
        clock: Arc<dyn RetryClock>,
    ) -> Arc<Self> {
        let now = clock.now();
        let health = Health {
            breaker: Breaker::new(rules.failures_to_open, rules.cooldown),
            budget: RetryBudget::new(rules.retry_share, now),
            since: now,
            last_error: None,
        };
        let target = Self {
            provider,
            model,
            clock,
            health: Mutex::new(health),
            in_flight: AtomicU32::new(0),
            usual_start: AtomicU64::new(0),
            requests: OnceLock::new(),
            starts: OnceLock::new(),
        };
        target.show_breaker(BreakerState::Closed);
        Arc::new(target)
    }

    /// Whether it is this provider with this model.
    pub(super) fn is(&self, provider: &str, model: &str) -> bool {
        self.provider.name() == provider && self.model.as_deref() == Some(model)
    }

    pub(super) fn state(&self, default_model: &str) -> TargetState {
        let health = self.health();
        let now = self.clock.now();
        let usual_start = self.usual_start.load(Relaxed);
        TargetState {
            name: self.provider.name().to_owned(),
            model: Some(self.model.clone().unwrap_or_else(|| self.provider.resolve_model(default_model))),
            is_general: self.model.is_none(),
            state: health.breaker.state(now),
            state_for: now.saturating_duration_since(health.since),
            last_error: health.last_error,
            in_flight: self.in_flight.load(Relaxed),
            usual_start: (usual_start > 0).then(|| Duration::from_micros(usual_start)),
            keys: self.provider.keys(),
        }
    }

    pub(super) fn would_admit(&self) -> bool {
        self.health().breaker.would_admit(self.clock.now())
    }

    /// Leave to ask it once more than the caller did: for a retry, or beside another.
    pub(super) fn take_extra(&self) -> bool {
        let granted = self.health().budget.withdraw(self.clock.now());
        if !granted {
            metrics::counter!("parlor_provider_retries_refused_total", &self.labels()).increment(1);
        }
        granted
    }

    /// A call that is no retry.
    pub(super) fn count_call(&self) {
        self.health().budget.deposit();
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
        let requests = || metrics::counter!("parlor_provider_requests_total", &self.labels());
        self.requests.get_or_init(requests).increment(1);
        let outcome = tokio::time::timeout_at(limits.begin_until, opening).await.unwrap_or_else(|_| {
            let phase = if limits.begins_by_total { TimeoutPhase::Total } else { TimeoutPhase::FirstToken };
            Err(ProviderError::Timeout(phase))
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

    /// Whose measurement it is; `*` stands for any model.
    fn labels(&self) -> [(&'static str, String); 2] {
        let model = self.model.as_deref().unwrap_or("*");
        [("provider", self.provider.name().to_owned()), ("model", model.to_owned())]
    }

    fn show_breaker(&self, state: BreakerState) {
        let open = f64::from(u8::from(state != BreakerState::Closed));
        metrics::gauge!("parlor_provider_breaker_open", &self.labels()).set(open);
    }

    fn count_error(&self, error: &ProviderError) {
        let [provider, model] = self.labels();
        let labels = [provider, model, ("code", error.code().to_owned())];
        metrics::counter!("parlor_provider_errors_total", &labels).increment(1);
    }

    fn note_start(&self, took: Duration) {
        let starts = || metrics::histogram!("parlor_provider_start_seconds", &self.labels());
        self.starts.get_or_init(starts).record(took);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        // Of two at once one may be lost: it is an average.
        let usual = match self.usual_start.load(Relaxed) {
            0 => took,
            usual => (usual.saturating_mul(4).saturating_add(took) / 5).max(1),
        };
        self.usual_start.store(usual, Relaxed);
    }
}

/// An attempt under way. Tells the target's breaker how it ended; dropped without an end, it was
/// given up by the caller, which says nothing about the provider.
pub(super) struct Attempt {
    target: Arc<Target>,
    permit: Option<Permit>,
    began: Instant,
}

impl Attempt {
    fn begin(target: &Arc<Target>) -> Option<Self> {
        let began = target.clock.now();
        let permit = target.health().breaker.admit(began)?;
        target.in_flight.fetch_add(1, Relaxed);
        Some(Self { target: Arc::clone(target), permit: Some(permit), began })
    }

    /// The provider has begun to answer.
    fn answering(&mut self) {
        self.target.note_start(self.target.clock.now().saturating_duration_since(self.began));
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
        tracing::warn!(
            provider = self.target.provider.name(),
            model = self.target.model,
            code = error.code(),
            "an attempt failed: {error}"
        );
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
    fn change<T>(&self, change: impl FnOnce(&mut Health, Instant) -> T) -> T {
        let now = self.target.clock.now();
        let mut health = self.target.health();
        let before = health.breaker.state(now);
        let outcome = change(&mut health, now);
        let after = health.breaker.state(now);
        if before != after {
            health.since = now;
        }
        drop(health);
        if before != after {
            self.target.show_breaker(after);
            tracing::warn!(
                provider = self.target.provider.name(),
                model = self.target.model,
                breaker = after.as_str(),
                "the breaker moved"
            );
        }
        outcome
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.target.in_flight.fetch_sub(1, Relaxed);
        if let Some(permit) = self.permit.take() {
            self.change(|health, now| health.breaker.abandon(permit, now));
        }
    }
}
