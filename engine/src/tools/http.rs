//! Tools that are HTTP endpoints.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Map, Value};
use url::Url;

use super::ToolOutcome;
use crate::config::{HttpToolSettings, ToolMethod, ToolSchema};
use crate::outbound::{Outbound, OutboundError};
use crate::providers::{ProviderError, Tool};

pub(super) struct HttpTool {
    offer: Tool,
    schema: ToolSchema,
    url: Url,
    method: ToolMethod,
    headers: HeaderMap,
    timeout: Duration,
    max_response_bytes: usize,
    outbound: Outbound,
}

impl HttpTool {
    /// # Errors
    /// [`ProviderError::Settings`] for what cannot work.
    pub(super) fn new(settings: &HttpToolSettings, outbound: Outbound) -> Result<Self, ProviderError> {
        let headers = super::headers(settings.bearer.as_ref(), &settings.headers);
        Ok(Self {
            offer: Tool {
                name: settings.name.0.clone(),
                description: settings.description.clone(),
                parameters: settings.parameters.clone(),
            },
            schema: ToolSchema::compile(&settings.parameters)
                .ok_or(ProviderError::Settings("a tool's parameters are no JSON schema"))?,
            url: Url::parse(&settings.url.0).map_err(|_| ProviderError::Settings("a tool's URL is none"))?,
            method: settings.method,
            headers: headers.ok_or(ProviderError::Settings("a tool's header is none"))?,
            timeout: settings.timeout_seconds.0,
            max_response_bytes: settings.max_response_bytes,
            outbound,
        })
    }

    pub(super) fn offer(&self) -> Tool {
        self.offer.clone()
    }

    /// Calls it, within its time.
    pub(super) async fn call(&self, arguments: Map<String, Value>) -> ToolOutcome {
        let arguments = Value::Object(arguments);
        if let Some(problems) = self.schema.problems(&arguments) {
            return ToolOutcome::failed(format!("The arguments do not fit the tool's parameters: {problems}"));
        }
        match tokio::time::timeout(self.timeout, self.send(&arguments)).await {
            Ok(Ok(content)) => ToolOutcome { ok: true, content },
            Ok(Err(why)) => ToolOutcome::failed(why),
            Err(_) => ToolOutcome::failed("The tool did not answer in time."),
        }
    }

    /// # Errors
    /// What went wrong, in words for the model. They say nothing of addresses, nor what an endpoint says of its failure.
    async fn send(&self, arguments: &Value) -> Result<String, String> {
        let request = self.request(arguments).map_err(|error| format!("The tool cannot be asked: {error}."))?;
        let response =
            request.headers(self.headers.clone()).send().await.map_err(|_| "The tool cannot be reached.".to_owned())?;
        if !response.status().is_success() {
            return Err(format!("The tool failed with status {}.", response.status().as_u16()));
        }
        let body = self.read(response).await?;
        String::from_utf8(body).map_err(|_| "The tool's answer is no text.".to_owned())
    }

    fn request(&self, arguments: &Value) -> Result<RequestBuilder, OutboundError> {
        match (self.method, arguments) {
            (ToolMethod::Get, Value::Object(fields)) => {
                let mut url = self.url.clone();
                url.query_pairs_mut().extend_pairs(fields.iter().map(|(name, value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    (name, text)
                }));
                self.outbound.request(Method::GET, &url)
            }
            _ => Ok(self.outbound.request(Method::POST, &self.url)?.json(arguments)),
        }
    }

    async fn read(&self, response: Response) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| "The tool's answer broke off.".to_owned())?;
            if body.len() + piece.len() > self.max_response_bytes {
                return Err(format!("The tool's answer is longer than {} bytes.", self.max_response_bytes));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}
