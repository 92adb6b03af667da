//! All configured providers: which are asked, in which order, and how often.

use std::sync::Arc;

use reqwest::Client;

use super::asking::{self, Chat, Rules, Wire};
use super::clock::{RetryClock, SystemClock};
use super::continuation::Continuation;
use super::error::ProviderError;
use super::openai::attribution;
use super::routes::{Routes, Targets};
use super::target::{Target, TargetRules, TargetState};
use super::wire::{WireAnswer, WireRequest};
use super::{
    Answer, Anthropic, ChatRequest, Gemini, Generate, KeyRing, Mock, ModelNames, OpenAi, Provider, Responses, Vision,
    http,
};
use crate::config::{ApiKey, OpenRouterSettings, ProviderSettings, Seconds, UpstreamKind, UpstreamSettings};

/// The configured providers, and who answers to which model's name.
pub struct Providers {
    /// The providers' own in the order in which they are asked, then those of the routes.
    targets: Vec<Arc<Target>>,
    routes: Routes,
    rules: Arc<Rules>,
    default_model: String,
    mock: bool,
}

impl Providers {
    /// The providers that have a key or an address: OpenAI, OpenRouter, Anthropic, Groq, Gemini, the endpoint;
    /// without any, the built-in mock. `default_model` is asked when a request names none.
    ///
    /// # Errors
    /// [`ProviderError::Settings`] when a key or a base URL cannot be used.
    pub fn from_settings(settings: &ProviderSettings, default_model: &str) -> Result<Self, ProviderError> {
        Self::from_settings_with(settings, default_model, Arc::new(SystemClock))
    }

    /// The same, by another clock.
    ///
    /// # Errors
    /// As [`Self::from_settings`].
    pub fn from_settings_with(
        settings: &ProviderSettings,
        default_model: &str,
        clock: Arc<dyn RetryClock>,
    ) -> Result<Self, ProviderError> {
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

    /// These providers, with the limits of `settings`. Pictures go to all of them, until [`Self::with_vision`] says otherwise.
    #[must_use]
    pub fn with(
        providers: Vec<Arc<dyn Provider>>,
        settings: &ProviderSettings,
        default_model: &str,
        clock: Arc<dyn RetryClock>,
    ) -> Self {
        let rules = TargetRules {
            failures_to_open: settings.breaker_failures,
            cooldown: settings.breaker_cooldown,
            retry_share: settings.retry_share,
        };
        let (routes, targets) = Routes::new(settings, &providers, Targets::new(rules, Arc::clone(&clock)));
        Self {
            routes,
            targets,
            rules: Arc::new(Rules { clock, max_retries: settings.max_retries, vision: Arc::new(Vision::all()) }),
            default_model: default_model.to_owned(),
            mock: false,
        }
    }

    /// Pictures go to the models that `vision` names, whichever was asked for.
    #[must_use]
    pub fn with_vision(self, vision: Vision) -> Self {
        let Rules { clock, max_retries, .. } = self.rules.as_ref();
        let rules = Rules { clock: Arc::clone(clock), max_retries: *max_retries, vision: Arc::new(vision) };
        Self { rules: Arc::new(rules), ..self }
    }

    /// Whether any of those who may answer to a model's name sees pictures.
    #[must_use]
    pub fn may_see(&self, model: &str) -> bool {
        let model = if model.is_empty() { &self.default_model } else { model };
        let (route, rest) = self.routes.of(model);
        let model = rest.unwrap_or(model);
        route.hops.iter().any(|hop| self.rules.vision.sees(&hop.model(model)))
    }

    /// Whether only the built-in mock answers.
    #[must_use]
    pub fn is_mock(&self) -> bool {
        self.mock
    }

    /// The names under which routes answer, their aliases among them, in alphabetical order.
    #[must_use]
    pub fn route_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.routes.names().collect();
        names.sort_unstable();
        names
    }

    /// Whether a route answers to this name.
    #[must_use]
    pub fn has_route(&self, model: &str) -> bool {
        self.routes.has(model)
    }

    /// How all targets are: first the providers themselves, in the order in which they are asked, then those of the
    /// routes.
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
        let hops = route.order(|| self.rules.clock.jitter());
        let course = route.course(&hops);
        let chat = Chat { request, vision: Arc::clone(&self.rules.vision) };
        if !route.continues {
            return Ok(asking::ask(course, &self.rules, &chat).await?.1);
        }
        let (place, answer) = asking::ask(course, &self.rules, &chat).await?;
        let later = hops.iter().skip(place + 1).map(|hop| (*hop).clone()).collect();
        let rest = Continuation { hops: later, rules: Arc::clone(&self.rules), total_until: course.total_until };
        Ok(rest.of(chat.request, answer))
    }

    /// Passes a request on to the targets of `model` until one begins to answer, by the rules of [`Self::chat`]; a
    /// target that does not speak the protocol is asked for the typed request instead. An empty `model` is the default.
    ///
    /// # Errors
    /// Why no provider answers; [`ProviderError::Unsupported`] when none could.
    pub async fn wire(&self, model: &str, request: &WireRequest<'_>) -> Result<WireAnswer, ProviderError> {
        let model = if model.is_empty() { &self.default_model } else { model };
        let (route, rest) = self.routes.of(model);
        let hops = route.order(|| self.rules.clock.jitter());
        let wire = Wire { model: rest.unwrap_or(model), request };
        Ok(asking::ask(route.course(&hops), &self.rules, &wire).await?.1)
    }
}

