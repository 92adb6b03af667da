//! What a model is asked, and the pieces in which it answers; no provider's wire format.

use bytes::Bytes;
use serde_json::Value;

use super::Attempts;
use crate::domain::{FinishReason, IMAGE_TOKENS, Role, TokenUsage, estimate_tokens};

/// What a model is asked.
#[derive(Debug, Clone, Default)]
pub struct ChatRequest {
    /// The model's name; `provider/model` picks one provider, empty means the default.
    pub model: String,
    /// The conversation, oldest message first.
    pub messages: Vec<ChatMessage>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Sampling temperature, 0 to 2; `None` leaves it to the provider.
    pub temperature: Option<f64>,
    /// The most tokens the answer may have; `None` leaves it to the provider.
    pub max_tokens: Option<u32>,
    /// Whether the answer is wanted as it is written, or whole (then it is one [`Delta::Text`]).
    pub stream: bool,
    /// Where attempts are noted that cost something and came to nothing.
    pub attempts: Attempts,
}

impl ChatRequest {
    /// About how many tokens the model reads.
    #[must_use]
    pub fn estimated_tokens(&self) -> u64 {
        self.messages.iter().map(ChatMessage::estimated_tokens).sum()
    }

    /// Whether there is any picture in it.
    pub(super) fn has_images(&self) -> bool {
        self.messages.iter().any(|message| !message.images.is_empty())
    }

    /// Takes the pictures out, for a model that cannot see. It is told of those whose address it does not read in the text.
    pub(super) fn hide_images(&mut self) {
        for message in &mut self.messages {
            let images = std::mem::take(&mut message.images);
            if images.iter().any(|image| matches!(image, Image::Bytes { .. })) {
                message.content.push_str("\n\n(This model cannot see the pictures.)");
            }
        }
    }
}

/// One message of a [`ChatRequest`].
#[derive(Debug, Clone)]
pub struct ChatMessage {
    /// Who said it.
    pub role: Role,
    /// What was said; empty where it is only a call of tools.
    pub content: String,
    /// Pictures beside the text.
    pub images: Vec<Image>,
    /// On an assistant's message: what it called.
    pub tool_calls: Vec<ToolCall>,
    /// On a tool's message: the id of the call that it answers.
    pub tool_call_id: Option<String>,
}

impl ChatMessage {
    /// A message that is text alone.
    #[must_use]
    pub fn text(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), images: Vec::new(), tool_calls: Vec::new(), tool_call_id: None }
    }

    /// About how many tokens it costs a model to read.
    #[must_use]
    pub fn estimated_tokens(&self) -> u64 {
        let calls: u64 = self.tool_calls.iter().map(|call| estimate_tokens(&call.arguments)).sum();
        estimate_tokens(&self.content) + calls + IMAGE_TOKENS * self.images.len() as u64
    }
}

/// A picture for a model that sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Where it is on the web; the provider fetches it.
    Url(String),
    /// The picture itself.
    Bytes {
        /// Its media type, such as `image/png`.
        media_type: String,
        /// The file.
        data: Bytes,
    },
}

/// Something that a model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON schema of its arguments, an object.
    pub parameters: Value,
}

/// A model's wish to call a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id, which its result names.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments: JSON, as far as the model kept to it.
    pub arguments: String,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// More of the text; never empty.
    Text(String),
    /// More of a call. The first piece of each carries its id and its name.
    ToolCall {
        /// Which of the answer's calls, from 0.
        index: usize,
        /// Its id, once.
        id: Option<String>,
        /// Its tool, once.
        name: Option<String>,
        /// More of its arguments; may be empty.
        arguments: String,
    },
    /// The model's name as the provider gives it.
    Model(String),
    /// The tokens counted by the provider. May come more than once (the last one holds) and after
    /// [`Delta::Finish`].
    Usage(TokenUsage),
    /// What the provider says the answer cost, in millionths of a US dollar. As for the tokens.
    Cost(u64),
    /// The answer broke off, and another target goes on with it from here. Tokens and costs that come after this are
    /// that part's own; the last of them before it, if there were any, are those of the part that broke off.
    Continued {
        /// The name of the provider that goes on.
        provider: String,
        /// Its model, as in [`Answer::model`](super::Answer::model).
        model: String,
    },
    /// Why the answer ended. No text follows.
    Finish(FinishReason),
}
