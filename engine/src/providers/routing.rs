//! All configured providers: which are asked, in which order, and how often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::{RetryClock, SystemClock};
use super::error::{ProviderError, TimeoutPhase};
use super::guard::Limits;
use super::retry::{self, Situation, Step};
use super::target::{Target, TargetState};
use super::{Answer, ChatRequest, Generate, KeyRing, Mock, ModelNames, OpenAi, Provider, http};
use crate::config::{ApiKey, ProviderSettings, TargetSettings, UpstreamKind, UpstreamSettings};

/// One target of a route, and the model that it is asked for.
#[derive(Clone)]
struct Hop {
    target: Arc<Target>,
    model: String,
}

/// The configured providers, in the order in which they are asked.
pub struct Providers {
    targets: Vec<Arc<Target>>,
    /// By name and by alias.
    routes: BTreeMap<String, Vec<Hop>>,
    clock: Arc<dyn RetryClock>,
    default_model: String,
    first_token_timeout: Duration,
    whole_timeout: Duration,
    idle_timeout: Duration,
    total_timeout: Duration,
    max_retries: u32,
    mock: bool,
}

impl Providers {
    /// The providers that have a key or an address: OpenAI, OpenRouter, Groq, Gemini, the endpoint;
    /// without any, the built-in mock. `default_model` is asked when a request names none.
    ///
    /// # Errors
    /// [`ProviderError::Settings`] when a key or a base URL cannot be used.
    pub fn from_settings(settings: &ProviderSettings, default_model: &str) -> Result<Self, ProviderError> {
        let clock: Arc<dyn RetryClock> = Arc::new(SystemClock);
        let providers = configured(settings, &clock)?;
        if !providers.is_empty() {
            return Ok(Self::with(providers, settings, default_model, clock));
        }
        tracing::warn!("no provider is configured: the built-in mock answers");
        // A mock that is told to fail for one person must not be paused for everybody.
        let settings = ProviderSettings { breaker_failures: 0, ..settings.clone() };
        let mock: Arc<dyn Provider> = Arc::new(Mock::default());
        Ok(Self { mock: true, ..Self::with(vec![mock], &settings, default_model, clock) })
    }

    /// These providers, with the limits of `settings`.
    #[must_use]
    pub fn with(
        providers: Vec<Arc<dyn Provider>>,
        settings: &ProviderSettings,
        default_model: &str,
        clock: Arc<dyn RetryClock>,
    ) -> Self {
        let target =
            |provider| Target::new(provider, settings.breaker_failures, settings.breaker_cooldown, Arc::clone(&clock));
        let targets: Vec<Arc<Target>> = providers.into_iter().map(target).collect();
        Self {
            routes: routes(settings, &targets),
            targets,
            clock: Arc::clone(&clock),
            default_model: default_model.to_owned(),
            first_token_timeout: settings.first_token_timeout,
            whole_timeout: settings.whole_timeout,
            idle_timeout: settings.idle_timeout,
            total_timeout: settings.total_timeout,
            max_retries: settings.max_retries,
            mock: false,
        }
    }

    /// Whether only the built-in mock answers.
    #[must_use]
    pub fn is_mock(&self) -> bool {
        self.mock
    }

    /// How all targets are, in the order in which they are asked.
    #[must_use]
    pub fn states(&self) -> Vec<TargetState> {
        self.targets.iter().map(|target| target.state(&self.default_model)).collect()
    }

    /// Asks the providers until one begins to answer. Dropping the future or the answer's deltas
    /// drops the connection.
    ///
    /// # Errors
    /// Why no provider answers: the first that was asked has the say. The deltas end with an error
    /// where an answer that had begun broke off; such a one is not tried again.
    pub async fn chat(&self, request: ChatRequest) -> Result<Answer, ProviderError> {
        let limits = Limits {
            first_token: self.first_token_timeout,
            whole: self.whole_timeout,
            idle: self.idle_timeout,
            total_until: Instant::now() + self.total_timeout,
        };
        let asking = Box::pin(self.ask_in_turn(request, limits));
        let outcome = tokio::time::timeout_at(limits.total_until, asking).await;
        outcome.unwrap_or(Err(ProviderError::Timeout(TimeoutPhase::Total)))
    }

    async fn ask_in_turn(&self, mut request: ChatRequest, limits: Limits) -> Result<Answer, ProviderError> {
        let model =
            if request.model.is_empty() { self.default_model.clone() } else { std::mem::take(&mut request.model) };
        let hops = self.route(&model);
        let mut failure: Option<ProviderError> = None;
        for (index, hop) in hops.iter().enumerate() {
            request.model.clone_from(&hop.model);
            let later = hops.get(index + 1..).unwrap_or_default();
            match self.ask(&hop.target, &request, limits, later).await {
                Ok(answer) => return Ok(answer),
                Err(error) if !error.fails_over() => return Err(error),
                Err(error) => failure = Some(more_telling(failure, error)),
            }
        }
        Err(failure.unwrap_or(ProviderError::UnknownModel))
    }

    /// Asks one target as often as the rules allow.
    async fn ask(
        &self,
        target: &Arc<Target>,
        request: &ChatRequest,
        limits: Limits,
        later: &[Hop],
    ) -> Result<Answer, ProviderError> {
        let mut retries = 0;
        loop {
            let error = match target.attempt(request, limits).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let situation = Situation {
                retries,
                max_retries: self.max_retries,
                another_target: later.iter().any(|hop| hop.target.would_admit()),
                remaining: limits.total_until.saturating_duration_since(Instant::now()),
                jitter: self.clock.jitter(),
            };
            match retry::after(&error, situation) {
                Step::Retry(wait) => self.clock.sleep(wait).await,
                Step::NextTarget | Step::GiveUp => return Err(error),
            }
            retries += 1;
        }
    }

