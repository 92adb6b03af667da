//! Any service that speaks OpenAI's chat completions: OpenAI, OpenRouter, Groq, most model servers.

mod hearing;
mod request;
mod stream;
mod tally;
mod wire;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use url::Url;

pub use self::hearing::Hearing;
use self::request::Request;
use self::stream::Reader;
pub use self::stream::deltas_of_chunks;
pub use self::tally::Tally;
use self::wire::Completion;
use super::clock::RetryClock;
use super::deltas::Reader as _;
use super::error::ProviderError;
use super::exchange::{Exchange, KeyHeader, deltas_of};
use super::keys::{KeyCount, KeyRing};
use super::models::ModelNames;
use super::wire::{WireEndpoint, WireRequest, WireResponse};
use super::{ChatRequest, DeltaStream, Provider, http};
use crate::config::OpenRouterSettings;

/// A service under a base URL, with its keys.
pub struct OpenAi {
    urls: Urls,
    models: ModelNames,
    exchange: Exchange,
}

impl OpenAi {
    /// `base_url` is what stands before `/chat/completions`, for example
    /// `https://api.openai.com/v1`; the whole address is taken too.
    ///
    /// # Errors
    /// [`ProviderError::Settings`] for a base URL that is none, is neither http nor https, or holds
    /// credentials.
    pub fn new(
        name: impl Into<String>,
        base_url: &str,
        keys: KeyRing,
        models: ModelNames,
        client: Client,
        clock: Arc<dyn RetryClock>,
    ) -> Result<Self, ProviderError> {
        let urls = Urls::new(http::base_url(base_url)?);
        let (name, headers) = (name.into(), HeaderMap::new());
        let exchange = Exchange { name, keys, key_header: KeyHeader::Bearer, headers, client, clock };
        Ok(Self { urls, models, exchange })
    }

    /// The same, with these headers on every call.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.exchange.headers = headers;
        self
    }
}

/// The headers by which OpenRouter knows whose calls these are; <https://openrouter.ai/docs/app-attribution>.
///
/// # Errors
/// [`ProviderError::Settings`] for what cannot stand in a header.
pub(super) fn attribution(settings: &OpenRouterSettings) -> Result<HeaderMap, ProviderError> {
    let named = [("http-referer", &settings.site_url), ("x-title", &settings.app_name)];
    let set = named.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
    set.map(|(name, text)| Ok((HeaderName::from_static(name), HeaderValue::from_str(text)?)))
        .collect::<Result<_, InvalidHeaderValue>>()
        .map_err(|_| ProviderError::Settings("OpenRouter's site or app holds characters that no header may hold"))
}

impl Provider for OpenAi {
    fn name(&self) -> &str {
        &self.exchange.name
    }

    fn resolve_model(&self, requested: &str) -> String {
        self.models.resolve(requested)
    }

    fn chat<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<DeltaStream, ProviderError>> {
        async move {
            let url = self.urls.of(WireEndpoint::ChatCompletions);
            let response = self.exchange.post(url, &Request::new(request, self.models), request.stream).await?;
            deltas_of(response, request.stream, Reader::default(), Reader::read).await
        }
        .boxed()
    }

    fn keys(&self) -> KeyCount {
        self.exchange.count_keys()
    }

    fn speaks(&self, endpoint: WireEndpoint) -> bool {
        match endpoint {
            WireEndpoint::Responses => self.urls.are_openais(),
            endpoint => self.models.speak(endpoint),
        }
    }

    fn wire<'a>(
        &'a self,
        request: &'a WireRequest<'a>,
        model: &'a str,
    ) -> BoxFuture<'a, Result<WireResponse, ProviderError>> {
        async move { self.exchange.pass(self.urls.of(request.endpoint), request, model).await }.boxed()
    }
}

/// The addresses of one service.
struct Urls {
    chat_completions: Url,
    responses: Url,
    embeddings: Url,
    moderations: Url,
}

impl Urls {
    /// `base` is what stands before `/chat/completions`; the whole address is taken too.
    fn new(mut base: Url) -> Self {
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix(WireEndpoint::ChatCompletions.path()).unwrap_or(path).to_owned();
        let mut of = |endpoint: WireEndpoint| {
            base.set_path(&format!("{path}{}", endpoint.path()));
            base.clone()
        };
        Self {
            chat_completions: of(WireEndpoint::ChatCompletions),
            responses: of(WireEndpoint::Responses),
            embeddings: of(WireEndpoint::Embeddings),
            moderations: of(WireEndpoint::Moderations),
        }
    }

    /// Whether this is OpenAI itself.
    fn are_openais(&self) -> bool {
        self.responses.host_str() == Some("api.openai.com")
    }

    fn of(&self, endpoint: WireEndpoint) -> &Url {
        match endpoint {
            WireEndpoint::ChatCompletions => &self.chat_completions,
            WireEndpoint::Responses => &self.responses,
            WireEndpoint::Embeddings => &self.embeddings,
            WireEndpoint::Moderations => &self.moderations,
        }
    }
}

/// The error in place of an answer, where the first piece of a body begins with one: some services report so after a
/// status of 200.
pub(super) fn failure_in(piece: &[u8]) -> Option<ProviderError> {
    let json = piece.strip_prefix(b"data:".as_slice()).unwrap_or(piece).trim_ascii_start();
    if !json.starts_with(br#"{"error""#) {
        return None;
    }
    let line = json.split(|&byte| byte == b'\n').next().unwrap_or_default();
    Completion::parse(line).err()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::providers::SystemClock;

    #[test]
    fn the_base_url_is_taken_in_all_its_spellings() {
        drop(rustls::crypto::ring::default_provider().install_default());
        for base in [
            "http://localhost:1/v1",
            "http://localhost:1/v1/",
            "http://localhost:1/v1/chat/completions",
            " http://localhost:1/v1/chat/completions/ ",
        ] {
            let keys = KeyRing::new([]).unwrap();
            let clock = Arc::new(SystemClock);
            let provider = OpenAi::new("x", base, keys, ModelNames::AsIs, Client::new(), clock).unwrap();
            assert_eq!(provider.urls.chat_completions.as_str(), "http://localhost:1/v1/chat/completions", "{base}");
        }
    }

    #[test]
    fn of_those_who_are_known_by_their_address_alone_openai_speaks_responses() {
        drop(rustls::crypto::ring::default_provider().install_default());
        for (base, speaks) in [
            ("https://api.openai.com/v1", true),
            ("https://api.openai.com/v1/chat/completions", true),
            ("https://openrouter.ai/api/v1", false),
            ("http://localhost:1/api.openai.com/v1", false),
        ] {
            let keys = KeyRing::new([]).unwrap();
            let clock = Arc::new(SystemClock);
            let provider = OpenAi::new("openai", base, keys, ModelNames::OpenAi, Client::new(), clock).unwrap();
            assert_eq!(provider.speaks(WireEndpoint::Responses), speaks, "{base}");
            assert!(provider.speaks(WireEndpoint::ChatCompletions));
        }
    }
}
