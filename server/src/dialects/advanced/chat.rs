//! Sending messages, and reading the answers at once or as they are written.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use parlor_engine::app::chat::{OnFailure, SendMessage};
use parlor_engine::app::{AppError, Noun};
use parlor_engine::domain::IdempotencyKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, Error, Json};
use crate::kit::events::{ChunkEvent, DoneEvent, ErrorEvent, StartEvent};
use crate::kit::fastapi::{ErrorBody, ValidationErrorBody};
use crate::kit::ids::AnyId;
use crate::kit::refusal::Refusal;
use crate::kit::socket::MessageFrame;
use crate::kit::{Context, headers, sse};

/// A message.
#[derive(Deserialize, ToSchema)]
#[schema(as = advanced::ChatRequest)]
pub struct ChatRequest {
    /// What the person says.
    #[schema(format = "message", example = "Hello, how are you?")]
    message: String,
    /// The conversation to continue; without one, a new one begins.
    session_id: Option<AnyId>,
    /// A model that the server offers; without one, its own choice.
    #[schema(format = "model")]
    model: Option<String>,
}

impl MessageFrame for ChatRequest {
    fn into_message(self, stream: bool, idempotency_key: Option<IdempotencyKey>) -> Result<SendMessage, Refusal> {
        let conversation_id = match self.session_id.filter(|id| !id.is_empty()) {
            Some(id) => Some(id.parse().ok_or(AppError::NotFound(Noun::Conversation))?),
            None => None,
        };
        Ok(SendMessage {
            conversation_id,
            text: self.message,
            attachments: Vec::new(),
            client_id: None,
            model: self.model,
            language: None,
            idempotency_key,
            stream,
            on_failure: OnFailure::Fail,
        })
    }
}

/// What the answer cost.
#[derive(Serialize, ToSchema)]
#[schema(as = advanced::Usage)]
pub struct Usage {
    /// Tokens read and written.
    tokens: u64,
}

/// The answer.
#[derive(Serialize, ToSchema)]
#[schema(as = advanced::ChatResponse)]
pub struct ChatResponse {
    /// The answer's id.
    message_id: String,
    /// The conversation's id.
    session_id: String,
    /// What the model says.
    reply: String,
    /// The model that answered.
    model: String,
    /// What it cost.
    usage: Usage,
    /// When it was stored.
    created_at: String,
}

/// Sends a message and answers when the answer is whole and stored.
#[utoipa::path(post, path = "/api/chat", tag = "advanced", extensions(("x-parlor-right" = json!("user"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key sends the message once")),
    request_body = ChatRequest,
    responses(
        (status = 200, description = "The answer", body = ChatResponse),
        (status = 400, description = "The message is empty or too long", body = ErrorBody),
        (status = 404, description = "The caller has no such conversation", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 422, description = "The body does not parse, or the key was used for another one", body = ValidationErrorBody),
        (status = 500, description = "No provider answered", body = ErrorBody),
        (status = 503, description = "The server is busy or stopping", body = ErrorBody),
    ))]
pub async fn send_message(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
    body: Json<ChatRequest>,
) -> Result<axum::Json<ChatResponse>, Error> {
    let key = headers::idempotency_key(&headers)?;
    let message = body.into_inner().into_message(false, key)?;
    let turn = context.app.send_message(&caller.into_inner(), message).await?;
    let ending = turn.ending().await;
    if !ending.is_answer() {
        return Err(ending.error(turn.is_replay).into());
    }
    Ok(axum::Json(ChatResponse {
        message_id: turn.message_id.to_string(),
        session_id: turn.conversation_id.to_string(),
        reply: ending.content.clone(),
        model: ending.model.clone(),
        usage: Usage { tokens: ending.usage.total() },
        created_at: ending.ended_at.rfc3339(),
    }))
}

/// Sends a message and streams the answer as it is written.
///
/// Events: `start`, `chunk`, `done`, `error`, numbered from 1. Leaving does not stop the answer. To read the rest after a broken connection,
/// send the same request again with the same `Idempotency-Key` and the number of the last event in `Last-Event-ID`.
#[utoipa::path(post, path = "/api/chat/stream", tag = "advanced", extensions(("x-parlor-right" = json!("user"))),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key attaches to the message's running or finished stream"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Stream only what comes after this event"),
    ),
    request_body = ChatRequest,
    responses(
        (status = 200, description = "The stream", content(
            (StartEvent = "text/event-stream"), (ChunkEvent = "text/event-stream; event=chunk"),
            (DoneEvent = "text/event-stream; event=done"), (ErrorEvent = "text/event-stream; event=error"))),
        (status = 400, description = "The message is empty or too long", body = ErrorBody),
        (status = 404, description = "The caller has no such conversation", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 422, description = "The body does not parse, or the key was used for another one", body = ValidationErrorBody),
        (status = 503, description = "The server is busy or stopping", body = ErrorBody),
    ))]
pub async fn stream_message(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
    body: Json<ChatRequest>,
) -> Result<Response, Error> {
    let key = headers::idempotency_key(&headers)?;
    let after = headers::last_event_id(&headers)?;
    let message = body.into_inner().into_message(true, key)?;
    let turn = context.app.send_message(&caller.into_inner(), message).await?;
    // Without a replay there is nothing that the client could have seen already.
    let after = if turn.is_replay { after } else { 0 };
    Ok(sse::stream_turn(&context, turn, after))
}