    /// Who is asked for a model: a route of that name says it; else `provider/model` picks one provider, and
    /// any other name may be answered by all.
    fn route(&self, model: &str) -> Vec<Hop> {
        if let Some(route) = self.routes.get(model) {
            return route.clone();
        }
        let hop = |target: &Arc<Target>, model: &str| Hop {
            target: Arc::clone(target),
            model: target.provider.resolve_model(model),
        };
        if let Some((name, rest)) = model.split_once('/').filter(|(_, rest)| !rest.is_empty()) {
            let named = self.targets.iter().filter(|target| target.provider.name() == name);
            let picked: Vec<Hop> = named.map(|target| hop(target, rest)).collect();
            if !picked.is_empty() {
                return picked;
            }
        }
        self.targets.iter().map(|target| hop(target, model)).collect()
    }
}

/// The routes by each of their names. Targets at providers that there are not are left out: the settings have been
/// checked.
fn routes(settings: &ProviderSettings, targets: &[Arc<Target>]) -> BTreeMap<String, Vec<Hop>> {
    let mut routes = BTreeMap::new();
    for (name, route) in &settings.routes {
        let hop = |target: &TargetSettings| {
            let found = targets.iter().find(|known| known.provider.name() == target.provider)?;
            Some(Hop { target: Arc::clone(found), model: target.model.clone() })
        };
        let hops: Vec<Hop> = route.targets.iter().filter_map(hop).collect();
        for name in route.aliases.iter().chain([name]) {
            routes.insert(name.clone(), hops.clone());
        }
    }
    routes
}

/// The first error tells most, unless it is only that the target was not asked.
fn more_telling(first: Option<ProviderError>, next: ProviderError) -> ProviderError {
    first.filter(|first| *first != ProviderError::BreakerOpen).unwrap_or(next)
}

fn configured(
    settings: &ProviderSettings,
    clock: &Arc<dyn RetryClock>,
) -> Result<Vec<Arc<dyn Provider>>, ProviderError> {
    let client = http::client(settings)?;
    let openai = |name: &str, base_url: &str, keys, models| {
        let provider = OpenAi::new(name, base_url, keys, models, client.clone(), Arc::clone(clock))?;
        Ok::<Arc<dyn Provider>, ProviderError>(Arc::new(provider))
    };
    let mut providers = Vec::new();
    if let Some(key) = &settings.openai.api_key {
        providers.push(openai("openai", &settings.openai.base_url, KeyRing::new([key])?, ModelNames::OpenAi)?);
    }
    if !settings.openrouter.api_keys.is_empty() {
        let keys = KeyRing::new(&settings.openrouter.api_keys)?;
        providers.push(openai("openrouter", &settings.openrouter.base_url, keys, ModelNames::OpenRouter)?);
    }
    if let Some(key) = &settings.groq.api_key {
        providers.push(openai("groq", &settings.groq.base_url, KeyRing::new([key])?, ModelNames::Groq)?);
    }
    if let Some(key) = &settings.gemini.api_key {
        let base_url = gemini_base_url(&settings.gemini.base_url);
        providers.push(openai("gemini", &base_url, KeyRing::new([key])?, ModelNames::Gemini)?);
    }
    if let Some(endpoint) = &settings.endpoint {
        providers.push(if is_openai_compatible(endpoint)? {
            openai("endpoint", endpoint, KeyRing::new([])?, ModelNames::AsIs)?
        } else {
            Arc::new(Generate::new("endpoint", endpoint, client.clone())?)
        });
    }
    for UpstreamSettings { name, kind, url, keys } in &settings.upstreams {
        let keys = KeyRing::new(keys.iter().map(ApiKey::secret))?;
        providers.push(match kind {
            UpstreamKind::OpenAi => openai(&name.0, &url.0, keys, ModelNames::at(&url.0))?,
            UpstreamKind::Generate => Arc::new(Generate::new(&name.0, &url.0, client.clone())?),
        });
    }
    Ok(providers)
}

/// Gemini speaks OpenAI's protocol under `/openai`; <https://ai.google.dev/gemini-api/docs/openai>.
fn gemini_base_url(base_url: &str) -> String {
    let base_url = base_url.trim().trim_end_matches('/');
    if base_url.ends_with("/openai") { base_url.to_owned() } else { format!("{base_url}/openai") }
}

/// An address whose path is empty, ends in a version (`/v1`) or in `/openai`, or is the whole
/// `…/chat/completions`, is an OpenAI-compatible base; any other is a plain generate endpoint.
fn is_openai_compatible(endpoint: &str) -> Result<bool, ProviderError> {
    let url = http::base_url(endpoint)?;
    let path = url.path().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    let version = last.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    Ok(path.is_empty() || version || last == "openai" || path.ends_with("/chat/completions"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_endpoint_is_known_by_its_path() {
        for base in [
            "http://h",
            "http://h/",
            "http://h/v1",
            "http://h/api/v1/",
            "http://h/v1beta/openai",
            "http://h/v1/chat/completions",
        ] {
            assert!(is_openai_compatible(base).unwrap(), "{base}");
        }
        for plain in ["http://h/generate", "http://h/api/generate", "http://h/voice"] {
            assert!(!is_openai_compatible(plain).unwrap(), "{plain}");
        }
        assert!(is_openai_compatible("nonsense").is_err());
    }

    #[test]
    fn gemini_is_asked_under_its_openai_path() {
        assert_eq!(gemini_base_url("https://g/v1beta/"), "https://g/v1beta/openai");
        assert_eq!(gemini_base_url("https://g/v1beta/openai/"), "https://g/v1beta/openai");
    }
}
