//! Anthropic's answers on the wire: a message whole, or in events.
//!
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>. What is borrowed here points into
//! the received bytes.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::{FinishReason, TokenUsage};
use crate::providers::error::ProviderError;
use crate::providers::failure::Failure;
use crate::providers::{Delta, deltas};

const NO_JSON: ProviderError = ProviderError::Protocol("an answer is not the expected JSON");

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    index: Option<u64>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    #[serde(borrow)]
    delta: Option<Piece<'a>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Vec<Block<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    partial_json: Option<Text<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
}

/// A string that borrows where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Each count holds for the whole message so far; an event may name some of them only.
#[derive(Deserialize, Clone, Copy, Default)]
struct Usage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Usage {
    fn updated_by(self, newer: Self) -> Self {
        Self {
            input_tokens: newer.input_tokens.or(self.input_tokens),
            cache_creation_input_tokens: newer.cache_creation_input_tokens.or(self.cache_creation_input_tokens),
            cache_read_input_tokens: newer.cache_read_input_tokens.or(self.cache_read_input_tokens),
            output_tokens: newer.output_tokens.or(self.output_tokens),
        }
    }

    /// What was read from a cache or put into it is not among `input_tokens`.
    fn tokens(self) -> TokenUsage {
        let cached = self.cache_read_input_tokens.unwrap_or_default();
        let fresh = [self.input_tokens, self.cache_creation_input_tokens].into_iter().flatten();
        TokenUsage {
            prompt_tokens: fresh.fold(cached, u64::saturating_add),
            completion_tokens: self.output_tokens.unwrap_or_default(),
            cached_tokens: cached,
        }
    }
}

/// Turns events, or a whole message, into deltas.
#[derive(Default)]
pub(super) struct Reader {
    deltas: VecDeque<Delta>,
    usage: Option<Usage>,
    calls: Vec<Call>,
    is_over: bool,
}

/// A call under way.
struct Call {
    /// Its block's number.
    block: Option<u64>,
    has_arguments: bool,
}

impl Reader {
    /// Takes a message that comes whole.
    ///
    /// # Errors
    /// [`ProviderError::Protocol`] when it is none, and the error that stands in its place.
    pub(super) fn read_whole(&mut self, json: &[u8]) -> Result<(), ProviderError> {
        let mut message: Message<'_> = serde_json::from_slice(json).map_err(|_| NO_JSON)?;
        if let Some(error) = &message.error {
            return Err(Failure::of(error).classify(None, None));
        }
        let content = std::mem::take(&mut message.content);
        let reason = message.stop_reason.take();
        self.begin(message);
        for block in content {
            self.begin_block(None, block);
            self.end_block(None);
        }
        self.finish(reason);
        Ok(())
    }

    fn begin(&mut self, message: Message<'_>) {
        let model = message.model.filter(|model| !model.0.is_empty());
        self.deltas.extend(model.map(|model| Delta::Model(model.0.into_owned())));
        self.count(message.usage);
    }

    fn count(&mut self, newer: Option<Usage>) {
        if let Some(newer) = newer {
            self.usage = Some(self.usage.unwrap_or_default().updated_by(newer));
        }
    }

    fn say(&mut self, text: Option<Text<'_>>) {
        let text = text.filter(|text| !text.0.is_empty());
        self.deltas.extend(text.map(|text| Delta::Text(text.0.into_owned())));
    }

    fn begin_block(&mut self, block: Option<u64>, content: Block<'_>) {
        if content.r#type != "tool_use" {
            if content.r#type == "text" {
                self.say(content.text);
            }
            return;
        }
        let owned = |text: Option<Text<'_>>| text.map(|text| text.0.into_owned()).unwrap_or_default();
        // A stream's call begins with an empty object, and its arguments follow in pieces.
        let arguments = content.input.map(RawValue::get).filter(|input| *input != "{}" && *input != "null");
        let index = self.calls.len();
        self.calls.push(Call { block, has_arguments: arguments.is_some() });
        self.deltas.push_back(Delta::ToolCall {
            index,
            id: Some(owned(content.id)),
            name: Some(owned(content.name)),
            arguments: arguments.unwrap_or_default().to_owned(),
        });
    }

    /// A call without arguments is one with none of them.
    fn end_block(&mut self, block: Option<u64>) {
        let Some(index) = self.calls.iter().rposition(|call| call.block == block) else { return };
        if self.calls.get(index).is_some_and(|call| !call.has_arguments) {
            self.add_arguments(index, "{}".to_owned());
        }
    }

    fn add_arguments(&mut self, index: usize, arguments: String) {
        if let Some(call) = self.calls.get_mut(index) {
            call.has_arguments = true;
            self.deltas.push_back(Delta::ToolCall { index, id: None, name: None, arguments });
        }
    }

    fn read_piece(&mut self, block: Option<u64>, piece: Piece<'_>) {
        self.say(piece.text);
        if let Some(Text(json)) = piece.partial_json.filter(|json| !json.0.is_empty())
            && let Some(index) = self.calls.iter().rposition(|call| call.block == block)
        {
            self.add_arguments(index, json.into_owned());
        }
    }

    fn finish(&mut self, reason: Option<Text<'_>>) {
        let Some(Text(reason)) = reason else { return };
        let reason = match reason.as_ref() {
            "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
            "tool_use" => FinishReason::ToolCalls,
            "refusal" => FinishReason::ContentFilter,
            _ => FinishReason::Stop,
        };
        self.deltas.push_back(Delta::Finish(reason));
        self.deltas.extend(self.usage.map(|usage| Delta::Usage(usage.tokens())));
    }
}

impl deltas::Reader for Reader {
    fn read(&mut self, json: &[u8]) -> Result<(), ProviderError> {
        let event: Event<'_> = serde_json::from_slice(json).map_err(|_| NO_JSON)?;
        match event.r#type.as_ref() {
            "message_start" => {
                if let Some(message) = event.message {
                    self.begin(message);
                }
            }
            "content_block_start" => {
                if let Some(block) = event.content_block {
                    self.begin_block(event.index, block);
                }
            }
            "content_block_delta" => {
                if let Some(piece) = event.delta {
                    self.read_piece(event.index, piece);
                }
            }
            "content_block_stop" => self.end_block(event.index),
            "message_delta" => {
                self.count(event.usage);
                self.finish(event.delta.and_then(|delta| delta.stop_reason));
            }
            "message_stop" => self.is_over = true,
            "error" => return Err(Failure::of(&event.error.unwrap_or_default()).classify(None, None)),
            // `ping`, and what is yet to be invented.
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
