//! OpenAI's chat completions on the wire, the part of it that we use.
//!
//! <https://platform.openai.com/docs/api-reference/chat>; OpenRouter, Groq and most servers of
//! models speak the same. What is borrowed here points into the received bytes.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{FinishReason, TokenUsage};
use crate::providers::error::ProviderError;
use crate::providers::http::of_status;
use crate::providers::{ChatMessage, ChatRequest};

#[derive(Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    messages: Vec<RequestMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct RequestMessage<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Request<'a> {
    /// `reasoning`: the model is one of OpenAI's that take `max_completion_tokens` in place of
    /// `max_tokens` and no temperature (<https://platform.openai.com/docs/guides/reasoning>).
    pub(super) fn new(request: &'a ChatRequest, reasoning: bool) -> Self {
        let message =
            |message: &'a ChatMessage| RequestMessage { role: message.role.as_str(), content: &message.content };
        Self {
            model: &request.model,
            messages: request.messages.iter().map(message).collect(),
            temperature: request.temperature.filter(|_| !reasoning),
            max_tokens: request.max_tokens.filter(|_| !reasoning),
            max_completion_tokens: request.max_tokens.filter(|_| reasoning),
            stream: request.stream,
            stream_options: request.stream.then_some(StreamOptions { include_usage: true }),
        }
    }
}

/// A piece of a streamed answer, or a whole one: they differ in `delta` and `message` only.
#[derive(Deserialize)]
pub(super) struct Completion<'a> {
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow, alias = "message")]
    delta: Option<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
}

/// A string that borrows where nothing in it is escaped. (serde borrows a `Cow` only outside of an
/// `Option`, hence the newtype.)
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Deserialize, Clone, Copy)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize, Clone, Copy)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

impl<'a> Completion<'a> {
    /// Reads the JSON of a piece or of a whole answer.
    ///
    /// # Errors
    /// [`ProviderError::Protocol`] when it is none, and the error that it reports when it does.
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, ProviderError> {
        let completion: Self =
            serde_json::from_slice(json).map_err(|_| ProviderError::Protocol("an answer is not the expected JSON"))?;
        match &completion.error {
            Some(error) => Err(Failure::of(error).classify(None, None)),
            None => Ok(completion),
        }
    }

    /// The first choice; we never ask for more.
    pub(super) fn into_choice(self) -> Option<Choice<'a>> {
        self.choices?.into_iter().find(|choice| choice.index == 0)
    }

    pub(super) fn usage(&self) -> Option<TokenUsage> {
        let Usage { prompt_tokens, completion_tokens, prompt_tokens_details: details } = self.usage?;
        let cached = details.and_then(|details| details.cached_tokens).unwrap_or(0);
        Some(TokenUsage { prompt_tokens, completion_tokens, cached_tokens: cached.min(prompt_tokens) })
    }
}

impl<'a> Choice<'a> {
    /// Why the answer ends, when it does.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] for `error`, which OpenRouter sends when its upstream fails.
    pub(super) fn finish(&self) -> Result<Option<FinishReason>, ProviderError> {
        let Some(Text(reason)) = &self.finish_reason else { return Ok(None) };
        Ok(Some(match reason.as_ref() {
            "length" | "max_tokens" => FinishReason::Length,
            "content_filter" => FinishReason::ContentFilter,
            "error" => return Err(ProviderError::Unavailable { status: 502 }),
            "" => return Ok(None),
            _ => FinishReason::Stop,
        }))
    }

    /// The text; `None` when there is none or it is empty.
    pub(super) fn into_text(self) -> Option<String> {
        let Text(text) = self.delta?.content?;
        (!text.is_empty()).then(|| text.into_owned())
    }
}

/// The words by which an error object tells its kind. What else it says is not kept.
#[derive(Debug, Default)]
pub(super) struct Failure {
    code: Option<String>,
    kind: Option<String>,
    number: Option<u16>,
}

impl Failure {
    /// Of an error response's body: `{"error":{…}}`, or anything else, which tells nothing.
    pub(super) fn of_body(body: &[u8]) -> Self {
        let body: Option<Value> = serde_json::from_slice(body).ok();
        body.as_ref().and_then(|body| body.get("error")).map(Self::of).unwrap_or_default()
    }

