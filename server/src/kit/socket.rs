//! Chat over a WebSocket, the same for every surface that has one: who may open it, and what its frames say.

use std::sync::Arc;

use axum::extract::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use http::HeaderMap;
use parlor_engine::app::chat::{SendMessage, TurnHandle};
use parlor_engine::app::{App, AppError, Caller, Requester};
use parlor_engine::domain::{IdempotencyKey, Invalid};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::events::ErrorEvent;
use super::refusal::Refusal;
use super::websocket::{self, Incoming};
use super::{Context, bearer, json};

/// How a browser, which cannot set headers here, may pass its token.
#[derive(Deserialize)]
pub struct SocketQuery {
    /// An access token.
    token: Option<String>,
}

/// What a text frame says besides its surface's own fields.
#[derive(Deserialize, ToSchema)]
struct SocketFrame {
    /// `stop` stops the answer that is being written; anything else, or nothing, sends a message.
    r#type: Option<String>,
    /// As the `Idempotency-Key` header.
    idempotency_key: Option<String>,
    /// As the `Last-Event-ID` header.
    last_event_id: Option<u64>,
}

/// A surface's message, which its frames carry as its bodies do.
pub trait MessageFrame: DeserializeOwned + ToSchema {
    /// The message to send; `stream` when the answer is shown as it is written.
    ///
    /// # Errors
    /// When what it names cannot exist.
    fn into_message(self, stream: bool, idempotency_key: Option<IdempotencyKey>) -> Result<SendMessage, Refusal>;
}

/// Somebody who may open a socket.
pub struct Opening {
    /// Who it is.
    pub caller: Caller,
    token: Arc<str>,
    protocol: Option<String>,
}

impl Opening {
    /// Checks an opening request: its page's origin, then its token, which may stand in the header, the protocol list or the query.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for a foreign page, [`AppError::Unauthenticated`] without a valid token.
    pub async fn check(context: &Context, headers: &HeaderMap, query: SocketQuery) -> Result<Self, Refusal> {
        if !websocket::origin_is_allowed(headers, &context.app.settings().server.cors_origins) {
            return Err(AppError::Forbidden("This origin may not open a WebSocket").into());
        }
        let (token, protocol) = bearer::of_websocket(headers, query.token);
        let token = token.ok_or(AppError::Unauthenticated("Not authenticated"))?;
        let caller = context.app.authenticate(&token).await?;
        Ok(Self { caller, token: token.into(), protocol })
    }

    /// Opens the socket, whose frames carry messages of type `M`. One that `hears` is told, too, what the account says by other ways.
    ///
    /// # Errors
    /// When the request is no WebSocket's opening request.
    pub fn accept<M: MessageFrame>(
        self,
        context: Context,
        hears: bool,
        upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    ) -> Result<Response, Refusal> {
        let upgrade = upgrade.map_err(|rejection| Invalid::new("upgrade", rejection.body_text()))?;
        let most = context.app.settings().server.max_body_bytes;
        let upgrade = upgrade.max_message_size(most).max_frame_size(most);
        let upgrade = match self.protocol {
            Some(protocol) => upgrade.protocols([protocol]),
            None => upgrade,
        };
        let (sockets, token, caller) = (context.sockets.clone(), self.token, self.caller);
        Ok(upgrade.on_upgrade(move |socket| {
            sockets.track_future(async move {
                let inner = context.clone();
                let receive = move |text| receive::<M>(inner.clone(), Arc::clone(&token), text);
                websocket::serve(context, &caller, socket, hears, receive).await;
            })
        }))
    }
}

/// Sends what a frame says, in the name of whoever holds the token now.
async fn receive<M: MessageFrame>(context: Context, token: Arc<str>, text: String) -> Incoming {
    let caller = match context.app.authenticate(&token).await {
        Ok(caller) => caller,
        Err(AppError::Unauthenticated(_)) => return Incoming::Unauthenticated,
        Err(error) => return Incoming::Refused(error_event(&error.into())),
    };
    let told = match read::<M>(&text) {
        Ok(None) => return Incoming::Stop,
        Err(refusal) => refusal,
        Ok(Some((message, after))) => match counted(&context.app, &caller, message).await {
            Ok(turn) => {
                let after = if turn.is_replay { after } else { 0 };
                return Incoming::Follow(turn, after);
            }
            Err(error) => error.into(),
        },
    };
    Incoming::Refused(error_event(&told))
}

/// Sends a message that counts as a request.
async fn counted(app: &App, caller: &Caller, message: SendMessage) -> Result<TurnHandle, AppError> {
    app.count_request(Requester::Account(caller)).await?;
    app.send_message(caller, message).await
}

fn read<M: MessageFrame>(text: &str) -> Result<Option<(SendMessage, u64)>, Refusal> {
    let frame: SocketFrame = json::decode(text.as_bytes()).map_err(Refusal::Malformed)?;
    if frame.r#type.as_deref() == Some("stop") {
        return Ok(None);
    }
    let key = frame.idempotency_key.as_deref().map(IdempotencyKey::parse).transpose()?;
    let message: M = json::decode(text.as_bytes()).map_err(Refusal::Malformed)?;
    Ok(Some((message.into_message(true, key)?, frame.last_event_id.unwrap_or(0))))
}

fn error_event(refusal: &Refusal) -> ErrorEvent {
    let (code, detail) = match refusal {
        Refusal::App(AppError::Internal(_)) => ("internal", "Internal server error".to_owned()),
        Refusal::App(error @ AppError::NotFound(_)) => ("not_found", error.to_string()),
        Refusal::App(
            error @ (AppError::Overloaded
            | AppError::DatabaseAway(_)
            | AppError::ShuttingDown
            | AppError::ModerationDown),
        ) => ("unavailable", error.to_string()),
        Refusal::App(error @ AppError::TooMany(_)) => ("rate_limited", error.to_string()),
        Refusal::App(error @ AppError::QuotaExceeded(_)) => ("quota_exceeded", error.to_string()),
        Refusal::App(error) => (error.code().unwrap_or("invalid_request"), error.to_string()),
        Refusal::Malformed(faults) => (
            "invalid_request",
            faults.first().map_or_else(|| "The frame is no JSON".to_owned(), |fault| fault.msg.clone()),
        ),
        Refusal::TooLarge | Refusal::Unfinished => ("invalid_request", "The frame is too large".to_owned()),
    };
    ErrorEvent { detail, code: code.to_owned() }
}
