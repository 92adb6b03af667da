//! Conversations: listing, searching, reading, changing and deleting one's own.

use axum::extract::State;
use http::StatusCode;
use parlor_engine::app::{AppError, ConversationChange, ListConversations, Noun};
use parlor_engine::domain::{Conversation, ConversationId, Title};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Caller, Error, Json, PathText, Problem, Query};
use crate::kit::Context;
use crate::kit::refusal::Refusal;

/// Which conversations.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConversationsQuery {
    /// How many at most, 1 to 100.
    #[serde(default = "usual_limit")]
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: u32,
    /// The `next` of the page before.
    before: Option<String>,
    /// Each of these words begins a word of the title, or of one message, whatever the case of letters and their accents. At most 200
    /// characters, of which 16 words count; Chinese, Japanese, Korean and Thai are found by pairs of letters.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Those in the archive, instead of those that are not.
    #[serde(default)]
    #[param(default = false)]
    archived: bool,
}

pub(super) fn usual_limit() -> u32 {
    20
}

/// A conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Conversation)]
pub struct ConversationResponse {
    /// Its id.
    id: String,
    /// Made from its first message, unless it was renamed.
    title: Option<String>,
    /// Whether it stands before the others.
    pinned: bool,
    /// Whether it is in the archive.
    archived: bool,
    /// How many messages it has, on all its branches.
    message_count: i64,
    /// The beginning of its newest message.
    last_message: Option<String>,
    /// The last message of its active branch.
    head_message_id: Option<String>,
    /// When it began.
    created_at: String,
    /// When its newest message came.
    updated_at: String,
}

impl From<Conversation> for ConversationResponse {
    fn from(conversation: Conversation) -> Self {
        Self {
            id: conversation.id.to_string(),
            title: conversation.title,
            pinned: conversation.is_pinned,
            archived: conversation.is_archived,
            message_count: conversation.message_count,
            last_message: conversation.last_message,
            head_message_id: conversation.head.map(|id| id.to_string()),
            created_at: conversation.created_at.rfc3339(),
            updated_at: conversation.updated_at.rfc3339(),
        }
    }
}

/// A page of conversations: pinned ones first, then the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ConversationList)]
pub struct ConversationList {
    /// The page.
    items: Vec<ConversationResponse>,
    /// The `before` of the page after this one; null on the last.
    next: Option<String>,
}

/// The caller's conversations: pinned ones first, then the newest first.
#[utoipa::path(get, path = "/api/v1/conversations", tag = "native", extensions(("x-parlor-right" = json!("user"))), params(ConversationsQuery), responses(
    (status = 200, description = "One page", body = ConversationList),
    (status = 400, description = "No such page size or cursor, or `q` is too long", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A parameter is of the wrong type", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list_conversations(
    State(context): State<Context>,
    caller: Caller,
    query: Query<ConversationsQuery>,
) -> Result<axum::Json<ConversationList>, Error> {
    let ConversationsQuery { limit, before, q, archived } = query.into_inner();
    let wanted = ListConversations { limit, before, search: q, archived };
    let found = context.app.find_conversations(&caller.into_inner(), wanted).await?;
    Ok(axum::Json(ConversationList { items: found.items.into_iter().map(Into::into).collect(), next: found.next }))
}

/// One conversation, without its messages.
#[utoipa::path(get, path = "/api/v1/conversations/{conversation_id}", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(("conversation_id" = String, Path, description = "The conversation's id")),
    responses(
        (status = 200, description = "The conversation", body = ConversationResponse),
        (status = 404, description = "The caller has no such conversation", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn read_conversation(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<axum::Json<ConversationResponse>, Error> {
    let id = conversation_id(&id.into_inner())?;
    Ok(axum::Json(context.app.conversation(&caller.into_inner(), id).await?.into()))
}

/// What to change; what is absent or null stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::ConversationUpdate)]
pub struct ConversationUpdate {
    /// 1 to 60 characters.
    #[schema(format = "title")]
    title: Option<String>,
    /// Whether it stands before the others.
    pinned: Option<bool>,
    /// Whether it is in the archive.
    archived: Option<bool>,
}

/// Renames, pins or archives a conversation. Its `updated_at` stays, since nothing was said.
#[utoipa::path(patch, path = "/api/v1/conversations/{conversation_id}", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(("conversation_id" = String, Path, description = "The conversation's id")),
    request_body = ConversationUpdate,
    responses(
        (status = 200, description = "The conversation as it is now", body = ConversationResponse),
        (status = 400, description = "The title is empty or too long", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such conversation", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn update_conversation(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
    body: Json<ConversationUpdate>,
) -> Result<axum::Json<ConversationResponse>, Error> {
    let id = conversation_id(&id.into_inner())?;
    let body = body.into_inner();
    let title = body.title.as_deref().map(Title::parse).transpose()?;
    let change = ConversationChange { title, is_pinned: body.pinned, is_archived: body.archived };
    Ok(axum::Json(context.app.change_conversation(&caller.into_inner(), id, change).await?.into()))
}

/// Deletes a conversation with all its messages.
#[utoipa::path(delete, path = "/api/v1/conversations/{conversation_id}", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(("conversation_id" = String, Path, description = "The conversation's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "The caller has no such conversation", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn delete_conversation(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<StatusCode, Error> {
    let id = conversation_id(&id.into_inner())?;
    context.app.delete_conversation(&caller.into_inner(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no id names nothing.
pub(super) fn conversation_id(text: &str) -> Result<ConversationId, Refusal> {
    text.parse().map_err(|_| AppError::NotFound(Noun::Conversation).into())
}
