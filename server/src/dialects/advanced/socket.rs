//! The same conversation over a WebSocket: `{message, session_id?}` in, events out.

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use http::HeaderMap;

use super::chat::ChatRequest;
use super::{Error, Query};
use crate::kit::Context;
use crate::kit::socket::{Opening, SocketQuery};

/// Opens a WebSocket. Send `{"message": …, "session_id": …}`; the events of the answer come back as text frames with `type` and `seq`.
#[utoipa::path(get, path = "/api/chat/ws", tag = "advanced", extensions(("x-parlor-right" = json!("user"))), responses(
    (status = 101, description = "A WebSocket"),
    (status = 400, description = "No WebSocket's opening request", body = crate::kit::fastapi::ErrorBody),
    (status = 401, description = "No valid token in the header, the protocol list or the query", body = crate::kit::fastapi::ErrorBody),
    (status = 403, description = "A page of a foreign origin", body = crate::kit::fastapi::ErrorBody),
))]
pub async fn open(
    State(context): State<Context>,
    headers: HeaderMap,
    query: Query<SocketQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Error> {
    let opening = Opening::check(&context, &headers, query.into_inner()).await?;
    Ok(opening.accept::<ChatRequest>(context, false, upgrade)?)
}
