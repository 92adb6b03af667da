//! The messages of a conversation: reading a branch, going to another, rating answers.

use std::collections::HashMap;

use axum::extract::State;
use http::StatusCode;
use parlor_engine::app::{AnswerTurn, StoredToolCall, ThreadMessage};
use parlor_engine::domain::{Feedback, File, FileId, Invalid, MessageId, Rating};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::chat::message_id;
use super::conversations::{conversation_id, usual_limit};
use super::send::Usage;
use super::{Caller, Error, Json, PathText, PathTexts, Problem, Query};
use crate::kit::Context;
use crate::kit::ids::AnyId;

/// Which messages.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MessagesQuery {
    /// How many at most, 1 to 100.
    #[serde(default = "usual_limit")]
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: u32,
    /// Only messages that stand before this one: the `next` of the page before.
    #[param(format = "id")]
    before: Option<String>,
}

/// The versions of a message, itself among them.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Siblings)]
pub struct Siblings {
    /// Which of them this is, from 0.
    index: usize,
    /// How many there are.
    count: usize,
    /// Their ids in the order in which they were made.
    ids: Vec<String>,
}

/// What was said of an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Feedback)]
pub struct FeedbackResponse {
    /// `up` or `down`.
    rating: &'static str,
    /// Why.
    comment: Option<String>,
    /// When it was said.
    updated_at: String,
}

impl From<Feedback> for FeedbackResponse {
    fn from(feedback: Feedback) -> Self {
        Self { rating: feedback.rating.as_str(), comment: feedback.comment, updated_at: feedback.updated_at.rfc3339() }
    }
}

/// A file that goes with a message.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AttachedFile)]
pub struct AttachedFile {
    /// Its id.
    id: String,
    /// The path of its content.
    url: String,
    /// Whether it has been deleted since; nothing else is known of it then.
    deleted: bool,
    /// What its owner calls it.
    name: Option<String>,
    /// What its content is.
    media_type: Option<String>,
    /// How long its content is.
    bytes: Option<u64>,
}

impl AttachedFile {
    fn new(id: FileId, known: Option<&File>) -> Self {
        Self {
            id: id.to_string(),
            url: id.address(),
            deleted: known.is_none(),
            name: known.map(|file| file.name.as_str().to_owned()),
            media_type: known.map(|file| file.media_type.as_str().to_owned()),
            bytes: known.map(|file| file.bytes),
        }
    }
}

/// A call of a tool, and what came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ToolCall)]
pub struct ToolCallResponse {
    /// The model's id for it.
    id: String,
    /// The tool.
    name: String,
    /// Its arguments: JSON as a text, as the model wrote it.
    arguments: String,
    /// Whether the tool did what it was asked.
    ok: bool,
    /// What the model was told.
    content: String,
}

impl From<StoredToolCall> for ToolCallResponse {
    fn from(call: StoredToolCall) -> Self {
        let StoredToolCall { call_id: id, name, arguments, is_ok: ok, content, .. } = call;
        Self { id, name, arguments, ok, content }
    }
}

/// A message.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Message)]
pub struct MessageResponse {
    /// Its id.
    id: String,
    /// The message that it follows.
    parent_id: Option<String>,
    /// `user` or `assistant`.
    role: &'static str,
    /// What is said; of an answer that is being written, what had been saved.
    content: String,
    /// The addresses that go with it: of things on the web, and of files as paths on this server.
    attachments: Vec<String>,
    /// Those of them that are files.
    files: Vec<AttachedFile>,
    /// When it was stored.
    created_at: String,
    /// Of an answer: `pending`, `streaming`, `complete`, `incomplete`, `cancelled`, `failed` or `interrupted`.
    state: Option<&'static str>,
    /// Of an answer: the model.
    model: Option<String>,
    /// Of an answer that has ended: `stop`, `length`, `content_filter`, `cancelled` or `error`.
    finish_reason: Option<&'static str>,
    /// Of an answer that went wrong: a stable word.
    error_code: Option<String>,
    /// Of an answer: what it cost.
    usage: Option<Usage>,
    /// Of an answer: the tools that the model called for it.
    tool_calls: Vec<ToolCallResponse>,
    /// Of an answer: what was said of it.
    feedback: Option<FeedbackResponse>,
    /// Its versions.
    siblings: Siblings,
}

impl MessageResponse {
    /// `files` are those of its files that are there still.
    pub(super) fn new(row: ThreadMessage, files: &HashMap<FileId, File>) -> Self {
        let ThreadMessage { message, parent_id, turn, feedback, tool_calls, siblings } = row;
        let turn = turn.as_ref();
        let attached = message.attachments.files();
        Self {
            id: message.id.to_string(),
            parent_id: parent_id.map(|id| id.to_string()),
            role: message.role.as_str(),
            content: message.content,
            attachments: message.attachments.into_inner(),
            files: attached.into_iter().map(|id| AttachedFile::new(id, files.get(&id))).collect(),
            created_at: message.created_at.rfc3339(),
            state: turn.map(|turn| turn.state.as_str()),
            model: turn.map(|turn| turn.model.clone()),
            finish_reason: turn.and_then(|turn| turn.finish_reason).map(|reason| reason.as_str()),
            error_code: turn.and_then(|turn| turn.error_code.clone()),
            usage: turn.map(|turn: &AnswerTurn| turn.usage.into()),
            tool_calls: tool_calls.into_iter().map(Into::into).collect(),
            feedback: feedback.map(Into::into),
            siblings: Siblings {
                index: siblings.iter().position(|id| *id == message.id).unwrap_or(0),
                count: siblings.len(),
                ids: siblings.iter().map(MessageId::to_string).collect(),
            },
        }
    }
}

