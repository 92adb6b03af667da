//! Registering, signing in, and keeping signed in.

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse};
use http::{HeaderName, HeaderValue, StatusCode, header};
use parlor_engine::app;
use parlor_engine::app::{AppError, PersonNames, Session};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::cookie::{CookieMode, RefreshToken};
use super::users::UserResponse;
use super::{Error, FormOrJson, Json, Problem};
use crate::kit::Context;
use crate::kit::extract::ClientAddress;

/// Who registers: an address, a name, or both.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::RegisterRequest)]
pub struct RegisterRequest {
    /// A valid address.
    #[schema(format = "email", example = "user@example.com")]
    email: Option<String>,
    /// 1 to 64 letters, digits, `.`, `_` or `-`.
    #[schema(format = "username", example = "testuser")]
    username: Option<String>,
    /// 8 to 128 characters.
    #[schema(format = "password", example = "securepassword123")]
    password: String,
    /// First name.
    #[schema(format = "person-name", example = "John")]
    first_name: Option<String>,
    /// Last name.
    #[schema(format = "person-name", example = "Doe")]
    last_name: Option<String>,
}

/// Makes an account.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "native", extensions(("x-parlor-right" = json!("public"))), request_body = RegisterRequest, responses(
    (status = 201, description = "Registered", body = UserResponse),
    (status = 400, description = "A value breaks a rule", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The address or the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
))]
pub async fn register(State(context): State<Context>, body: Json<RegisterRequest>) -> Result<impl IntoResponse, Error> {
    let body = body.into_inner();
    let registration = app::Registration { email: body.email, username: body.username, password: body.password.into() };
    let names = PersonNames { first_name: body.first_name, last_name: body.last_name };
    let (account, profile) = context.app.register_with_names(registration, names).await?;
    Ok((StatusCode::CREATED, axum::Json(UserResponse::new(&account, profile))))
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::LoginRequest)]
pub struct LoginRequest {
    /// An address or a name.
    #[serde(alias = "email")]
    #[schema(example = "testuser")]
    username: String,
    /// The password.
    #[schema(example = "securepassword123")]
    password: String,
}

/// A pair of tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = native::TokenResponse)]
pub struct TokenResponse {
    /// Goes into the `Authorization` header.
    access_token: String,
    /// Good once, for another pair. Absent where it went into the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Always `bearer`.
    token_type: &'static str,
    /// Seconds that the access token lives.
    expires_in: i64,
}

/// Tokens are kept by nobody on the way.
pub(super) fn tokens(context: &Context, session: &Session, mode: CookieMode) -> impl IntoResponse + use<> {
    let lives = context.app.settings().security.refresh_token_ttl.as_secs();
    let body = TokenResponse {
        access_token: session.access_token.clone(),
        refresh_token: (!mode.is_on()).then(|| session.refresh_token.expose_secret().to_owned()),
        token_type: "bearer",
        expires_in: session.expires_in,
    };
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, set_cookie(mode.keep(&session.refresh_token, lives)), axum::Json(body))
}

fn set_cookie(cookie: Option<HeaderValue>) -> AppendHeaders<Option<(HeaderName, HeaderValue)>> {
    AppendHeaders(cookie.map(|cookie| (header::SET_COOKIE, cookie)))
}

/// Signs in. With the header `X-Parlor-CSRF: 1` the refresh token is kept in a cookie that no script can read.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "native", extensions(("x-parlor-right" = json!("public"))),
    request_body(content((LoginRequest = "application/json"), (LoginRequest = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "Signed in", body = TokenResponse),
        (status = 401, description = "Unknown, or the wrong password", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn login(
    State(context): State<Context>,
    ClientAddress(address): ClientAddress,
    mode: CookieMode,
    body: FormOrJson<LoginRequest>,
) -> Result<impl IntoResponse, Error> {
    let body = body.into_inner();
    let login = app::Login { login: body.username, password: body.password.into(), address };
    let session = context.app.login(login).await?;
    Ok(tokens(&context, &session, mode))
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::RefreshRequest)]
pub struct RefreshRequest {
    /// The newest of its family.
    pub(super) refresh_token: String,
}

/// Exchanges a refresh token for a new pair. One that comes again ends its whole family. With the header `X-Parlor-CSRF: 1` the token is the
/// cookie's, and the body is not looked at.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "native", extensions(("x-parlor-right" = json!("public"))), request_body = RefreshRequest, responses(
    (status = 200, description = "A new pair", body = TokenResponse),
    (status = 401, description = "Unknown, expired, used or revoked", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
))]
pub async fn refresh(State(context): State<Context>, given: RefreshToken) -> Result<impl IntoResponse, Error> {
    let token = given.token.ok_or(AppError::Unauthenticated("There is no refresh cookie"))?;
    let session = context.app.refresh(&token).await?;
    Ok(tokens(&context, &session, given.mode))
}

/// Ends the session that a refresh token belongs to. With the header `X-Parlor-CSRF: 1` the token is the cookie's, which is taken away.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "native", extensions(("x-parlor-right" = json!("public"))), request_body = RefreshRequest, responses(
    (status = 204, description = "Ended, or was never there"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
))]
pub async fn logout(State(context): State<Context>, given: RefreshToken) -> Result<impl IntoResponse, Error> {
    if let Some(token) = given.token {
        context.app.logout(&token).await?;
    }
    Ok((StatusCode::NO_CONTENT, set_cookie(given.mode.clear())))
}
