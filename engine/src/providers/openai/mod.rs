//! Any service that speaks OpenAI's chat completions: OpenAI, OpenRouter, Groq, most model servers.

mod request;
mod stream;
mod wire;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response};
use url::Url;

use self::request::Request;
use self::stream::{Deltas, Reader};
use self::wire::Failure;
use super::clock::RetryClock;
use super::error::ProviderError;
use super::keys::KeyRing;
use super::models::ModelNames;
use super::{ChatRequest, DeltaStream, Provider, http};

const ENDPOINT: &str = "/chat/completions";

/// A service under a base URL, with its keys.
pub struct OpenAi {
    name: String,
    url: Url,
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
        let mut url = http::base_url(base_url)?;
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix(ENDPOINT).unwrap_or(path);
        url.set_path(&format!("{path}{ENDPOINT}"));
        Ok(Self { name: name.into(), url, keys, models, client, clock })
    }

    /// Tries one key after the other, as long as the provider refuses the key and not the request.
    async fn send(&self, request: &ChatRequest) -> Result<Response, ProviderError> {
        let body = serde_json::to_vec(&Request::new(request, self.models.is_reasoning(&request.model)))
            .map_err(|_| ProviderError::Protocol("the request cannot be written"))?;
        let body = bytes::Bytes::from(body);
        let mut refused = None;
        for _ in 0..self.keys.tries() {
            let key = match self.keys.pick(self.clock.now()) {
                Ok(key) => key,
                Err(error) => return Err(refused.unwrap_or(error)),
            };
            let (index, header) = key.map(|key| (key.index, key.header)).unzip();
            match self.send_once(body.clone(), header, request.stream).await {
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
        body: bytes::Bytes,
        key: Option<HeaderValue>,
        stream: bool,
    ) -> Result<Response, ProviderError> {
        let accept = if stream { "text/event-stream" } else { "application/json" };
        let mut request = self
            .client
            .post(self.url.clone())
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
            let response = self.send(request).await?;
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
            assert_eq!(provider.url.as_str(), "http://localhost:1/v1/chat/completions", "{base}");
        }
    }
}
