//! Other answers and other questions: regenerating and editing, each beside what was there.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use parlor_engine::app::chat::{EditMessage, Regenerate, TurnHandle};
use serde::Deserialize;
use utoipa::ToSchema;

use super::chat::message_id;
use super::conversations::conversation_id;
use super::send::{SendRequest, SendResponse, answer_of};
use super::{Caller, Error, Json, OptionalJson, PathTexts, Problem};
use crate::kit::events::{ChunkEvent, DoneEvent, ErrorEvent, StartEvent};
use crate::kit::socket::MessageFrame as _;
use crate::kit::{Context, headers, sse};

/// How to answer again.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = native::RegenerateRequest)]
pub struct RegenerateRequest {
    /// A model that the server offers; without one, its own choice.
    #[schema(format = "model")]
    model: Option<String>,
}

/// Gives another answer beside one that was given; the active branch ends in it. The body may be left out.
///
/// Answers at once with the whole answer, or streams it when `Accept` asks for `text/event-stream`.
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/messages/{message_id}/regenerate", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(
        ("conversation_id" = String, Path, description = "The conversation's id"),
        ("message_id" = String, Path, description = "The answer's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key answers again once"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Stream only what comes after this event"),
    ),
    request_body = Option<RegenerateRequest>,
    responses(
        (status = 200, description = "The answer", content(
            (SendResponse = "application/json"), (StartEvent = "text/event-stream"), (ChunkEvent = "text/event-stream; event=chunk"),
            (DoneEvent = "text/event-stream; event=done"), (ErrorEvent = "text/event-stream; event=error"))),
        (status = 400, description = "The message is no answer, or has too many versions", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such message", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse, or the key was used for another request", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No provider answered, or the server is busy or stopping", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "The provider took too long", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn regenerate(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
    ids: PathTexts,
    body: OptionalJson<RegenerateRequest>,
) -> Result<Response, Error> {
    let (conversation, message) = ids.into_inner();
    let again = Regenerate {
        conversation_id: conversation_id(&conversation)?,
        message_id: message_id(&message)?,
        model: body.into_inner().model,
        idempotency_key: headers::idempotency_key(&headers)?,
        stream: wants_stream(&headers),
    };
    let after = headers::last_event_id(&headers)?;
    let turn = context.app.regenerate(&caller.into_inner(), again).await?;
    answer(&context, &headers, turn, after).await
}

/// What to say instead.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::EditRequest)]
pub struct EditRequest {
    /// What the person says.
    #[schema(format = "message")]
    message: String,
    /// Addresses (http or https) that go with it; those of the old message stay with the old one.
    #[schema(format = "attachment", max_items = 10)]
    attachments: Option<Vec<String>>,
    /// The language to answer in, as a tag of BCP 47; without one, the model's choice.
    #[schema(format = "language-tag")]
    language: Option<String>,
    /// A model that the server offers; without one, its own choice.
    #[schema(format = "model")]
    model: Option<String>,
}

/// Says a message of one's own differently: the new one stands beside the old one, with an answer of its own, in which the active branch
/// ends.
///
/// Answers at once with the whole answer, or streams it when `Accept` asks for `text/event-stream`.
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/messages/{message_id}/edit", tag = "native", extensions(("x-parlor-right" = json!("owner"))),
    params(
        ("conversation_id" = String, Path, description = "The conversation's id"),
        ("message_id" = String, Path, description = "The id of a message of one's own"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key edits once"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Stream only what comes after this event"),
    ),
    request_body = EditRequest,
    responses(
        (status = 200, description = "The answer", content(
            (SendResponse = "application/json"), (StartEvent = "text/event-stream"), (ChunkEvent = "text/event-stream; event=chunk"),
            (DoneEvent = "text/event-stream; event=done"), (ErrorEvent = "text/event-stream; event=error"))),
        (status = 400, description = "The message is empty or too long, is an answer, or has too many versions", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such message", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse, or the key was used for another request", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No provider answered, or the server is busy or stopping", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "The provider took too long", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn edit_message(
    State(context): State<Context>,
    caller: Caller,
    headers: HeaderMap,
    ids: PathTexts,
    body: Json<EditRequest>,
) -> Result<Response, Error> {
    let (conversation, message) = ids.into_inner();
    let (conversation, message_id) = (conversation_id(&conversation)?, message_id(&message)?);
    let EditRequest { message, attachments, language, model } = body.into_inner();
    let request = SendRequest::new(message, attachments, language, model);
    let mut message = request.into_message(wants_stream(&headers), headers::idempotency_key(&headers)?)?;
    message.conversation_id = Some(conversation);
    let after = headers::last_event_id(&headers)?;
    let turn = context.app.edit_message(&caller.into_inner(), EditMessage { message_id, message }).await?;
    answer(&context, &headers, turn, after).await
}

/// Whether the client asks for the answer as it is written.
fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|list| list.split(','))
        .any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream"))
}

async fn answer(context: &Context, headers: &HeaderMap, turn: TurnHandle, after: u64) -> Result<Response, Error> {
    if wants_stream(headers) {
        // Without a replay there is nothing that the client could have seen already.
        let after = if turn.is_replay { after } else { 0 };
        return Ok(sse::stream_turn(context, turn, after));
    }
    Ok(answer_of(&turn).await?.into_response())
}
