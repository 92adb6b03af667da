//! Taking conversations out: exports, and links that everybody can read.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::{HeaderName, StatusCode, header};
use parlor_engine::app::{AppError, Export, Noun, Share, StoredToolCall, ThreadMessage};
use parlor_engine::domain::{File, FileId, Invalid, Role, ShareId};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::conversations::{ConversationResponse, conversation_id};
use super::messages::MessageResponse;
use super::{Caller, Error, OptionalJson, PathText, PathTexts, Problem, Query};
use crate::kit::Context;
use crate::kit::numbers::optional_whole;

/// How a link's answers are kept from caches, which outlive it, and from search engines.
const UNLISTED: AppendHeaders<[(HeaderName, &str); 2]> = AppendHeaders([
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    (header::CACHE_CONTROL, "no-store"),
]);

/// In which form.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `json` (all branches) or `markdown` (the active one).
    #[param(default = "json", pattern = "^(json|markdown)$")]
    format: Option<String>,
}

/// A conversation with all its branches.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ExportResponse)]
pub struct ExportResponse {
    /// The conversation.
    conversation: ConversationResponse,
    /// Its messages, oldest first; `parent_id` makes them a tree.
    messages: Vec<MessageResponse>,
    /// Whether there is more than the 10,000 messages and 16 MiB of text that one export holds.
    truncated: bool,
}

