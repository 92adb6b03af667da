//! The same conversation over a WebSocket: `{message, conversation_id?}` in, events out.

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use http::HeaderMap;
use parlor_engine::app::AppError;

use super::send::SendRequest;
use super::{Error, PathText, Problem, Query};
use crate::kit::Context;
use crate::kit::socket::{Opening, SocketQuery};

/// Opens the caller's WebSocket. Send `{"message": …, "conversation_id": …}`; the events of the answer come back as text frames with `type`
/// and `seq`. `{"type": "stop"}` stops the answer that is being written.
///
/// What the account sends by another way, from another device for instance, comes too, in frames of types of their own, each with the ids that
/// tell whose it is: `message` holds the message (`conversation_id`, `message`, and the `answer_id`), then `answer` each event of the answer
/// (`conversation_id`, `message_id`, and the `event` with its `type`; `seq` is the event's number). They may stand between the frames of an
/// answer that was asked for here. `missed` says that the server may not have heard of everything: read the conversations again.
#[utoipa::path(get, path = "/api/v1/chat/ws/{user_id}", tag = "native", extensions(("x-parlor-right" = json!("user"))),
    params(("user_id" = String, Path, description = "The caller's own id")),
    responses(
        (status = 101, description = "A WebSocket"),
        (status = 400, description = "No WebSocket's opening request", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No valid token in the header, the protocol list or the query", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "A page of a foreign origin, or another user's id", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn open(
    State(context): State<Context>,
    headers: HeaderMap,
    user_id: PathText,
    query: Query<SocketQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Error> {
    let opening = Opening::check(&context, &headers, query.into_inner()).await?;
    if user_id.into_inner() != opening.caller.id().to_string() {
        return Err(AppError::Forbidden("This WebSocket is another user's").into());
    }
    Ok(opening.accept::<SendRequest>(context, true, upgrade)?)
}
