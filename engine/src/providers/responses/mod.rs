//! OpenAI's responses API: <https://platform.openai.com/docs/api-reference/responses>.
//!
//! It is asked where a base URL's path ends in `/responses`. Conversations stay here: nothing is
//! stored at the service, and each request carries what it is about. What passes through keeps its
//! own mind about that.

mod outcome;
mod request;
mod wire;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Client;
use reqwest::header::HeaderMap;
use url::Url;

pub use self::outcome::Outcome;
pub(super) use self::outcome::failure_in;
use self::request::Request;
use self::wire::Reader;
use super::clock::RetryClock;
use super::error::ProviderError;
use super::exchange::{Exchange, KeyHeader, deltas_of};
use super::keys::{KeyCount, KeyRing};
use super::models::ModelNames;
use super::wire::{WireEndpoint, WireRequest, WireResponse};
use super::{ChatRequest, DeltaStream, Provider, http};

const ENDPOINT: &str = "/responses";

/// A service under the whole address of its responses API, with its keys.
pub struct Responses {
    url: Url,
    models: ModelNames,
    exchange: Exchange,
}

impl Responses {
    /// Whether this is the address of a responses API.
    #[must_use]
    pub fn is_meant_by(url: &str) -> bool {
        url.trim().trim_end_matches('/').ends_with(ENDPOINT)
    }

    /// `url` is the whole address, for example `https://api.openai.com/v1/responses`.
    ///
    /// # Errors
    /// [`ProviderError::Settings`] for an address that is none, is neither http nor https, or holds
    /// credentials.
    pub fn new(
        name: impl Into<String>,
        url: &str,
        keys: KeyRing,
        models: ModelNames,
        client: Client,
        clock: Arc<dyn RetryClock>,
    ) -> Result<Self, ProviderError> {
        let mut url = http::base_url(url)?;
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let (name, headers) = (name.into(), HeaderMap::new());
        let exchange = Exchange { name, keys, key_header: KeyHeader::Bearer, headers, client, clock };
        Ok(Self { url, models, exchange })
    }
}

impl Provider for Responses {
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
            let body = Request::new(request, self.models.is_reasoning(&request.model));
            let response = self.exchange.post(&self.url, &body, request.stream).await?;
            deltas_of(response, request.stream, Reader::default(), Reader::read_whole).await
        }
        .boxed()
    }

    fn speaks(&self, endpoint: WireEndpoint) -> bool {
        endpoint == WireEndpoint::Responses
    }

    fn wire<'a>(
        &'a self,
        request: &'a WireRequest<'a>,
        model: &'a str,
    ) -> BoxFuture<'a, Result<WireResponse, ProviderError>> {
        self.exchange.pass(&self.url, request, model).boxed()
    }
}