    fn of(error: &Value) -> Self {
        let word = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = error.get("code").or_else(|| error.get("status"));
        Self {
            code: word("code"),
            kind: word("type").or_else(|| word("status")),
            number: number.and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok()),
        }
    }

    /// The error of this failure; `status` is the response's, unless that was 200.
    pub(super) fn classify(&self, status: Option<u16>, retry_after: Option<Duration>) -> ProviderError {
        for word in [&self.code, &self.kind].into_iter().flatten() {
            match word.as_str() {
                "insufficient_quota" | "invalid_api_key" | "authentication_error" | "billing_hard_limit_reached" => {
                    return ProviderError::Unauthorized;
                }
                "model_not_found" => return ProviderError::UnknownModel,
                "content_filter" | "content_policy_violation" => return ProviderError::ContentFiltered,
                _ => {}
            }
        }
        of_status(status.or(self.number).or_else(|| self.status_of_words()).unwrap_or(500), retry_after)
    }

    /// The status that a failure inside of a stream would have had as a response.
    fn status_of_words(&self) -> Option<u16> {
        [&self.code, &self.kind].into_iter().flatten().find_map(|word| match word.as_str() {
            "rate_limit_exceeded" | "rate_limit_error" | "tokens" | "requests" | "RESOURCE_EXHAUSTED" => Some(429),
            "invalid_request_error" | "context_length_exceeded" => Some(400),
            "permission_error" => Some(403),
            "overloaded_error" => Some(503),
            number => number.parse().ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn text_is_borrowed_from_the_bytes_where_nothing_is_escaped() {
        let json = br#"{"choices":[{"index":0,"delta":{"content":"hello"}}]}"#;
        let choice = Completion::parse(json).unwrap().into_choice().unwrap();
        assert!(matches!(choice.delta.unwrap().content.unwrap().0, Cow::Borrowed("hello")));
    }

    #[test]
    fn nulls_and_unknown_fields_are_passed_over() {
        let json = br#"{"id":"x","model":null,"choices":null,"usage":null,"error":null,"x_more":{"a":[1]}}"#;
        let completion = Completion::parse(json).unwrap();
        assert!(completion.usage().is_none());
        assert!(completion.into_choice().is_none());
    }

    #[test]
    fn tokens_from_the_cache_are_told_and_are_never_more_than_all() {
        let usage = |details: &str| {
            let json = format!(r#"{{"usage":{{"prompt_tokens":9,"completion_tokens":2,{details}}}}}"#);
            Completion::parse(json.as_bytes()).unwrap().usage().unwrap().cached_tokens
        };
        assert_eq!(usage(r#""prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0}"#), 4);
        assert_eq!(usage(r#""prompt_tokens_details":{"cached_tokens":40}"#), 9);
        assert_eq!(usage(r#""prompt_tokens_details":null"#), 0);
    }

    #[test]
    fn other_choices_than_the_first_are_passed_over() {
        let json = br#"{"choices":[{"index":1,"delta":{"content":"no"}}]}"#;
        assert!(Completion::parse(json).unwrap().into_choice().is_none());
    }

    #[test]
    fn a_failure_is_known_by_its_words_or_its_status() {
        let classify = |status, body: &str| Failure::of_body(body.as_bytes()).classify(status, None);
        let limited = ProviderError::RateLimited { retry_after: None };
        assert_eq!(classify(Some(429), ""), limited);
        assert_eq!(classify(Some(429), r#"{"error":{"code":"insufficient_quota"}}"#), ProviderError::Unauthorized);
        assert_eq!(classify(Some(404), "<html>"), ProviderError::UnknownModel);
        assert_eq!(classify(Some(400), r#"{"error":{"code":"model_not_found"}}"#), ProviderError::UnknownModel);
        assert_eq!(classify(Some(400), r#"{"error":{"code":"content_filter"}}"#), ProviderError::ContentFiltered);
        assert_eq!(classify(Some(422), r#"{"error":"text"}"#), ProviderError::BadRequest { status: 422 });
        assert_eq!(classify(Some(402), "{}"), ProviderError::Unauthorized);
        assert_eq!(classify(Some(529), "{}"), ProviderError::Unavailable { status: 529 });
    }

    #[test]
    fn a_failure_inside_of_an_answer_is_known_by_its_code() {
        let classify = |error: &str| Completion::parse(format!(r#"{{"error":{error}}}"#).as_bytes()).err().unwrap();
        assert_eq!(classify(r#"{"code":429,"message":"x"}"#), ProviderError::RateLimited { retry_after: None });
        assert_eq!(
            classify(r#"{"code":"rate_limit_exceeded","type":"tokens"}"#),
            ProviderError::RateLimited { retry_after: None }
        );
        assert_eq!(classify(r#"{"code":"502"}"#), ProviderError::Unavailable { status: 502 });
        assert_eq!(classify(r#"{"type":"invalid_request_error"}"#), ProviderError::BadRequest { status: 400 });
        assert_eq!(classify(r#""out of memory""#), ProviderError::Unavailable { status: 500 });
    }
}
