//! Conversations.

use axum::extract::State;
use parlor_engine::app::{AppError, Caller, ConversationWithMessages, Noun};
use parlor_engine::domain::ConversationId;
use parlor_engine::store::MessageRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{GUESTS, user_id};
use super::{Error, Json, PathText};
use crate::kit::Context;
use crate::kit::extract::Credentials;
use crate::kit::fastapi::{ErrorBody, ValidationErrorBody};
use crate::kit::guest::Guest;
use crate::kit::json::FieldError;
use crate::kit::refusal::Refusal;

/// Conversations that a list shows at most; its document knows no pages.
const LIST_MAX: u32 = 1000;

/// Whose conversation to begin.
#[derive(Deserialize, ToSchema)]
#[schema(as = classic::ConversationCreate)]
pub struct ConversationCreate {
    /// The user, where guests are allowed: 1 to 255 printable characters.
    #[schema(example = "user-1")]
    user_id: String,
}

/// A conversation that was begun.
#[derive(Serialize, ToSchema)]
#[schema(as = classic::ConversationResponse)]
pub struct ConversationResponse {
    /// Its id.
    id: i64,
    /// Whose it is.
    user_id: String,
}

/// A message.
#[derive(Serialize, ToSchema)]
#[schema(as = classic::MessageResponse)]
pub struct MessageResponse {
    /// Its id.
    id: i64,
    /// `user` or `assistant`.
    role: &'static str,
    /// What is said.
    content: String,
    /// When it was stored.
    created_at: String,
}

/// A conversation in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = classic::ConversationListItem)]
pub struct ConversationListItem {
    /// Its id.
    id: i64,
    /// Whose it is.
    user_id: String,
    /// When it began.
    created_at: String,
    /// When its newest message came.
    updated_at: String,
    /// Made from its first message.
    title: Option<String>,
    /// How many messages it has.
    message_count: i64,
    /// The beginning of its newest message.
    last_message: Option<String>,
}

/// A conversation with its messages.
#[derive(Serialize, ToSchema)]
#[schema(as = classic::ConversationFull)]
pub struct ConversationFull {
    /// Its id.
    id: i64,
    /// Whose it is.
    user_id: String,
    /// When it began.
    created_at: String,
    /// Made from its first message.
    title: Option<String>,
    /// Oldest first.
    messages: Vec<MessageResponse>,
}

/// What was done.
#[derive(Serialize, ToSchema)]
#[schema(as = classic::Done)]
pub struct Done {
    /// In a sentence.
    message: &'static str,
}

/// Begins an empty conversation.
#[utoipa::path(post, path = "/conversations", tag = "classic", extensions(("x-parlor-right" = json!("guest-or-token"))), request_body = ConversationCreate, responses(
    (status = 200, description = "Begun", body = ConversationResponse),
    (status = 400, description = "The user's name is empty or too long", body = ErrorBody),
    (status = 401, description = "Guests are not allowed here, and there is no valid token", body = ErrorBody),
    (status = 422, description = "The body does not parse", body = ValidationErrorBody),
))]
pub async fn create_conversation(
    State(context): State<Context>,
    headers: Credentials,
    body: Json<ConversationCreate>,
) -> Result<axum::Json<ConversationResponse>, Error> {
    let caller = GUESTS.caller(&context, &headers, Guest::Named(&body.into_inner().user_id)).await?;
    let conversation = context.app.create_conversation(&caller).await?;
    Ok(axum::Json(ConversationResponse { id: conversation.id.get(), user_id: user_id(&caller) }))
}

/// A conversation's messages, oldest first.
#[utoipa::path(get, path = "/conversations/{conversation_id}/messages", tag = "classic", extensions(("x-parlor-right" = json!("guest-or-token"))),
    params(("conversation_id" = i64, Path, description = "The conversation's id")),
    responses(
        (status = 200, description = "The messages", body = [MessageResponse]),
        (status = 401, description = "Guests are not allowed here, and there is no valid token", body = ErrorBody),
        (status = 404, description = "The caller has no such conversation", body = ErrorBody),
        (status = 422, description = "The id is no number", body = ValidationErrorBody),
    ))]
pub async fn list_messages(
    State(context): State<Context>,
    headers: Credentials,
    id: PathText,
) -> Result<axum::Json<Vec<MessageResponse>>, Error> {
    let (_, found) = find(&context, &headers, &id.into_inner()).await?;
    Ok(axum::Json(messages(found.messages)))
}

