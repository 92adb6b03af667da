//! Any service that speaks OpenAI's chat completions: OpenAI, OpenRouter, Groq, most model servers.

mod request;
mod stream;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryStreamExt as _};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Client, Response};
use url::Url;

use self::request::Request;
use self::stream::{Deltas, Reader};
use self::wire::{Completion, Failure};
use super::clock::RetryClock;
use super::error::ProviderError;
use super::keys::{KeyCount, KeyRing};
use super::models::ModelNames;
use super::wire::{WireEndpoint, WireRequest, WireResponse};
use super::{ChatRequest, DeltaStream, Provider, http};

/// A service under a base URL, with its keys.
pub struct OpenAi {
    name: String,
    urls: Urls,
    keys: KeyRing,
    models: ModelNames,
    client: Client,
    clock: Arc<dyn RetryClock>,
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
        Ok(Self { name: name.into(), urls, keys, models, client, clock })
    }

    /// Tries one key after the other, as long as the provider refuses the key and not the request.
    async fn send(
        &self,
        endpoint: WireEndpoint,
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
            match self.send_once(endpoint, stream, body(), header).await {
                Err(error) if index.is_some_and(|index| self.keys.rest(index, &error, self.clock.now())) => {
                    tracing::warn!(provider = self.name, code = error.code(), "a key is rested");
                    refused = Some(error);
                }
                outcome => return outcome,
            }
        }
        Err(refused.unwrap_or(ProviderError::Unauthorized))
    }

    async fn send_once(
        &self,
        endpoint: WireEndpoint,
        stream: bool,
        body: Body,
        key: Option<HeaderValue>,
    ) -> Result<Response, ProviderError> {
        let accept = if stream { "text/event-stream" } else { "application/json" };
        let mut request = self
            .client
            .post(self.urls.of(endpoint).clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static(accept))
            .body(body);
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, key);
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

impl Provider for OpenAi {
    fn name(&self) -> &str {
        &self.name
    }

    fn resolve_model(&self, requested: &str) -> String {
        self.models.resolve(requested)
    }

    fn chat<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<DeltaStream, ProviderError>> {
        async move {
            let body = serde_json::to_vec(&Request::new(request, self.models.is_reasoning(&request.model)))
                .map_err(|_| ProviderError::Protocol("the request cannot be written"))?;
            let body = Bytes::from(body);
            let response = self.send(WireEndpoint::ChatCompletions, request.stream, || body.clone().into()).await?;
            let kind = http::content_type(response.headers());
            match kind.as_deref() {
                Some("text/event-stream") if request.stream => {
                    Ok(Box::pin(Deltas::new(response.bytes_stream())) as DeltaStream)
                }
                // Some servers answer whole although they were asked to stream.
                Some("application/json") => whole(response).await,
                _ => Err(ProviderError::Protocol("an unexpected content type")),
            }
        }
        .boxed()
    }

    fn keys(&self) -> KeyCount {
        self.keys.count(self.clock.now())
    }

    fn speaks(&self, endpoint: WireEndpoint) -> bool {
        self.models.speak(endpoint)
    }

    fn wire<'a>(
        &'a self,
        request: &'a WireRequest<'a>,
        model: &'a str,
    ) -> BoxFuture<'a, Result<WireResponse, ProviderError>> {
        async move {
            let body = || Body::wrap(request.body.with_model(model));
            let response = self.send(request.endpoint, request.stream, body).await?;
            let content_type = match http::content_type(response.headers()).as_deref() {
                Some("text/event-stream") if request.stream => "text/event-stream",
                Some("application/json") => "application/json",
                _ => return Err(ProviderError::Protocol("an unexpected content type")),
            };
            let bytes = response.bytes_stream().map_err(|_| ProviderError::Cut);
            Ok(WireResponse { content_type, bytes: Box::pin(bytes) })
        }
        .boxed()
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

async fn whole(response: Response) -> Result<DeltaStream, ProviderError> {
    let body = http::read_body(response).await?;
    let mut reader = Reader::default();
    reader.read(&body)?;
    Ok(Box::pin(futures_util::stream::iter(reader.deltas.into_iter().map(Ok))))
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
}
