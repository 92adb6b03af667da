//! Where one is signed in, and ending that; changing the password.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use parlor_engine::app::SessionRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{TokenResponse, tokens};
use super::cookie::CookieMode;
use super::{Caller, Error, Json, PathText, Problem};
use crate::kit::Context;

/// A login and everything refreshed from it.
#[derive(Serialize, ToSchema)]
#[schema(as = native::SessionResponse)]
pub struct SessionResponse {
    /// Its id.
    id: String,
    /// When it last got a pair of tokens.
    last_used_at: String,
    /// When it ends unless it is refreshed.
    expires_at: String,
}

impl From<SessionRecord> for SessionResponse {
    fn from(session: SessionRecord) -> Self {
        Self {
            id: session.family,
            last_used_at: session.last_used_at.rfc3339(),
            expires_at: session.expires_at.rfc3339(),
        }
    }
}

/// Where an account is signed in.
#[derive(Serialize, ToSchema)]
#[schema(as = native::SessionsResponse)]
pub struct SessionsResponse {
    /// The last used first; 100 at most.
    items: Vec<SessionResponse>,
}

/// The caller's open sessions.
#[utoipa::path(get, path = "/api/v1/auth/sessions", tag = "native", extensions(("x-parlor-right" = json!("user"))), responses(
    (status = 200, description = "The sessions", body = SessionsResponse),
    (status = 403, description = "The API key lacks the scope `account`", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(State(context): State<Context>, caller: Caller) -> Result<axum::Json<SessionsResponse>, Error> {
    let sessions = context.app.list_sessions(&caller.into_inner()).await?;
    Ok(axum::Json(SessionsResponse { items: sessions.into_iter().map(Into::into).collect() }))
}

/// Ends one session of the caller's: it cannot be refreshed any more. An access token that it holds works until it expires.
#[utoipa::path(delete, path = "/api/v1/auth/sessions/{id}", tag = "native", extensions(("x-parlor-right" = json!("user"))),
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 204, description = "Ended"),
        (status = 403, description = "The API key lacks the scope `account`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such session", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn end(State(context): State<Context>, caller: Caller, id: PathText) -> Result<StatusCode, Error> {
    context.app.end_session(&caller.into_inner(), id.into_inner()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of the caller's, this one too, and their access tokens at once. API keys stay.
#[utoipa::path(post, path = "/api/v1/auth/logout-all", tag = "native", extensions(("x-parlor-right" = json!("user"))), responses(
    (status = 204, description = "Ended"),
    (status = 403, description = "The API key lacks the scope `account`", body = Problem, content_type = "application/problem+json"),
))]
pub async fn end_all(State(context): State<Context>, caller: Caller) -> Result<StatusCode, Error> {
    context.app.end_all_sessions(&caller.into_inner()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The old password and a new one.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::ChangePasswordRequest)]
pub struct ChangePasswordRequest {
    /// The password so far.
    #[serde(alias = "old_password")]
    current_password: String,
    /// 8 to 128 characters.
    #[schema(format = "password")]
    new_password: String,
}

/// Changes the password. Everything that the old one opened ends: all sessions and all API keys. The answer is a new session.
#[utoipa::path(post, path = "/api/v1/auth/password", tag = "native", extensions(("x-parlor-right" = json!("user"))), request_body = ChangePasswordRequest, responses(
    (status = 200, description = "Changed", body = TokenResponse),
    (status = 400, description = "The old password is wrong, or the new one breaks a rule", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The API key lacks the scope `account`", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many wrong passwords", body = Problem, content_type = "application/problem+json"),
))]
pub async fn change_password(
    State(context): State<Context>,
    caller: Caller,
    mode: CookieMode,
    body: Json<ChangePasswordRequest>,
) -> Result<impl IntoResponse, Error> {
    let body = body.into_inner();
    let (current, new) = (body.current_password.into(), body.new_password.into());
    let session = context.app.change_password(&caller.into_inner(), &current, &new).await?;
    Ok(tokens(&context, &session, mode))
}
