//! Following and stopping answers.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use parlor_engine::app::{AppError, Noun};
use parlor_engine::domain::MessageId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Caller, Error, PathText, Problem};
use crate::kit::events::{ChunkEvent, DoneEvent, ErrorEvent, StartEvent, Usage};
use crate::kit::refusal::Refusal;
use crate::kit::{Context, headers, sse};

/// Streams an answer of the caller's again, running or finished: all of it, or what comes after `Last-Event-ID`.
#[utoipa::path(get, path = "/api/v1/chat/messages/{message_id}/stream", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(
        ("message_id" = String, Path, description = "The answer's id"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Stream only what comes after this event"),
    ),
    responses(
        (status = 200, description = "The stream", content(
            (StartEvent = "text/event-stream"), (ChunkEvent = "text/event-stream; event=chunk"),
            (DoneEvent = "text/event-stream; event=done"), (ErrorEvent = "text/event-stream; event=error"))),
        (status = 400, description = "`Last-Event-ID` is no number", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such answer", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn resume_stream(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
    id: PathText,
) -> Result<Response, Error> {
    let after = headers::last_event_id(&headers)?;
    let turn = context.app.follow_turn(&caller.into_inner(), message_id(&id.into_inner())?).await?;
    Ok(sse::stream_turn(&context, turn, after))
}

/// How a stopped answer ended.
#[derive(Serialize, ToSchema)]
#[schema(as = native::StopResponse)]
pub struct StopResponse {
    /// The answer's id.
    message_id: String,
    /// What had been said.
    response: String,
    /// `cancelled`, or how the answer had ended before it could be stopped.
    finish_reason: &'static str,
    /// What it cost.
    usage: Usage,
}

/// Stops the answer that is being written. What was said is kept, and billed.
#[utoipa::path(post, path = "/api/v1/chat/messages/{message_id}/stop", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(("message_id" = String, Path, description = "The answer's id")),
    responses(
        (status = 200, description = "It has ended", body = StopResponse),
        (status = 404, description = "The caller has no such answer", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn stop(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<axum::Json<StopResponse>, Error> {
    let id = message_id(&id.into_inner())?;
    let ending = context.app.stop_turn(&caller.into_inner(), id).await?;
    Ok(axum::Json(StopResponse {
        message_id: id.to_string(),
        response: ending.content.clone(),
        finish_reason: ending.finish_reason.as_str(),
        usage: ending.usage.into(),
    }))
}

/// What is no id names nothing.
pub(super) fn message_id(text: &str) -> Result<MessageId, Refusal> {
    text.parse().map_err(|_| AppError::NotFound(Noun::Message).into())
}