/// A page of a branch.
#[derive(Serialize, ToSchema)]
#[schema(as = native::MessageList)]
pub struct MessageList {
    /// The page, oldest message first.
    items: Vec<MessageResponse>,
    /// The `before` of the page with older messages; null when there are none.
    next: Option<String>,
}

/// The active branch of a conversation, from its end: the first page holds the newest messages, oldest first, and `next` leads to older
/// ones. What is not on the branch stands in `siblings`.
#[utoipa::path(get, path = "/api/v1/conversations/{conversation_id}/messages", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(("conversation_id" = String, Path, description = "The conversation's id"), MessagesQuery),
    responses(
        (status = 200, description = "One page", body = MessageList),
        (status = 400, description = "No such page size", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such conversation, or it no such message", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is of the wrong type", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list_messages(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
    query: Query<MessagesQuery>,
) -> Result<axum::Json<MessageList>, Error> {
    let id = conversation_id(&id.into_inner())?;
    let query = query.into_inner();
    let before = query.before.as_deref().map(message_id).transpose()?;
    let caller = caller.into_inner();
    let page = context.app.list_messages(&caller, id, before, query.limit).await?;
    let files = context.app.files_of_messages(&caller, &page.items).await?;
    let next = page.next.map(|id| id.to_string());
    let items = page.items.into_iter().map(|row| MessageResponse::new(row, &files)).collect();
    Ok(axum::Json(MessageList { items, next }))
}

/// Which branch.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::HeadRequest)]
pub struct HeadRequest {
    /// A message of the branch.
    message_id: AnyId,
}

/// The active branch.
#[derive(Serialize, ToSchema)]
#[schema(as = native::HeadResponse)]
pub struct HeadResponse {
    /// The conversation's id.
    conversation_id: String,
    /// The branch's last message.
    head_message_id: String,
}

/// Goes to another branch: the one through that message, and on through the newest version of what follows it.
#[utoipa::path(put, path = "/api/v1/conversations/{conversation_id}/head", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(("conversation_id" = String, Path, description = "The conversation's id")),
    request_body = HeadRequest,
    responses(
        (status = 200, description = "The active branch now", body = HeadResponse),
        (status = 404, description = "The caller has no such conversation, or it no such message", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn switch_branch(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
    body: Json<HeadRequest>,
) -> Result<axum::Json<HeadResponse>, Error> {
    let id = conversation_id(&id.into_inner())?;
    let through = message_id(&body.into_inner().message_id.0)?;
    let head = context.app.switch_branch(&caller.into_inner(), id, through).await?;
    Ok(axum::Json(HeadResponse { conversation_id: id.to_string(), head_message_id: head.to_string() }))
}

/// What somebody says of an answer.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::FeedbackRequest)]
pub struct FeedbackRequest {
    /// `up` or `down`.
    #[schema(format = "rating", example = "up")]
    rating: String,
    /// Why; at most 2,000 characters.
    #[schema(format = "comment")]
    comment: Option<String>,
}

/// Says whether an answer was good, in place of what was said before.
#[utoipa::path(put, path = "/api/v1/conversations/{conversation_id}/messages/{message_id}/feedback", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(
        ("conversation_id" = String, Path, description = "The conversation's id"),
        ("message_id" = String, Path, description = "The answer's id"),
    ),
    request_body = FeedbackRequest,
    responses(
        (status = 200, description = "What is said of the answer now", body = FeedbackResponse),
        (status = 400, description = "No such rating, the comment is too long, or the message is no answer", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such message", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn rate_answer(
    State(context): State<Context>,
    caller: Caller,
    ids: PathTexts,
    body: Json<FeedbackRequest>,
) -> Result<axum::Json<FeedbackResponse>, Error> {
    let (conversation, message) = ids.into_inner();
    let (conversation, message) = (conversation_id(&conversation)?, message_id(&message)?);
    let body = body.into_inner();
    let rating = Rating::from_word(&body.rating).ok_or_else(|| Invalid::new("rating", "rating must be up or down"))?;
    let caller = caller.into_inner();
    let feedback = context.app.rate_answer(&caller, conversation, message, rating, body.comment.as_deref()).await?;
    Ok(axum::Json(feedback.into()))
}

/// Takes back what was said of an answer.
#[utoipa::path(delete, path = "/api/v1/conversations/{conversation_id}/messages/{message_id}/feedback", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(
        ("conversation_id" = String, Path, description = "The conversation's id"),
        ("message_id" = String, Path, description = "The answer's id"),
    ),
    responses(
        (status = 204, description = "Nothing is said of the answer now"),
        (status = 400, description = "The message is no answer", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such message", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn unrate_answer(
    State(context): State<Context>,
    caller: Caller,
    ids: PathTexts,
) -> Result<StatusCode, Error> {
    let (conversation, message) = ids.into_inner();
    let (conversation, message) = (conversation_id(&conversation)?, message_id(&message)?);
    context.app.unrate_answer(&caller.into_inner(), conversation, message).await?;
    Ok(StatusCode::NO_CONTENT)
}
