//! Sending messages, and reading the answers at once or as they are written.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use parlor_engine::app::chat::{OnFailure, SendMessage, TurnHandle};
use parlor_engine::app::{AppError, Noun};
use parlor_engine::domain::{IdempotencyKey, Language, TokenUsage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, Error, Json, Problem};
use crate::kit::events::{ChunkEvent, DoneEvent, ErrorEvent, Source, StartEvent};
use crate::kit::ids::AnyId;
use crate::kit::refusal::Refusal;
use crate::kit::socket::MessageFrame;
use crate::kit::{Context, headers, sse};

/// A message.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::SendRequest)]
pub struct SendRequest {
    /// What the person says.
    #[schema(format = "message", example = "Hello, how are you?")]
    message: String,
    /// The conversation to continue; without one, a new one begins.
    conversation_id: Option<AnyId>,
    /// Up to 10 things that go with it: ids or `url`s of the sender's files, and http or https addresses.
    #[schema(format = "attachment", max_items = 10)]
    attachments: Option<Vec<String>>,
    /// The language to answer in, as a tag of BCP 47; without one, the model's choice.
    #[schema(format = "language-tag", example = "en")]
    language: Option<String>,
    /// A model that the server offers; without one, its own choice.
    #[schema(format = "model")]
    model: Option<String>,
}

impl SendRequest {
    /// A message that names no conversation.
    pub(super) const fn new(
        message: String,
        attachments: Option<Vec<String>>,
        language: Option<String>,
        model: Option<String>,
    ) -> Self {
        Self { message, conversation_id: None, attachments, language, model }
    }
}

impl MessageFrame for SendRequest {
    fn into_message(self, stream: bool, idempotency_key: Option<IdempotencyKey>) -> Result<SendMessage, Refusal> {
        let conversation_id = match self.conversation_id.filter(|id| !id.is_empty()) {
            Some(id) => Some(id.parse().ok_or(AppError::NotFound(Noun::Conversation))?),
            None => None,
        };
        let language = self.language.as_deref().map(str::trim).filter(|tag| !tag.is_empty());
        Ok(SendMessage {
            conversation_id,
            text: self.message,
            attachments: self.attachments.unwrap_or_default(),
            client_id: None,
            model: self.model,
            language: language.map(Language::parse).transpose()?,
            idempotency_key,
            stream,
            on_failure: OnFailure::Fail,
        })
    }
}

/// Tokens.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = native::Usage)]
pub struct Usage {
    /// Tokens read.
    prompt_tokens: u64,
    /// Tokens written.
    completion_tokens: u64,
    /// Both together.
    total_tokens: u64,
}

impl From<TokenUsage> for Usage {
    fn from(usage: TokenUsage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total(),
        }
    }
}

/// The answer.
#[derive(Serialize, ToSchema)]
#[schema(as = native::SendResponse)]
pub struct SendResponse {
    /// The answer's id.
    message_id: String,
    /// The conversation's id.
    conversation_id: String,
    /// What the model says.
    response: String,
    /// The model that answered.
    model: String,
    /// What it cost.
    usage: Usage,
    /// The passages that the answer rests on.
    sources: Vec<Source>,
    /// When it was stored.
    created_at: String,
}

/// Waits for a turn's answer.
pub(super) async fn answer_of(turn: &TurnHandle) -> Result<axum::Json<SendResponse>, Error> {
    let ending = turn.ending().await;
    if !ending.is_answer() {
        return Err(ending.error(turn.is_replay).into());
    }
    Ok(axum::Json(SendResponse {
        message_id: turn.message_id.to_string(),
        conversation_id: turn.conversation_id.to_string(),
        response: ending.content.clone(),
        model: ending.model.clone(),
        usage: ending.usage.into(),
        sources: Vec::new(),
        created_at: ending.ended_at.rfc3339(),
    }))
}

/// Sends a message and answers when the answer is whole and stored.
#[utoipa::path(post, path = "/api/v1/chat/send", tag = "native", extensions(("x-parlor-right" = json!("user"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key sends the message once")),
    request_body = SendRequest,
    responses(
        (status = 200, description = "The answer", body = SendResponse),
        (status = 400, description = "The message is empty or too long, or a value breaks a rule", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such conversation, or no such file", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too long", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse, or the key was used for another one", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No provider answered, or the server is busy or stopping", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "The provider took too long", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn send_message(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
    body: Json<SendRequest>,
) -> Result<axum::Json<SendResponse>, Error> {
    let key = headers::idempotency_key(&headers)?;
    let message = body.into_inner().into_message(false, key)?;
    answer_of(&context.app.send_message(&caller.into_inner(), message).await?).await
}

/// Sends a message and streams the answer as it is written.
///
/// Events: `start`, `chunk`, `done`, `error`, numbered from 1. Leaving does not stop the answer; to read the rest after a broken connection,
/// follow it under `/api/v1/chat/messages/{message_id}/stream`, or send the same request again with the same `Idempotency-Key`.
#[utoipa::path(post, path = "/api/v1/chat/stream", tag = "native", extensions(("x-parlor-right" = json!("user"))),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key attaches to the message's running or finished stream"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Stream only what comes after this event"),
    ),
    request_body = SendRequest,
    responses(
        (status = 200, description = "The stream", content(
            (StartEvent = "text/event-stream"), (ChunkEvent = "text/event-stream; event=chunk"),
            (DoneEvent = "text/event-stream; event=done"), (ErrorEvent = "text/event-stream; event=error"))),
        (status = 400, description = "The message is empty or too long, or a value breaks a rule", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such conversation, or no such file", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too long", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse, or the key was used for another one", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The server is busy or stopping", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn stream_message(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
    body: Json<SendRequest>,
) -> Result<Response, Error> {
    let key = headers::idempotency_key(&headers)?;
    let after = headers::last_event_id(&headers)?;
    let message = body.into_inner().into_message(true, key)?;
    let turn = context.app.send_message(&caller.into_inner(), message).await?;
    // Without a replay there is nothing that the client could have seen already.
    let after = if turn.is_replay { after } else { 0 };
    Ok(sse::stream_turn(&context, turn, after))
}
