//! The responses API's answers on the wire: a response whole, or in events.
//!
//! <https://platform.openai.com/docs/api-reference/responses-streaming>. What is borrowed here points
//! into the received bytes.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::{FinishReason, TokenUsage};
use crate::providers::error::ProviderError;
use crate::providers::failure::Failure;
use crate::providers::{Delta, deltas};

pub(super) const NO_JSON: ProviderError = ProviderError::Protocol("an answer is not the expected JSON");

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    output_index: Option<u64>,
    /// A string in the events that are read here.
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<Item<'a>>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    /// An `error` event holds its error, or is it.
    error: Option<Value>,
    code: Option<Value>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow, default)]
    output: Vec<Item<'a>>,
    incomplete_details: Option<Incomplete>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<Vec<Part<'a>>>,
    #[serde(borrow)]
    call_id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
}

impl Usage {
    pub(super) fn tokens(&self) -> TokenUsage {
        let prompt_tokens = self.input_tokens.unwrap_or_default();
        let cached = self.input_tokens_details.as_ref().and_then(|details| details.cached_tokens).unwrap_or_default();
        TokenUsage {
            prompt_tokens,
            completion_tokens: self.output_tokens.unwrap_or_default(),
            cached_tokens: cached.min(prompt_tokens),
        }
    }
}

#[derive(Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
}

/// A string that borrows where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Turns events, or a whole response, into deltas.
#[derive(Default)]
pub(super) struct Reader {
    deltas: VecDeque<Delta>,
    calls: Vec<Call>,
    is_over: bool,
}

/// A call under way.
struct Call {
    /// Its item's place in the output.
    item: Option<u64>,
    has_arguments: bool,
}

impl Reader {
    /// Takes a response that comes whole.
    ///
    /// # Errors
    /// [`ProviderError::Protocol`] when it is none, and the error that it reports.
    pub(super) fn read_whole(&mut self, json: &[u8]) -> Result<(), ProviderError> {
        let mut response: Response<'_> = serde_json::from_slice(json).map_err(|_| NO_JSON)?;
        self.name(&mut response);
        for item in std::mem::take(&mut response.output) {
            match item.r#type.as_ref() {
                "message" => {
                    for part in item.content.into_iter().flatten() {
                        self.say(part.text.or(part.refusal).map(|text| text.0.into_owned()));
                    }
                }
                "function_call" => self.begin_call(None, item),
                _ => {}
            }
        }
        self.finish(response)
    }

    fn name(&mut self, response: &mut Response<'_>) {
        let model = response.model.take().filter(|model| !model.0.is_empty());
        self.deltas.extend(model.map(|model| Delta::Model(model.0.into_owned())));
    }

    fn say(&mut self, text: Option<String>) {
        self.deltas.extend(text.filter(|text| !text.is_empty()).map(Delta::Text));
    }

    fn begin_call(&mut self, at: Option<u64>, item: Item<'_>) {
        let owned = |text: Option<Text<'_>>| text.map(|text| text.0.into_owned()).unwrap_or_default();
        let arguments = owned(item.arguments);
        self.calls.push(Call { item: at, has_arguments: !arguments.is_empty() });
        self.deltas.push_back(Delta::ToolCall {
            index: self.calls.len() - 1,
            id: Some(owned(item.call_id)),
            name: Some(owned(item.name)),
            arguments,
        });
    }

    /// More of the arguments; all of them, `whole`, where no pieces came.
    fn add_arguments(&mut self, at: Option<u64>, arguments: Option<String>, whole: bool) {
        let Some(index) = self.calls.iter().rposition(|call| call.item == at) else { return };
        let Some(call) = self.calls.get_mut(index).filter(|call| !(whole && call.has_arguments)) else { return };
        if let Some(arguments) = arguments.filter(|arguments| !arguments.is_empty()) {
            call.has_arguments = true;
            self.deltas.push_back(Delta::ToolCall { index, id: None, name: None, arguments });
        }
    }

    /// A response's end, and why. One that is still going on has none.
    fn finish(&mut self, response: Response<'_>) -> Result<(), ProviderError> {
        let status = response.status.as_ref().map(|status| status.0.as_ref());
        if status == Some("failed") || response.error.is_some() {
            return Err(Failure::of(&response.error.unwrap_or_default()).classify(None, None));
        }
        let reason = response.incomplete_details.and_then(|details| details.reason);
        let finish = match (status, reason.as_deref()) {
            (Some("incomplete"), Some("content_filter")) => FinishReason::ContentFilter,
            (Some("incomplete"), _) => FinishReason::Length,
            (Some("completed"), _) if !self.calls.is_empty() => FinishReason::ToolCalls,
            (Some("completed"), _) => FinishReason::Stop,
            _ => return Ok(()),
        };
        self.is_over = true;
        self.deltas.push_back(Delta::Finish(finish));
        self.deltas.extend(response.usage.map(|usage| Delta::Usage(usage.tokens())));
        Ok(())
    }
}

impl deltas::Reader for Reader {
    fn read(&mut self, json: &[u8]) -> Result<(), ProviderError> {
        let event: Event<'_> = serde_json::from_slice(json).map_err(|_| NO_JSON)?;
        let delta = || event.delta.and_then(|delta| serde_json::from_str(delta.get()).ok());
        match event.r#type.as_ref() {
            "response.created" => {
                if let Some(mut response) = event.response {
                    self.name(&mut response);
                }
            }
            "response.output_text.delta" | "response.refusal.delta" => self.say(delta()),
            "response.output_item.added" => {
                if let Some(item) = event.item.filter(|item| item.r#type == "function_call") {
                    self.begin_call(event.output_index, item);
                }
            }
            "response.function_call_arguments.delta" => self.add_arguments(event.output_index, delta(), false),
            "response.output_item.done" => {
                let arguments = event.item.and_then(|item| item.arguments).map(|arguments| arguments.0.into_owned());
                self.add_arguments(event.output_index, arguments, true);
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                return event.response.map_or(Err(NO_JSON), |response| self.finish(response));
            }
            "error" => {
                let error = event.error.unwrap_or_else(|| serde_json::json!({"code": event.code}));
                return Err(Failure::of(&error).classify(None, None));
            }
            // Reasoning, progress, and what is yet to be invented.
            _ => {}
        }
        Ok(())
    }

    fn deltas(&mut self) -> &mut VecDeque<Delta> {
        &mut self.deltas
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}
