//! A turn's events on the wire, the same for every surface that streams.

use parlor_engine::app::chat::{Event, TurnHandle};
use serde::Serialize;
use utoipa::ToSchema;

/// The stream begins: the message is stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartEvent {
    /// The answer's id.
    pub message_id: String,
    /// The conversation's id.
    pub session_id: String,
    /// The conversation's id, under its other name.
    pub conversation_id: String,
    /// The model that was asked for.
    pub model: String,
}

/// A piece of the answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChunkEvent {
    /// The piece.
    pub content: String,
}

/// Tokens.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
    /// Both together, under its other name.
    pub tokens: u64,
}

impl From<parlor_engine::domain::TokenUsage> for Usage {
    fn from(usage: parlor_engine::domain::TokenUsage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total(),
            tokens: usage.total(),
        }
    }
}

/// A passage that the answer rests on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Source {
    /// The FAQ's id.
    pub faq_id: String,
    /// Its question.
    pub question: String,
    /// How near it is, from 0 to 1.
    pub score: f64,
}

/// The model calls a tool.
#[derive(Debug, Serialize, ToSchema)]
pub struct ToolCallEvent {
    /// The call's id, which its result names.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments: JSON as a text, as the model wrote it.
    pub arguments: String,
}

/// What came of a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct ToolResultEvent {
    /// The call's id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Whether the tool did what it was asked.
    pub ok: bool,
    /// What the model is told.
    pub content: String,
}

/// The answer is whole and stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct DoneEvent {
    /// The answer's id.
    pub message_id: String,
    /// The conversation's id.
    pub session_id: String,
    /// The conversation's id, under its other name.
    pub conversation_id: String,
    /// The model that answered.
    pub model: String,
    /// Tokens.
    pub usage: Usage,
    /// `stop`, `length`, `content_filter`, `cancelled` or `error`.
    pub finish_reason: &'static str,
    /// The passages that the answer rests on.
    pub sources: Vec<Source>,
}

/// The turn failed, or broke off; what had been said is stored. The stream ends.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorEvent {
    /// A sentence.
    pub detail: String,
    /// A stable word.
    pub code: String,
}

/// An event as it is sent.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum WireEvent {
    /// `start`
    Start(StartEvent),
    /// `chunk`
    Chunk(ChunkEvent),
    /// `tool_call`
    ToolCall(ToolCallEvent),
    /// `tool_result`
    ToolResult(ToolResultEvent),
    /// `done`
    Done(DoneEvent),
    /// `error`
    Error(ErrorEvent),
}

impl WireEvent {
    /// Writes an event of that turn.
    pub fn of(turn: &TurnHandle, event: Event) -> Self {
        let message_id = || turn.message_id.to_string();
        let conversation_id = || turn.conversation_id.to_string();
        match event {
            Event::Start { model } => Self::Start(StartEvent {
                message_id: message_id(),
                session_id: conversation_id(),
                conversation_id: conversation_id(),
                model,
            }),
            Event::Chunk { content } => Self::Chunk(ChunkEvent { content }),
            Event::ToolCall { id, name, arguments } => Self::ToolCall(ToolCallEvent { id, name, arguments }),
            Event::ToolResult { id, name, ok, content } => Self::ToolResult(ToolResultEvent { id, name, ok, content }),
            Event::End(ending) => match &ending.error_code {
                Some(code) => Self::Error(ErrorEvent { detail: error_detail(code).to_owned(), code: code.clone() }),
                None => Self::Done(DoneEvent {
                    message_id: message_id(),
                    session_id: conversation_id(),
                    conversation_id: conversation_id(),
                    model: ending.model.clone(),
                    usage: ending.usage.into(),
                    finish_reason: ending.finish_reason.as_str(),
                    sources: Vec::new(),
                }),
            },
        }
    }

    /// What ends a stream or a socket whose caller may no longer call.
    pub fn unauthenticated() -> Self {
        Self::Error(ErrorEvent {
            detail: "Could not validate credentials".to_owned(),
            code: "unauthenticated".to_owned(),
        })
    }

    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Chunk(_) => "chunk",
            Self::ToolCall(_) => "tool_call",
            Self::ToolResult(_) => "tool_result",
            Self::Done(_) => "done",
            Self::Error(_) => "error",
        }
    }
}

/// What a person is told of a failure's code.
fn error_detail(code: &str) -> &'static str {
    match code {
        "interrupted" => "The server was stopped before the answer was finished; what had been said is kept.",
        "provider_cut" => "The AI service broke off before the answer was finished; what had been said is kept.",
        "storage" => "The answer could not be stored.",
        code if code.ends_with("_timeout") => "The AI service did not answer in time.",
        "internal" => "Internal server error",
        "overloaded" => "The server is busy. Please try again.",
        "moderation_unavailable" => "The content filter is unavailable, so the answer is kept back. Please try again.",
        _ => "The AI service is unavailable. Please try again.",
    }
}
