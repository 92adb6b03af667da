//! All configured providers: which are asked, in which order, and how often.

use std::collections::HashMap;
use std::sync::Arc;

use super::asking::{self, Chat, Rules, Wire};
use super::clock::{RetryClock, SystemClock};
use super::error::ProviderError;
use super::route::{Hop, Patience, Route};
use super::target::{Target, TargetState};
use super::wire::{WireAnswer, WireRequest};
use super::{Answer, ChatRequest, Generate, KeyRing, Mock, ModelNames, OpenAi, Provider, http};
use crate::config::{ApiKey, ProviderSettings, UpstreamKind, UpstreamSettings};

/// The configured providers, and who answers to which model's name.
pub struct Providers {
    /// In the order in which they are asked.
    targets: Vec<Arc<Target>>,
    routes: Routes,
    rules: Rules,
    default_model: String,
    mock: bool,
}

struct Routes {
    /// By name and by alias.
    named: HashMap<String, Arc<Route>>,
    /// Those of single providers, by the provider's name.
    single: HashMap<String, Arc<Route>>,
    /// Every provider in turn: of any other name.
    all: Arc<Route>,
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
            routes: Routes::new(settings, &targets),
            targets,
            rules: Rules { clock, max_retries: settings.max_retries },
            default_model: default_model.to_owned(),
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
    pub async fn chat(&self, mut request: ChatRequest) -> Result<Answer, ProviderError> {
        if request.model.is_empty() {
            request.model.clone_from(&self.default_model);
        }
        let (route, rest) = self.routes.of(&request.model);
        if let Some(rest) = rest {
            request.model = rest.to_owned();
        }
        asking::ask(&route, &self.rules, &Chat { request }).await
    }

    /// Passes a request on to the targets of `model` until one begins to answer, by the rules of [`Self::chat`]; a
    /// target that does not speak the protocol is asked for the typed request instead. An empty `model` is the default.
    ///
    /// # Errors
    /// Why no provider answers; [`ProviderError::Unsupported`] when none could.
    pub async fn wire(&self, model: &str, request: &WireRequest<'_>) -> Result<WireAnswer, ProviderError> {
        let model = if model.is_empty() { &self.default_model } else { model };
        let (route, rest) = self.routes.of(model);
        asking::ask(&route, &self.rules, &Wire { model: rest.unwrap_or(model), request }).await
    }
}

impl Routes {
    /// Targets at providers that there are not are left out: the settings have been checked.
    fn new(settings: &ProviderSettings, targets: &[Arc<Target>]) -> Self {
        let patience = Patience {
            first_token: settings.first_token_timeout,
            whole: settings.whole_timeout,
            idle: settings.idle_timeout,
        };
        let route = |hops| Arc::new(Route { hops, total: settings.total_timeout });
        let hop = |target: &Arc<Target>, model| Hop { target: Arc::clone(target), model, patience };
        let mut named = HashMap::new();
        for (name, route_settings) in &settings.routes {
            let hops = route_settings.targets.iter().filter_map(|wanted| {
                let found = targets.iter().find(|known| known.provider.name() == wanted.provider)?;
                Some(hop(found, Some(wanted.model.clone())))
            });
            let shared = route(hops.collect());
            for name in route_settings.aliases.iter().chain([name]) {
                named.insert(name.clone(), Arc::clone(&shared));
            }
        }
        let mut by_provider: HashMap<String, Vec<Hop>> = HashMap::new();
        for target in targets {
            by_provider.entry(target.provider.name().to_owned()).or_default().push(hop(target, None));
        }
        Self {
            named,
            single: by_provider.into_iter().map(|(name, hops)| (name, route(hops))).collect(),
            all: route(targets.iter().map(|target| hop(target, None)).collect()),
        }
    }

    /// Who is asked for a model, and what is left of its name where a part of it said so: a route of that name; else
    /// `provider/model` picks one provider, and any other name may be answered by all.
    fn of<'a>(&self, model: &'a str) -> (Arc<Route>, Option<&'a str>) {
        if let Some(route) = self.named.get(model) {
            return (Arc::clone(route), None);
        }
        if let Some((name, rest)) = model.split_once('/').filter(|(_, rest)| !rest.is_empty())
            && let Some(route) = self.single.get(name)
        {
            return (Arc::clone(route), Some(rest));
        }
        (Arc::clone(&self.all), None)
    }
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
