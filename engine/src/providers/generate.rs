//! A plain generate endpoint: one POST of the conversation, one JSON with the text.

use std::borrow::Cow;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Client;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::error::ProviderError;
use super::{ChatMessage, ChatRequest, Delta, DeltaStream, Image, Provider, http};
use crate::domain::FinishReason;

/// Takes `{messages, prompt, max_tokens, temperature}` and answers with the text in `response`,
/// `text`, `generated_text`, `output` or `choices[0]`. It neither streams nor counts tokens.
pub struct Generate {
    name: String,
    url: Url,
    client: Client,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<BodyMessage<'a>>,
    prompt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
}

#[derive(Serialize)]
struct BodyMessage<'a> {
    role: &'static str,
    content: Cow<'a, str>,
}

impl Generate {
    /// `url` is the whole address, for example `http://localhost:8001/generate`.
    ///
    /// # Errors
    /// [`ProviderError::Settings`] for an address that is none, is neither http nor https, or holds
    /// credentials.
    pub fn new(name: impl Into<String>, url: &str, client: Client) -> Result<Self, ProviderError> {
        Ok(Self { name: name.into(), url: http::base_url(url)?, client })
    }

    async fn ask(&self, request: &ChatRequest) -> Result<String, ProviderError> {
        let body = serde_json::to_vec(&Body {
            model: &request.model,
            messages: request
                .messages
                .iter()
                .map(|message| BodyMessage { role: message.role.as_str(), content: text_of_message(message) })
                .collect(),
            prompt: prompt(request),
            max_tokens: request.max_tokens,
            temperature: request.temperature,
            stream: false,
        })
        .map_err(|_| ProviderError::Protocol("the request cannot be written"))?;
        let post = self.client.post(self.url.clone()).header("content-type", "application/json").body(body);
        let response = post.send().await.map_err(|error| http::send_error(&error))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(http::of_status(status, http::retry_after(response.headers())));
        }
        if http::content_type(response.headers()).as_deref() != Some("application/json") {
            return Err(ProviderError::Protocol("an unexpected content type"));
        }
        let body = http::read_body(response).await?;
        let body: Value =
            serde_json::from_slice(&body).map_err(|_| ProviderError::Protocol("an answer is not the expected JSON"))?;
        text_of(&body).ok_or(ProviderError::Protocol("an answer has no text"))
    }
}

impl Provider for Generate {
    fn name(&self) -> &str {
        &self.name
    }

    fn streams(&self) -> bool {
        false
    }

    fn chat<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<DeltaStream, ProviderError>> {
        async move {
            let text = self.ask(request).await?;
            let deltas = [Ok(Delta::Text(text)), Ok(Delta::Finish(FinishReason::Stop))];
            Ok(Box::pin(futures_util::stream::iter(deltas)) as DeltaStream)
        }
        .boxed()
    }
}

/// What a message says, with a line for each picture: such an endpoint takes text alone.
fn text_of_message(message: &ChatMessage) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(message.content.as_str());
    for image in &message.images {
        let text = text.to_mut();
        if !text.is_empty() {
            text.push('\n');
        }
        match image {
            Image::Url(url) => text.extend(["[image: ", url, "]"]),
            Image::Bytes { media_type, .. } => text.extend(["[image: ", media_type, "]"]),
        }
    }
    text
}

/// The conversation as one text that ends where the answer begins.
fn prompt(request: &ChatRequest) -> String {
    let mut prompt = String::new();
    for message in &request.messages {
        prompt.push_str(message.role.as_str());
        prompt.push_str(": ");
        prompt.push_str(&text_of_message(message));
        prompt.push('\n');
    }
    prompt.push_str("assistant: ");
    prompt
}

fn text_of(body: &Value) -> Option<String> {
    // Text generation servers answer with a list of one.
    let body = body.get(0).unwrap_or(body);
    let choice = body.pointer("/choices/0");
    let candidates = [
        body.get("response"),
        body.get("text"),
        body.get("generated_text"),
        body.get("output"),
        choice,
        choice.and_then(|choice| choice.get("text")),
        choice.and_then(|choice| choice.pointer("/message/content")),
    ];
    let text = candidates.into_iter().flatten().find_map(Value::as_str)?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Role;

    #[test]
    fn a_picture_is_a_line_of_text() {
        let images = vec![
            Image::Url("https://pictures.example/cat.png".into()),
            Image::Bytes { media_type: "image/png".into(), data: "…".into() },
        ];
        let message = ChatMessage { images, ..ChatMessage::text(Role::User, "Look") };
        let request = ChatRequest { messages: vec![message], ..ChatRequest::default() };
        let expected = "user: Look\n[image: https://pictures.example/cat.png]\n[image: image/png]\nassistant: ";
        assert_eq!(prompt(&request), expected);
    }

    #[test]
    fn the_text_is_found_under_all_its_names() {
        for body in [
            json!({"response": "hi"}),
            json!({"text": "hi"}),
            json!({"generated_text": "hi"}),
            json!([{"generated_text": "hi"}]),
            json!({"output": "hi"}),
            json!({"choices": ["hi"]}),
            json!({"choices": [{"text": "hi"}]}),
            json!({"choices": [{"message": {"content": "hi"}}]}),
        ] {
            assert_eq!(text_of(&body).as_deref(), Some("hi"), "{body}");
        }
        assert_eq!(text_of(&json!({"detail": "hi"})), None);
        assert_eq!(text_of(&json!({"response": ""})), None);
    }
}
