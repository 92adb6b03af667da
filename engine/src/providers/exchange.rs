//! One call of a provider over HTTP: a POST of JSON with one of its keys, and the answer as deltas.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Client, Response};
use serde::Serialize;
use url::Url;

use super::clock::RetryClock;
use super::deltas::{Deltas, Reader};
use super::error::ProviderError;
use super::failure::Failure;
use super::keys::{KeyCount, KeyRing};
use super::wire::{WireRequest, WireResponse};
use super::{DeltaStream, http};

/// How a key stands in its header.
#[derive(Debug, Clone)]
pub(super) enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The key alone, under this name.
    Bare(HeaderName),
}

/// What every call of one provider has in common.
pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) keys: KeyRing,
    pub(super) key_header: KeyHeader,
    /// What goes with every call besides.
    pub(super) headers: HeaderMap,
    pub(super) client: Client,
    pub(super) clock: Arc<dyn RetryClock>,
}

impl Exchange {
    /// Sends `body` as JSON, as [`Self::send`] does.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) async fn post(&self, url: &Url, body: &impl Serialize, stream: bool) -> Result<Response, ProviderError> {
        let body = serde_json::to_vec(body).map_err(|_| ProviderError::Protocol("the request cannot be written"))?;
        let body = Bytes::from(body);
        self.send(url, stream, || body.clone().into()).await
    }

    /// Sends what `body` gives. Tries one key after the other, as long as the provider refuses the key
    /// and not the request.
    ///
    /// # Errors
    /// What kept the provider from answering with 200.
    pub(super) async fn send(
        &self,
        url: &Url,
        stream: bool,
        body: impl Fn() -> Body,
    ) -> Result<Response, ProviderError> {
        let mut refused = None;
        for _ in 0..self.keys.tries() {
            let key = match self.keys.pick(self.clock.now()) {
                Ok(key) => key,
                Err(error) => return Err(refused.unwrap_or(error)),
            };
            let (index, header) = key.map(|key| (key.index, key.header)).unzip();
            match self.send_once(url, stream, body(), header).await {
                Err(error) if index.is_some_and(|index| self.keys.rest(index, &error, self.clock.now())) => {
                    tracing::warn!(provider = self.name, code = error.code(), "a key is rested");
                    refused = Some(error);
                }
                outcome => return outcome,
            }
        }
        Err(refused.unwrap_or(ProviderError::Unauthorized))
    }

    /// Passes `request` through to `url`, with `model` for its model's name.
    ///
    /// # Errors
    /// As [`Self::send`]; [`ProviderError::Protocol`] for an answer that is neither JSON nor the stream that was asked for.
    pub(super) async fn pass(
        &self,
        url: &Url,
        request: &WireRequest<'_>,
        model: &str,
    ) -> Result<WireResponse, ProviderError> {
        let body = || request.body.with_model(model);
        let response = self.send(url, request.stream, body).await?;
        let content_type = match http::content_type(response.headers()).as_deref() {
            Some(EVENTS) if request.stream => EVENTS,
            Some(JSON) => JSON,
            _ => return Err(ProviderError::Protocol("an unexpected content type")),
        };
        let bytes = response.bytes_stream().map_err(|_| ProviderError::Cut);
        Ok(WireResponse { content_type, bytes: Box::pin(bytes) })
    }

    /// How many keys there are, and how many of them rest.
    pub(super) fn count_keys(&self) -> KeyCount {
        self.keys.count(self.clock.now())
    }

    async fn send_once(
        &self,
        url: &Url,
        stream: bool,
        body: Body,
        key: Option<HeaderValue>,
    ) -> Result<Response, ProviderError> {
        let accept = if stream { EVENTS } else { JSON };
        let mut request = self
            .client
            .post(url.clone())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static(JSON))
            .header(ACCEPT, HeaderValue::from_static(accept))
            .body(body);
        if let Some(key) = key {
            request = match &self.key_header {
                KeyHeader::Bearer => request.header(AUTHORIZATION, key),
                KeyHeader::Bare(name) => request.header(name, bare(&key)?),
            };
        }
        let response = request.send().await.map_err(|error| http::send_error(&error))?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(response);
        }
        let retry_after = http::retry_after(response.headers());
        let body = http::read_error_body(response).await;
        Err(Failure::of_body(&body).classify(Some(status), retry_after))
    }
}

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

/// The key out of its `Authorization` header; marked sensitive.
fn bare(header: &HeaderValue) -> Result<HeaderValue, ProviderError> {
    const UNUSABLE: ProviderError = ProviderError::Settings("a key holds characters that no header may hold");
    let key = header.as_bytes().strip_prefix(b"Bearer ").ok_or(UNUSABLE)?;
    let mut header = HeaderValue::from_bytes(key).map_err(|_| UNUSABLE)?;
    header.set_sensitive(true);
    Ok(header)
}

/// The deltas of a response: an event stream's as they come, a whole answer's by `read_whole`. Some
/// servers answer whole although they were asked to stream, and some do not say which it is.
///
/// # Errors
/// [`ProviderError::Protocol`] for any other content; what `read_whole` finds.
pub(super) async fn deltas_of<R: Reader + 'static>(
    response: Response,
    stream: bool,
    mut reader: R,
    read_whole: impl FnOnce(&mut R, &[u8]) -> Result<(), ProviderError>,
) -> Result<DeltaStream, ProviderError> {
    let kind = http::content_type(response.headers());
    match kind.as_deref().unwrap_or(if stream { EVENTS } else { JSON }) {
        EVENTS if stream => Ok(Box::pin(Deltas::new(response.bytes_stream(), reader))),
        JSON => {
            let body = http::read_body(response).await?;
            read_whole(&mut reader, &body)?;
            let deltas = std::mem::take(reader.deltas());
            Ok(Box::pin(futures_util::stream::iter(deltas.into_iter().map(Ok))))
        }
        _ => Err(ProviderError::Protocol("an unexpected content type")),
    }
}