/// A user's conversations, newest first. With a token they are the token's, whatever the path says.
#[utoipa::path(get, path = "/conversations/user/{user_id}", tag = "classic", extensions(("x-parlor-right" = json!("guest-or-token"))),
    params(("user_id" = String, Path, description = "The user, where guests are allowed")),
    responses(
        (status = 200, description = "The conversations", body = [ConversationListItem]),
        (status = 401, description = "Guests are not allowed here, and there is no valid token", body = ErrorBody),
    ))]
pub async fn list_conversations(
    State(context): State<Context>,
    headers: Credentials,
    name: PathText,
) -> Result<axum::Json<Vec<ConversationListItem>>, Error> {
    let Some(caller) = GUESTS.known_caller(&context, &headers, &name.into_inner()).await? else {
        return Ok(axum::Json(Vec::new()));
    };
    let page = context.app.list_conversations(&caller, 1, LIST_MAX).await?;
    let user_id = user_id(&caller);
    let items = page.items.into_iter().map(|conversation| ConversationListItem {
        id: conversation.id.get(),
        user_id: user_id.clone(),
        created_at: conversation.created_at.rfc3339(),
        updated_at: conversation.updated_at.rfc3339(),
        title: conversation.title,
        message_count: conversation.message_count,
        last_message: conversation.last_message,
    });
    Ok(axum::Json(items.collect()))
}

/// A conversation with its messages.
#[utoipa::path(get, path = "/conversations/{conversation_id}/full", tag = "classic", extensions(("x-parlor-right" = json!("guest-or-token"))),
    params(("conversation_id" = i64, Path, description = "The conversation's id")),
    responses(
        (status = 200, description = "The conversation", body = ConversationFull),
        (status = 401, description = "Guests are not allowed here, and there is no valid token", body = ErrorBody),
        (status = 404, description = "The caller has no such conversation", body = ErrorBody),
        (status = 422, description = "The id is no number", body = ValidationErrorBody),
    ))]
pub async fn read_conversation(
    State(context): State<Context>,
    headers: Credentials,
    id: PathText,
) -> Result<axum::Json<ConversationFull>, Error> {
    let (caller, found) = find(&context, &headers, &id.into_inner()).await?;
    Ok(axum::Json(ConversationFull {
        id: found.conversation.id.get(),
        user_id: user_id(&caller),
        created_at: found.conversation.created_at.rfc3339(),
        title: found.conversation.title,
        messages: messages(found.messages),
    }))
}

/// Deletes a conversation and all its messages.
#[utoipa::path(delete, path = "/conversations/{conversation_id}", tag = "classic", extensions(("x-parlor-right" = json!("guest-or-token"))),
    params(("conversation_id" = i64, Path, description = "The conversation's id")),
    responses(
        (status = 200, description = "Deleted", body = Done),
        (status = 401, description = "Guests are not allowed here, and there is no valid token", body = ErrorBody),
        (status = 404, description = "The caller has no such conversation", body = ErrorBody),
        (status = 422, description = "The id is no number", body = ValidationErrorBody),
    ))]
pub async fn delete_conversation(
    State(context): State<Context>,
    headers: Credentials,
    id: PathText,
) -> Result<axum::Json<Done>, Error> {
    let id = conversation_id(&id.into_inner())?;
    let caller = GUESTS.caller(&context, &headers, Guest::OfConversation(id)).await?;
    context.app.delete_conversation(&caller, id).await?;
    Ok(axum::Json(Done { message: "Conversation deleted successfully" }))
}

async fn find(
    context: &Context,
    headers: &Credentials,
    id: &str,
) -> Result<(Caller, ConversationWithMessages), Refusal> {
    let id = conversation_id(id)?;
    let caller = GUESTS.caller(context, headers, Guest::OfConversation(id)).await?;
    let found = context.app.read_conversation(&caller, id).await?;
    Ok((caller, found))
}

/// A path's id: what is no integer is 422, as FastAPI has it; an integer that is no id names nothing.
fn conversation_id(text: &str) -> Result<ConversationId, Refusal> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        let msg = "Input should be a valid integer, unable to parse string as an integer";
        return Err(Refusal::Malformed(vec![FieldError::new("path", "conversation_id", "int_parsing", msg)]));
    }
    text.parse().map_err(|_| AppError::NotFound(Noun::Conversation).into())
}

fn messages(rows: Vec<MessageRow>) -> Vec<MessageResponse> {
    let message = |row: MessageRow| MessageResponse {
        id: row.message.id.get(),
        role: row.message.role.as_str(),
        content: row.message.content,
        created_at: row.message.created_at.rfc3339(),
    };
    rows.into_iter().map(message).collect()
}
