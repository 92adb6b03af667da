//! Sending messages.

use axum::extract::State;
use parlor_engine::app::chat::{OnFailure, SendMessage};
use parlor_engine::app::{AppError, Caller, Noun};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::GUESTS;
use super::{Error, Json};
use crate::kit::extract::Credentials;
use crate::kit::fastapi::{ErrorBody, ValidationErrorBody};
use crate::kit::guest::Guest;
use crate::kit::ids::AnyId;
use crate::kit::{Context, headers};

/// The answer when no provider gives one: its document answers 200 all the same.
const FALLBACK: &str = "I'm sorry, I'm having trouble responding right now. Please try again later.";
/// The user of a request that names none.
const DEFAULT_USER: &str = "default_user";

/// A message.
#[derive(Deserialize, ToSchema)]
#[schema(as = classic::ChatRequest)]
pub struct ChatRequest {
    /// What the person says.
    #[schema(format = "message", example = "Hello!")]
    message: String,
    /// The conversation to continue; without one, a new one begins.
    conversation_id: Option<AnyId>,
    /// Who says it, where guests are allowed: 1 to 255 printable characters; `default_user` when absent.
    user_id: Option<String>,
}

/// The answer.
#[derive(Serialize, ToSchema)]
#[schema(as = classic::ChatResponse)]
pub struct ChatResponse {
    /// What the model says.
    response: String,
    /// The conversation.
    conversation_id: i64,
}

/// Sends a message and answers when the answer is whole and stored.
#[utoipa::path(post, path = "/chat", tag = "classic", extensions(("x-parlor-right" = json!("guest-or-token"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key sends the message once")),
    request_body = ChatRequest,
    responses(
        (status = 200, description = "The answer; an apology when no provider gave one", body = ChatResponse),
        (status = 400, description = "The message is empty or too long", body = ErrorBody),
        (status = 401, description = "Guests are not allowed here, and there is no valid token", body = ErrorBody),
        (status = 404, description = "The caller has no such conversation", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 422, description = "The body does not parse, or the key was used for another one", body = ValidationErrorBody),
        (status = 503, description = "The server is busy or stopping", body = ErrorBody),
    ))]
pub async fn send_message(
    State(context): State<Context>,
    headers: Credentials,
    body: Json<ChatRequest>,
) -> Result<axum::Json<ChatResponse>, Error> {
    let body = body.into_inner();
    let idempotency_key = headers::idempotency_key(&headers)?;
    let conversation_id = match &body.conversation_id {
        Some(id) => Some(id.parse().ok_or(AppError::NotFound(Noun::Conversation))?),
        None => None,
    };
    let message = SendMessage {
        conversation_id,
        text: body.message,
        attachments: Vec::new(),
        client_id: None,
        model: None,
        language: None,
        idempotency_key,
        stream: false,
        on_failure: OnFailure::Fallback(FALLBACK),
    };
    let caller = sender(&context, &headers, body.user_id.as_deref(), &message).await?;
    let turn = context.app.send_message(&caller, message).await?;
    let ending = turn.ending().await;
    if ending.content.is_empty() && !ending.is_answer() {
        return Err(ending.error(turn.is_replay).into());
    }
    Ok(axum::Json(ChatResponse { response: ending.content.clone(), conversation_id: turn.conversation_id.get() }))
}

async fn sender(
    context: &Context,
    headers: &Credentials,
    user_id: Option<&str>,
    message: &SendMessage,
) -> Result<Caller, AppError> {
    match (user_id, message.conversation_id) {
        // A client that knows a conversation need not name its user again.
        (None, Some(id)) => GUESTS.caller(context, headers, Guest::OfConversation(id)).await,
        (name, _) => GUESTS.sender(context, headers, name.unwrap_or(DEFAULT_USER), message).await,
    }
}
