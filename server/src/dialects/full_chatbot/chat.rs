//! Sending messages, and reading what was said.

use axum::extract::State;
use http::header;
use parlor_engine::app::chat::{OnFailure, SendMessage};
use parlor_engine::app::{AppError, Noun};
use parlor_engine::domain::{IdempotencyKey, Invalid};
use parlor_engine::store::MessageRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Error, GUESTS, JsonOrQuery, PathText};
use crate::kit::extract::Credentials;
use crate::kit::fastapi::{ErrorBody, ValidationErrorBody};
use crate::kit::guest::Guest;
use crate::kit::ids::AnyId;
use crate::kit::numbers::whole;
use crate::kit::{Context, websocket};

/// The answer when no provider gives one: its document answers 200 all the same.
const FALLBACK: &str = "I'm sorry, I'm having trouble responding right now. Please try again later.";

/// A message. Its fields may also stand in the query.
#[derive(Deserialize, ToSchema)]
#[schema(as = full_chatbot::ChatMessageRequest)]
pub struct ChatMessageRequest {
    /// What the person says.
    #[schema(format = "message", example = "Hello!")]
    message: String,
    /// Who says it, where guests are allowed.
    #[serde(deserialize_with = "whole")]
    #[schema(example = 1)]
    user_id: i64,
    /// The client's name for the message, 1 to 255 printable ASCII characters: the same one sends the message once.
    #[schema(format = "key", example = "test-msg-001")]
    message_id: String,
    /// The message's number in the conversation, as the client counts. Parlor counts for itself.
    #[serde(rename = "message_count", deserialize_with = "whole")]
    #[schema(example = 1)]
    _message_count: i64,
    /// The conversation to continue; without one, or when it is empty, a new one begins.
    conversation_id: Option<AnyId>,
}

/// The answer.
#[derive(Serialize, ToSchema)]
#[schema(as = full_chatbot::ChatMessageResponse)]
pub struct ChatMessageResponse {
    /// What the model says.
    message: String,
    /// The conversation's id.
    conversation_id: String,
}

/// Sends a message and answers when the answer is whole and stored.
#[utoipa::path(post, path = "/chat-message", tag = "full_chatbot", extensions(("x-parlor-right" = json!("guest-or-token"))),
    request_body = ChatMessageRequest,
    responses(
        (status = 200, description = "The answer; an apology when no provider gave one", body = ChatMessageResponse),
        (status = 400, description = "The message is empty or too long, or its id is none", body = ErrorBody),
        (status = 401, description = "Guests are not allowed here, and there is no valid token", body = ErrorBody),
        (status = 403, description = "A page of a foreign origin", body = ErrorBody),
        (status = 404, description = "The caller has no such conversation", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 422, description = "The request does not parse, or the id was used for another message", body = ValidationErrorBody),
        (status = 503, description = "The server is busy or stopping", body = ErrorBody),
    ))]
pub async fn send_message(
    State(context): State<Context>,
    headers: Credentials,
    body: JsonOrQuery<ChatMessageRequest>,
) -> Result<axum::Json<ChatMessageResponse>, Error> {
    // What stands in the query needs no type that a browser would ask about first, so any page could send it.
    let origins = &context.app.settings().server.cors_origins;
    if !headers.contains_key(header::CONTENT_TYPE) && !websocket::origin_is_allowed(&headers, origins) {
        return Err(AppError::Forbidden("This origin may not send messages").into());
    }
    let body = body.into_inner();
    let user = body.user_id.to_string();
    let message = body.into_message()?;
    let caller = GUESTS.sender(&context, &headers, &user, &message).await?;
    let turn = context.app.send_message(&caller, message).await?;
    let ending = turn.ending().await;
    if ending.content.is_empty() && !ending.is_answer() {
        return Err(ending.error(turn.is_replay).into());
    }
    let conversation_id = turn.conversation_id.to_string();
    Ok(axum::Json(ChatMessageResponse { message: ending.content.clone(), conversation_id }))
}

impl ChatMessageRequest {
    fn into_message(self) -> Result<SendMessage, AppError> {
        let conversation_id = match self.conversation_id.filter(|id| !id.is_empty()) {
            Some(id) => Some(id.parse().ok_or(AppError::NotFound(Noun::Conversation))?),
            None => None,
        };
        let key = IdempotencyKey::parse(&self.message_id)
            .map_err(|_| Invalid::new("message_id", "message_id must be 1 to 255 printable ASCII characters"))?;
        Ok(SendMessage {
            conversation_id,
            text: self.message,
            attachments: Vec::new(),
            client_id: Some(self.message_id),
            model: None,
            language: None,
            idempotency_key: Some(key),
            stream: false,
            on_failure: OnFailure::Fallback(FALLBACK),
        })
    }
}

/// What was said.
#[derive(Serialize, ToSchema)]
#[schema(as = full_chatbot::HistoryMessage)]
pub struct HistoryMessage {
    /// `user` or `assistant`.
    role: &'static str,
    /// What is said.
    message: String,
}

/// A conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = full_chatbot::HistoryResponse)]
pub struct HistoryResponse {
    /// Its id.
    conversation_id: String,
    /// How many messages it has.
    message_count: usize,
    /// Oldest first.
    messages: Vec<HistoryMessage>,
}

/// What was said in a conversation, oldest first.
#[utoipa::path(get, path = "/get-conversation-history/{conversation_id}", tag = "full_chatbot", extensions(("x-parlor-right" = json!("guest-or-token"))),
    params(("conversation_id" = String, Path, description = "The conversation's id")),
    responses(
        (status = 200, description = "The conversation", body = HistoryResponse),
        (status = 401, description = "Guests are not allowed here, and there is no valid token", body = ErrorBody),
        (status = 404, description = "The caller has no such conversation", body = ErrorBody),
        (status = 422, description = "The path is no text", body = ValidationErrorBody),
    ))]
pub async fn read_history(
    State(context): State<Context>,
    headers: Credentials,
    id: PathText,
) -> Result<axum::Json<HistoryResponse>, Error> {
    let id = id.into_inner().parse().map_err(|_| AppError::NotFound(Noun::Conversation))?;
    let caller = GUESTS.caller(&context, &headers, Guest::OfConversation(id)).await?;
    let found = context.app.read_conversation(&caller, id).await?;
    let message = |row: MessageRow| HistoryMessage { role: row.message.role.as_str(), message: row.message.content };
    let messages: Vec<_> = found.messages.into_iter().map(message).collect();
    Ok(axum::Json(HistoryResponse {
        conversation_id: found.conversation.id.to_string(),
        message_count: messages.len(),
        messages,
    }))
}
