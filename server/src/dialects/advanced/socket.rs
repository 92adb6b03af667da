//! The same conversation over a WebSocket: `{message, session_id?}` in, events out.

use std::sync::Arc;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use http::HeaderMap;
use parlor_engine::app::{AppError, Requester};
use parlor_engine::domain::{IdempotencyKey, Invalid};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::chat::ChatRequest;
use super::{Error, Query};
use crate::kit::events::ErrorEvent;
use crate::kit::refusal::Refusal;
use crate::kit::websocket::{self, Incoming};
use crate::kit::{Context, bearer, json};

/// How a browser, which cannot set headers here, may pass its token.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SocketQuery {
    /// An access token.
    token: Option<String>,
}

/// What a text frame says.
#[derive(Deserialize, ToSchema)]
struct SocketMessage {
    /// `stop` stops the answer that is being written; anything else, or nothing, sends a message.
    r#type: Option<String>,
    /// As the `Idempotency-Key` header.
    idempotency_key: Option<String>,
    /// As the `Last-Event-ID` header.
    last_event_id: Option<u64>,
}

/// Opens a WebSocket. Send `{"message": …, "session_id": …}`; the events of the answer come back as text frames with `type` and `seq`.
#[utoipa::path(get, path = "/api/chat/ws", tag = "advanced", extensions(("x-parlor-right" = json!("user"))), security(("bearer" = []), ()), params(SocketQuery), responses(
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
    if !websocket::origin_is_allowed(&headers, &context.app.settings().server.cors_origins) {
        return Err(AppError::Forbidden("This origin may not open a WebSocket").into());
    }
    let (token, protocol) = bearer::of_websocket(&headers, query.into_inner().token);
    let token = token.ok_or(AppError::Unauthenticated("Not authenticated"))?;
    let caller = context.app.authenticate(&token).await?;
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return Err(Invalid::new("upgrade", rejection.body_text()).into()),
    };
    let most = context.app.settings().server.max_body_bytes;
    let upgrade = upgrade.max_message_size(most).max_frame_size(most);
    let upgrade = match protocol {
        Some(protocol) => upgrade.protocols([protocol]),
        None => upgrade,
    };
    let sockets = context.sockets.clone();
    Ok(upgrade.on_upgrade(move |socket| {
        sockets.track_future(async move {
            let (inner, token) = (context.clone(), Arc::<str>::from(token));
            let receive = move |text| receive(inner.clone(), Arc::clone(&token), text);
            websocket::serve(context, &caller, socket, receive).await;
        })
    }))
}

/// Sends what a frame says, in the name of whoever holds the token now.
async fn receive(context: Context, token: Arc<str>, text: String) -> Incoming {
    let caller = match context.app.authenticate(&token).await {
        Ok(caller) => caller,
        Err(AppError::Unauthenticated(_)) => return Incoming::Unauthenticated,
        Err(error) => return Incoming::Refused(error_event(&error.into())),
    };
    let told = match read(&text) {
        Ok(None) => return Incoming::Stop,
        Err(refusal) => refusal,
        Ok(Some(_)) if let Err(limited) = context.app.count_request(Requester::Account(&caller)) => limited.into(),
        Ok(Some((message, after))) => match context.app.send_message(&caller, message).await {
            Ok(turn) => {
                let after = if turn.is_replay { after } else { 0 };
                return Incoming::Follow(turn, after);
            }
            Err(error) => error.into(),
        },
    };
    Incoming::Refused(error_event(&told))
}

type Sent = (parlor_engine::app::chat::SendMessage, u64);

fn read(text: &str) -> Result<Option<Sent>, Refusal> {
    let frame: SocketMessage = json::decode(text.as_bytes()).map_err(Refusal::Malformed)?;
    if frame.r#type.as_deref() == Some("stop") {
        return Ok(None);
    }
    let key = frame.idempotency_key.as_deref().map(IdempotencyKey::parse).transpose()?;
    let request: ChatRequest = json::decode(text.as_bytes()).map_err(Refusal::Malformed)?;
    Ok(Some((request.into_message(true, key)?, frame.last_event_id.unwrap_or(0))))
}

fn error_event(refusal: &Refusal) -> ErrorEvent {
    let (code, detail) = match refusal {
        Refusal::App(AppError::Internal(_)) => ("internal", "Internal server error".to_owned()),
        Refusal::App(error @ AppError::NotFound(_)) => ("not_found", error.to_string()),
        Refusal::App(error @ (AppError::Overloaded | AppError::ShuttingDown)) => ("unavailable", error.to_string()),
        Refusal::App(error @ AppError::TooMany(_)) => ("rate_limited", error.to_string()),
        Refusal::App(error) => ("invalid_request", error.to_string()),
        Refusal::Malformed(faults) => (
            "invalid_request",
            faults.first().map_or_else(|| "The frame is no JSON".to_owned(), |fault| fault.msg.clone()),
        ),
        Refusal::TooLarge | Refusal::Unfinished => ("invalid_request", "The frame is too large".to_owned()),
    };
    ErrorEvent { detail, code: code.to_owned() }
}