fn configured(
    settings: &ProviderSettings,
    clock: &Arc<dyn RetryClock>,
) -> Result<Vec<Arc<dyn Provider>>, ProviderError> {
    let client = http::client(settings)?;
    let openai = |client: &Client, name: &str, base_url: &str, keys, models| {
        let (client, clock) = (client.clone(), Arc::clone(clock));
        Ok::<Arc<dyn Provider>, ProviderError>(if Responses::is_meant_by(base_url) {
            Arc::new(Responses::new(name, base_url, keys, models, client, clock)?)
        } else {
            Arc::new(OpenAi::new(name, base_url, keys, models, client, clock)?)
        })
    };
    let gemini = |client: &Client, name: &str, base_url: &str, keys, models| {
        Gemini::new(name, base_url, keys, models, client.clone(), Arc::clone(clock)).map(Arc::new)
    };
    let anthropic = |client: &Client, name: &str, base_url: &str, keys, models| {
        Anthropic::new(name, base_url, keys, models, client.clone(), Arc::clone(clock)).map(Arc::new)
    };
    let mut providers = Vec::new();
    if let Some(key) = &settings.openai.api_key {
        providers.push(openai(&client, "openai", &settings.openai.base_url, KeyRing::new([key])?, ModelNames::OpenAi)?);
    }
    if !settings.openrouter.api_keys.is_empty() {
        let OpenRouterSettings { api_keys, base_url, .. } = &settings.openrouter;
        let (keys, clock) = (KeyRing::new(api_keys)?, Arc::clone(clock));
        let provider = OpenAi::new("openrouter", base_url, keys, ModelNames::OpenRouter, client.clone(), clock)?;
        providers.push(Arc::new(provider.with_headers(attribution(&settings.openrouter)?)));
    }
    if let Some(key) = &settings.anthropic.api_key {
        let base_url = &settings.anthropic.base_url;
        providers.push(anthropic(&client, "anthropic", base_url, KeyRing::new([key])?, ModelNames::Anthropic)?);
    }
    if let Some(key) = &settings.groq.api_key {
        providers.push(openai(&client, "groq", &settings.groq.base_url, KeyRing::new([key])?, ModelNames::Groq)?);
    }
    if let Some(key) = &settings.gemini.api_key {
        let (base_url, keys) = (&settings.gemini.base_url, KeyRing::new([key])?);
        // Under `/openai` it speaks OpenAI's protocol; <https://ai.google.dev/gemini-api/docs/openai>.
        providers.push(if base_url.ends_with("/openai") {
            openai(&client, "gemini", base_url, keys, ModelNames::Gemini)?
        } else {
            gemini(&client, "gemini", base_url, keys, ModelNames::Gemini)?
        });
    }
    if let Some(endpoint) = &settings.endpoint {
        providers.push(if is_openai_compatible(endpoint)? {
            openai(&client, "endpoint", endpoint, KeyRing::new([])?, ModelNames::AsIs)?
        } else {
            Arc::new(Generate::new("endpoint", endpoint, client.clone())?)
        });
    }
    for UpstreamSettings { name, kind, url, connect_timeout_seconds, keys } in &settings.upstreams {
        let keys = KeyRing::new(keys.iter().map(ApiKey::secret))?;
        let client = match connect_timeout_seconds {
            Some(Seconds(connect_timeout)) => {
                http::client(&ProviderSettings { connect_timeout: *connect_timeout, ..settings.clone() })?
            }
            None => client.clone(),
        };
        providers.push(match kind {
            UpstreamKind::Anthropic => anthropic(&client, &name.0, &url.0, keys, ModelNames::AsIs)?,
            UpstreamKind::Gemini => gemini(&client, &name.0, &url.0, keys, ModelNames::AsIs)?,
            UpstreamKind::OpenAi => openai(&client, &name.0, &url.0, keys, ModelNames::at(&url.0))?,
            UpstreamKind::Generate => Arc::new(Generate::new(&name.0, &url.0, client)?),
        });
    }
    Ok(providers)
}

/// An address whose path is empty, ends in a version (`/v1`) or in `/openai`, or is the whole
/// `…/chat/completions` or `…/responses`, is an OpenAI-compatible base; any other is a plain
/// generate endpoint.
fn is_openai_compatible(endpoint: &str) -> Result<bool, ProviderError> {
    let url = http::base_url(endpoint)?;
    let path = url.path().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    let known = path.is_empty() || last == "openai" || path.ends_with("/chat/completions");
    Ok(known || http::ends_in_version(path) || Responses::is_meant_by(path))
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
            "http://h/v1/responses",
        ] {
            assert!(is_openai_compatible(base).unwrap(), "{base}");
        }
        for plain in ["http://h/generate", "http://h/api/generate", "http://h/voice"] {
            assert!(!is_openai_compatible(plain).unwrap(), "{plain}");
        }
        assert!(is_openai_compatible("nonsense").is_err());
    }
}
