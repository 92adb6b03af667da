//! The answers of OpenAI's chat completions on the wire, the part of them that we use.
//!
//! <https://platform.openai.com/docs/api-reference/chat>; OpenRouter, Groq and most servers of
//! models speak the same, with the differences named below. What is borrowed here points into the
//! received bytes.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::{FinishReason, TokenUsage};
use crate::providers::error::ProviderError;
use crate::providers::failure::Failure;

/// A piece of a streamed answer, or a whole one: they differ in `delta` and `message` only.
#[derive(Deserialize)]
pub(super) struct Completion<'a> {
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<Usage>,
    x_groq: Option<XGroq>,
    error: Option<Value>,
}

/// Groq's own: the tokens stand here in the last piece of a stream.
#[derive(Deserialize)]
struct XGroq {
    usage: Option<Usage>,
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

#[derive(Deserialize, Default)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    /// What a model says in place of an answer that it does not give.
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<CallPiece<'a>>>,
}

/// A piece of a call, or a whole one.
#[derive(Deserialize)]
pub(super) struct CallPiece<'a> {
    /// Which call it belongs to. Whole answers leave it out, and so do some servers.
    pub(super) index: Option<usize>,
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    /// A string that holds JSON; some servers send the JSON itself.
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// A string that borrows where nothing in it is escaped. (serde borrows a `Cow` only outside of an
/// `Option`, hence the newtype.)
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Deserialize, Clone, Copy)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    /// OpenRouter's: what the answer cost, in US dollars.
    cost: Option<f64>,
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

    /// Whether it holds no choices.
    pub(super) fn is_bare(&self) -> bool {
        self.choices.as_ref().is_none_or(Vec::is_empty)
    }

    /// The tokens.
    pub(super) fn usage(&self) -> Option<TokenUsage> {
        let usage = self.usage.or_else(|| self.x_groq.as_ref().and_then(|groq| groq.usage))?;
        let prompt_tokens = usage.prompt_tokens.unwrap_or_default();
        let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or_default();
        Some(TokenUsage {
            prompt_tokens,
            completion_tokens: usage.completion_tokens.unwrap_or_default(),
            cached_tokens: cached.min(prompt_tokens),
        })
    }

    /// What the answer cost, in millionths of a US dollar, where the service says.
    pub(super) fn cost(&self) -> Option<u64> {
        micros(self.usage?.cost?)
    }
}

/// Millionths of what is given in whole ones; `None` for what is no price.
fn micros(dollars: f64) -> Option<u64> {
    let micros = (dollars * 1e6).round();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was just checked")]
    (0.0..1e15).contains(&micros).then_some(micros as u64)
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
            "tool_calls" | "function_call" => FinishReason::ToolCalls,
            "error" => return Err(ProviderError::Unavailable { status: 502 }),
            "" => return Ok(None),
            _ => FinishReason::Stop,
        }))
    }

    /// What the piece adds to the answer.
    pub(super) fn into_content(self) -> Content<'a> {
        self.delta.unwrap_or_default()
    }
}

impl Content<'_> {
    /// The text, or the refusal in its place; `None` when there is neither.
    pub(super) fn take_text(&mut self) -> Option<String> {
        let spoken = |text: Option<Text<'_>>| text.map(|text| text.0.into_owned()).filter(|text| !text.is_empty());
        spoken(self.content.take()).or_else(|| spoken(self.refusal.take()))
    }
}

impl CallPiece<'_> {
    /// The tool's name, where it stands in this piece.
    pub(super) fn name(&self) -> Option<&str> {
        self.function.as_ref()?.name.as_ref().map(|name| name.0.as_ref()).filter(|name| !name.is_empty())
    }

    /// The call's id, where it stands in this piece.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_ref().map(|id| id.0.as_ref()).filter(|id| !id.is_empty())
    }

    /// What the piece adds to the arguments.
    pub(super) fn arguments(&self) -> String {
        let Some(raw) = self.function.as_ref().and_then(|function| function.arguments) else { return String::new() };
        serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
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
    fn a_cost_is_rounded_to_millionths_and_nonsense_is_none() {
        let cost = |usage: &str| Completion::parse(format!(r#"{{"usage":{usage}}}"#).as_bytes()).unwrap().cost();
        assert_eq!(cost(r#"{"cost":0.0000014}"#), Some(1));
        assert_eq!(cost(r#"{"cost":0.95}"#), Some(950_000));
        assert_eq!(cost(r#"{"cost":0}"#), Some(0));
        assert_eq!(cost(r#"{"cost":-1}"#), None);
        assert_eq!(cost(r#"{"cost":1e300}"#), None);
        assert_eq!(cost(r#"{"cost":null,"prompt_tokens":null}"#), None);
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
        assert_eq!(classify(r#"{"type":"invalid_request_error"}"#), ProviderError::bad_request(400));
        assert_eq!(classify(r#""out of memory""#), ProviderError::Unavailable { status: 500 });
    }
}
