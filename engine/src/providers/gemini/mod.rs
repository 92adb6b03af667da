//! Gemini's own API: <https://ai.google.dev/api/generate-content>.

mod request;
mod wire;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName};
use url::Url;

use self::request::Request;
use self::wire::Reader;
use super::clock::RetryClock;
use super::deltas::Reader as _;
use super::error::ProviderError;
use super::exchange::{Exchange, KeyHeader, deltas_of};
use super::keys::{KeyCount, KeyRing};
use super::models::ModelNames;
use super::{ChatRequest, DeltaStream, Provider, http};

/// Gemini, with its keys.
pub struct Gemini {
    base_url: Url,
    models: ModelNames,
    exchange: Exchange,
}

impl Gemini {
    /// `base_url` is what stands before `/models/…`, for example
    /// `https://generativelanguage.googleapis.com/v1beta`.
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
        let exchange = Exchange {
            name: name.into(),
            keys,
            key_header: KeyHeader::Bare(HeaderName::from_static("x-goog-api-key")),
            headers: HeaderMap::new(),
            client,
            clock,
        };
        Ok(Self { base_url: http::base_url(base_url)?, models, exchange })
    }

    /// The model is a part of the address: whatever is in its name stays within that part.
    fn url(&self, model: &str, stream: bool) -> Result<Url, ProviderError> {
        let (collection, model) = match model.split_once('/') {
            Some((collection @ ("models" | "tunedModels"), model)) => (collection, model),
            _ => ("models", model),
        };
        let method = if stream { "streamGenerateContent" } else { "generateContent" };
        let mut url = self.base_url.clone();
        let mut segments = url.path_segments_mut().map_err(|()| ProviderError::Settings("a base URL has no path"))?;
        segments.pop_if_empty().extend([collection, &format!("{model}:{method}")]);
        drop(segments);
        url.set_query(stream.then_some("alt=sse"));
        Ok(url)
    }
}

impl Provider for Gemini {
    fn name(&self) -> &str {
        &self.exchange.name
    }

    fn resolve_model(&self, requested: &str) -> String {
        self.models.resolve(requested)
    }

    fn keys(&self) -> KeyCount {
        self.exchange.count_keys()
    }

    fn chat<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<DeltaStream, ProviderError>> {
        async move {
            let url = self.url(&request.model, request.stream)?;
            let response = self.exchange.post(&url, &Request::new(request), request.stream).await?;
            deltas_of(response, request.stream, Reader::default(), Reader::read).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::providers::SystemClock;

    #[test]
    fn a_models_name_stays_in_its_place_in_the_address() {
        drop(rustls::crypto::ring::default_provider().install_default());
        for (base, model, stream, url) in [
            (
                "http://h:1/v1beta",
                "gemini-2.5-flash",
                false,
                "http://h:1/v1beta/models/gemini-2.5-flash:generateContent",
            ),
            ("http://h:1/v1beta/", "models/g", true, "http://h:1/v1beta/models/g:streamGenerateContent?alt=sse"),
            ("http://h:1/v1beta", "tunedModels/t", false, "http://h:1/v1beta/tunedModels/t:generateContent"),
            ("http://h:1/v1beta", "../x/y?z=1#", false, "http://h:1/v1beta/models/..%2Fx%2Fy%3Fz=1%23:generateContent"),
        ] {
            let keys = KeyRing::new([]).unwrap();
            let clock = Arc::new(SystemClock);
            let provider = Gemini::new("x", base, keys, ModelNames::AsIs, Client::new(), clock).unwrap();
            assert_eq!(provider.url(model, stream).unwrap().as_str(), url);
        }
    }
}