/// A conversation as a file: as JSON with all its branches, or the active branch as Markdown.
#[utoipa::path(get, path = "/api/v1/conversations/{conversation_id}/export", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(("conversation_id" = String, Path, description = "The conversation's id"), ExportQuery),
    responses(
        (status = 200, description = "The file", content((ExportResponse = "application/json"), (String = "text/markdown"))),
        (status = 400, description = "No such form", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such conversation", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn export_conversation(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
    query: Query<ExportQuery>,
) -> Result<Response, Error> {
    let id = conversation_id(&id.into_inner())?;
    let is_json = match query.into_inner().format.as_deref() {
        None | Some("json") => true,
        Some("markdown") => false,
        Some(_) => return Err(Invalid::new("format", "format must be json or markdown").into()),
    };
    let caller = caller.into_inner();
    let export = context.app.export_conversation(&caller, id, is_json).await?;
    let files = context.app.files_of_messages(&caller, &export.messages).await?;
    let ending = if is_json { "json" } else { "md" };
    let attachment = [(header::CONTENT_DISPOSITION, format!("attachment; filename=\"conversation-{id}.{ending}\""))];
    if is_json {
        let Export { conversation, messages, is_truncated } = export;
        let messages = messages.into_iter().map(|row| MessageResponse::new(row, &files)).collect();
        let body = ExportResponse { conversation: conversation.into(), messages, truncated: is_truncated };
        return Ok((attachment, axum::Json(body)).into_response());
    }
    let kind = [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")];
    Ok((attachment, kind, markdown(&export, &files)).into_response())
}

fn markdown(export: &Export, files: &HashMap<FileId, File>) -> String {
    let mut text = format!("# {}\n", export.conversation.title.as_deref().unwrap_or("Conversation"));
    if export.is_truncated {
        text.push_str("\n*Earlier messages are left out.*\n");
    }
    for ThreadMessage { message, turn, tool_calls, .. } in &export.messages {
        for StoredToolCall { name, arguments, is_ok, content, .. } in tool_calls {
            let how = if *is_ok { "tool" } else { "tool, failed" };
            text.push_str(&format!("\n## {name} ({how})\n\n{}\n{}", verbatim(arguments), verbatim(content)));
        }
        if message.content.is_empty() {
            continue;
        }
        let who = match (message.role, turn) {
            (Role::User, _) => "You".to_owned(),
            (_, Some(turn)) => format!("Assistant ({})", turn.model),
            (role, None) => role.as_str().to_owned(),
        };
        text.push_str(&format!("\n## {who}\n\n*{}*\n\n{}\n", message.created_at.rfc3339(), message.content));
        if !message.attachments.as_slice().is_empty() {
            text.push('\n');
        }
        for address in message.attachments.as_slice() {
            let line = match FileId::of_address(address) {
                None => format!("- <{address}>\n"),
                Some(id) => match files.get(&id) {
                    Some(file) => format!("- {} ({}, {} bytes)\n", file.name.as_str(), file.media_type, file.bytes),
                    None => "- a file that has been deleted\n".to_owned(),
                },
            };
            text.push_str(&line);
        }
    }
    text
}

/// A text as a block of code, whatever stands in it.
fn verbatim(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// For how long.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = native::ShareRequest)]
pub struct ShareRequest {
    /// 1 to 365; without it the link stays until it is ended.
    #[serde(default, deserialize_with = "optional_whole")]
    #[schema(minimum = 1, maximum = 365)]
    expires_in_days: Option<u32>,
}

/// A link, without its token.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Share)]
pub struct ShareResponse {
    /// Its id.
    id: String,
    /// The conversation's title when it was made.
    title: Option<String>,
    /// When it was made.
    created_at: String,
    /// When it stops showing anything; null for never.
    expires_at: Option<String>,
}

impl From<Share> for ShareResponse {
    fn from(share: Share) -> Self {
        Self {
            id: share.id.to_string(),
            title: share.title,
            created_at: share.created_at.rfc3339(),
            expires_at: share.expires_at.map(|time| time.rfc3339()),
        }
    }
}

/// A link that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = native::NewShareResponse)]
pub struct NewShareResponse {
    /// The link.
    #[serde(flatten)]
    share: ShareResponse,
    /// Its token, which is told this once.
    token: String,
    /// The path under which everybody can read what is shared.
    path: String,
}

/// Makes a link under which everybody can read the active branch as it is now. What is said later is not shown; what is deleted is gone.
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/shares", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(("conversation_id" = String, Path, description = "The conversation's id")),
    request_body = Option<ShareRequest>,
    responses(
        (status = 201, description = "The link", body = NewShareResponse),
        (status = 400, description = "No such time, nothing to share, or 50 links already", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such conversation", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn share_conversation(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
    body: OptionalJson<ShareRequest>,
) -> Result<impl IntoResponse, Error> {
    let id = conversation_id(&id.into_inner())?;
    let days = body.into_inner().expires_in_days;
    let link = context.app.share_conversation(&caller.into_inner(), id, days).await?;
    let token = link.token.expose_secret().to_owned();
    let path = format!("/api/v1/shared/{token}");
    let body = NewShareResponse { share: link.share.into(), token, path };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)))
}

/// A conversation's links.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ShareList)]
pub struct ShareList {
    /// Newest first; at most 50.
    items: Vec<ShareResponse>,
}

/// The links of a conversation that still show something, newest first.
#[utoipa::path(get, path = "/api/v1/conversations/{conversation_id}/shares", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(("conversation_id" = String, Path, description = "The conversation's id")),
    responses(
        (status = 200, description = "The links", body = ShareList),
        (status = 404, description = "The caller has no such conversation", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list_shares(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<axum::Json<ShareList>, Error> {
    let id = conversation_id(&id.into_inner())?;
    let shares = context.app.list_shares(&caller.into_inner(), id).await?;
    Ok(axum::Json(ShareList { items: shares.into_iter().map(Into::into).collect() }))
}

/// Ends a link.
#[utoipa::path(delete, path = "/api/v1/conversations/{conversation_id}/shares/{share_id}", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(
        ("conversation_id" = String, Path, description = "The conversation's id"),
        ("share_id" = String, Path, description = "The link's id"),
    ),
    responses(
        (status = 204, description = "Ended"),
        (status = 404, description = "The caller has no such link", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn delete_share(State(context): State<Context>, caller: Caller, ids: PathTexts) -> Result<StatusCode, Error> {
    let missing = || AppError::NotFound(Noun::Share);
    let (conversation, share) = ids.into_inner();
    let conversation = conversation.parse().map_err(|_| missing())?;
    let share: ShareId = share.parse().map_err(|_| missing())?;
    context.app.delete_share(&caller.into_inner(), conversation, share).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A message that is shared.
#[derive(Serialize, ToSchema)]
#[schema(as = native::SharedMessage)]
pub struct SharedMessage {
    /// `user` or `assistant`.
    role: &'static str,
    /// What is said.
    content: String,
    /// When it was stored.
    created_at: String,
}

/// A conversation that is shared.
#[derive(Serialize, ToSchema)]
#[schema(as = native::SharedConversation)]
pub struct SharedResponse {
    /// Its title when the link was made.
    title: Option<String>,
    /// When the link was made.
    shared_at: String,
    /// When it stops showing anything; null for never.
    expires_at: Option<String>,
    /// Its messages, oldest first.
    messages: Vec<SharedMessage>,
}

/// Reads what a link shows. Needs no token but the link's own; tells nothing of whose it is.
#[utoipa::path(get, path = "/api/v1/shared/{token}", tag = "native", extensions(("x-parlor-right" = json!("public"))),
    params(("token" = String, Path, description = "The link's token")),
    responses(
        (status = 200, description = "The conversation", body = SharedResponse),
        (status = 404, description = "There is no such link, or no more", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn read_shared(State(context): State<Context>, token: PathText) -> Result<impl IntoResponse, Response> {
    let found = context.app.read_shared(&token.into_inner()).await;
    let shared = found.map_err(|error| (UNLISTED, Error::from(error)).into_response())?;
    let message = |ThreadMessage { message, .. }| SharedMessage {
        role: message.role.as_str(),
        content: message.content,
        created_at: message.created_at.rfc3339(),
    };
    let body = SharedResponse {
        title: shared.share.title,
        shared_at: shared.share.created_at.rfc3339(),
        expires_at: shared.share.expires_at.map(|time| time.rfc3339()),
        messages: shared.messages.into_iter().map(message).collect(),
    };
    Ok((UNLISTED, axum::Json(body)))
}
