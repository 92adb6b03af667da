//! Anthropic's messages API: <https://docs.anthropic.com/en/api/messages>.

mod request;
mod wire;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use self::request::Request;
use self::wire::Reader;
use super::clock::RetryClock;
use super::error::ProviderError;
use super::exchange::{Exchange, KeyHeader, deltas_of};
use super::keys::{KeyCount, KeyRing};
use super::models::ModelNames;
use super::{ChatRequest, DeltaStream, Provider, http};

const ENDPOINT: &str = "/messages";
/// <https://docs.anthropic.com/en/api/versioning>
const VERSION: &str = "2023-06-01";

/// Anthropic, or a service that speaks its protocol, with its keys.
pub struct Anthropic {
    url: Url,
    models: ModelNames,
    exchange: Exchange,
}

impl Anthropic {
    /// `base_url` is what stands before `/messages`, with or without `/v1`; the whole address is
    /// taken too.
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
        let mut url = http::base_url(base_url)?;
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix(ENDPOINT).unwrap_or(path);
        let version = if http::ends_in_version(path) { "" } else { "/v1" };
        url.set_path(&format!("{path}{version}{ENDPOINT}"));
        let version = (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(VERSION));
        let exchange = Exchange {
            name: name.into(),
            keys,
            key_header: KeyHeader::Bare(HeaderName::from_static("x-api-key")),
            headers: HeaderMap::from_iter([version]),
            client,
            clock,
        };
        Ok(Self { url, models, exchange })
    }
}

impl Provider for Anthropic {
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
            let response = self.exchange.post(&self.url, &Request::new(request), request.stream).await?;
            deltas_of(response, request.stream, Reader::default(), Reader::read_whole).await
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
    fn the_base_url_is_taken_in_all_its_spellings() {
        drop(rustls::crypto::ring::default_provider().install_default());
        for base in ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", "http://h:1/v1/messages"] {
            let keys = KeyRing::new([]).unwrap();
            let clock = Arc::new(SystemClock);
            let provider = Anthropic::new("x", base, keys, ModelNames::AsIs, Client::new(), clock).unwrap();
            assert_eq!(provider.url.as_str(), "http://h:1/v1/messages", "{base}");
        }
    }
}
