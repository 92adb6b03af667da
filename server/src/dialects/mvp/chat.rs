//! Sending messages, and reading what was said.

use axum::extract::State;
use http::HeaderMap;
use parlor_engine::app::chat::{OnFailure, SendMessage};
use parlor_engine::app::{AppError, Noun};
use parlor_engine::domain::IdempotencyKey;
use parlor_engine::store::MessageRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, Error, Json, PathText};
use crate::kit::fastapi::{ErrorBody, ValidationErrorBody};
use crate::kit::ids::AnyId;
use crate::kit::json::FieldError;
use crate::kit::refusal::Refusal;
use crate::kit::{Context, headers};

/// A message.
#[derive(Deserialize, ToSchema)]
#[schema(as = mvp::SendRequest)]
pub struct SendRequest {
    /// What the person says.
    #[schema(format = "message", example = "Hello!")]
    message: Option<String>,
    /// The same, under the name that it has in a history; `message` wins.
    content: Option<String>,
    /// The conversation to continue; without one, a new one begins.
    conversation_id: Option<AnyId>,
    /// Up to 10 things that go with it: `http` or `https` URLs, and ids or `url`s of the sender's files.
    #[schema(format = "attachment", max_items = 10)]
    attachments: Option<Vec<String>>,
}

impl SendRequest {
    fn into_message(self, idempotency_key: Option<IdempotencyKey>) -> Result<SendMessage, Refusal> {
        let conversation_id = match self.conversation_id.filter(|id| !id.is_empty()) {
            Some(id) => Some(id.parse().ok_or(AppError::NotFound(Noun::Conversation))?),
            None => None,
        };
        let missing = || Refusal::Malformed(vec![FieldError::new("body", "message", "missing", "Field required")]);
        Ok(SendMessage {
            conversation_id,
            text: self.message.or(self.content).ok_or_else(missing)?,
            attachments: self.attachments.unwrap_or_default(),
            client_id: None,
            model: None,
            language: None,
            idempotency_key,
            stream: false,
            on_failure: OnFailure::Fail,
        })
    }
}

/// A message.
#[derive(Serialize, ToSchema)]
#[schema(as = mvp::Message)]
pub struct Message {
    /// `user` or `assistant`.
    role: &'static str,
    /// What is said.
    content: String,
    /// What goes with it.
    attachments: Vec<String>,
}

/// What the answer cost, in tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = mvp::Usage)]
pub struct Usage {
    /// Read.
    prompt_tokens: u64,
    /// Written.
    completion_tokens: u64,
    /// Both together.
    total_tokens: u64,
}

/// The answer.
#[derive(Serialize, ToSchema)]
#[schema(as = mvp::SendResponse)]
pub struct SendResponse {
    /// The conversation's id.
    conversation_id: String,
    /// The answer.
    message: Message,
    /// What it cost.
    usage: Usage,
}

/// Sends a message and answers when the answer is whole and stored.
#[utoipa::path(post, path = "/chat/send", tag = "mvp", extensions(("x-parlor-right" = json!("user"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key sends the message once")),
    request_body = SendRequest,
    responses(
        (status = 200, description = "The answer", body = SendResponse),
        (status = 400, description = "The message is empty or too long, or an attachment is neither a URL nor a file's id", body = ErrorBody),
        (status = 404, description = "The caller has no such conversation, or no such file", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 422, description = "The body does not parse, or the key was used for another one", body = ValidationErrorBody),
        (status = 503, description = "No provider answered, or the server is busy or stopping", body = ErrorBody),
        (status = 504, description = "The provider took too long", body = ErrorBody),
    ))]
pub async fn send_message(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
    body: Json<SendRequest>,
) -> Result<axum::Json<SendResponse>, Error> {
    let key = headers::idempotency_key(&headers)?;
    let message = body.into_inner().into_message(key)?;
    let turn = context.app.send_message(&caller.into_inner(), message).await?;
    let ending = turn.ending().await;
    if !ending.is_answer() {
        return Err(ending.error(turn.is_replay).into());
    }
    let usage = ending.usage;
    Ok(axum::Json(SendResponse {
        conversation_id: turn.conversation_id.to_string(),
        message: Message { role: "assistant", content: ending.content.clone(), attachments: Vec::new() },
        usage: Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total(),
        },
    }))
}

/// A message in a history.
#[derive(Serialize, ToSchema)]
#[schema(as = mvp::HistoryMessage)]
pub struct HistoryMessage {
    /// `user` or `assistant`.
    role: &'static str,
    /// What is said.
    content: String,
    /// What goes with it.
    attachments: Vec<String>,
    /// When it was stored.
    created_at: String,
}

/// A conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = mvp::HistoryResponse)]
pub struct HistoryResponse {
    /// Its id.
    conversation_id: String,
    /// Oldest first.
    messages: Vec<HistoryMessage>,
}

/// What was said in a conversation, oldest first.
#[utoipa::path(get, path = "/chat/history/{conversation_id}", tag = "mvp", extensions(("x-parlor-right" = json!("owner"))),
    params(("conversation_id" = String, Path, description = "The conversation's id")),
    responses(
        (status = 200, description = "The conversation", body = HistoryResponse),
        (status = 404, description = "The caller has no such conversation", body = ErrorBody),
        (status = 422, description = "The path is no text", body = ValidationErrorBody),
    ))]
pub async fn read_history(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<axum::Json<HistoryResponse>, Error> {
    let id = id.into_inner().parse().map_err(|_| AppError::NotFound(Noun::Conversation))?;
    let found = context.app.read_conversation(&caller.into_inner(), id).await?;
    let message = |row: MessageRow| HistoryMessage {
        role: row.message.role.as_str(),
        content: row.message.content,
        attachments: row.message.attachments.into_inner(),
        created_at: row.message.created_at.rfc3339(),
    };
    let messages = found.messages.into_iter().map(message).collect();
    Ok(axum::Json(HistoryResponse { conversation_id: found.conversation.id.to_string(), messages }))
}
