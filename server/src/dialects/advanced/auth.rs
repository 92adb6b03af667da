//! Registering and signing in.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use parlor_engine::app;
use parlor_engine::domain::Email;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Error, FormOrJson, Json};
use crate::kit::Context;
use crate::kit::extract::ClientAddress;
use crate::kit::fastapi::{ErrorBody, ValidationErrorBody};

/// Who registers.
#[derive(Deserialize, ToSchema)]
#[schema(as = advanced::RegisterRequest)]
pub struct RegisterRequest {
    /// A valid address.
    #[schema(format = "email", example = "user@example.com")]
    email: String,
    /// 8 to 128 characters.
    #[schema(format = "password", example = "SuperSecret123!")]
    password: String,
}

/// The account that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = advanced::RegisterResponse)]
pub struct RegisterResponse {
    /// Its id.
    id: i64,
    /// Its address.
    email: Option<String>,
    /// When it was made.
    created_at: String,
}

/// Makes an account.
#[utoipa::path(post, path = "/api/auth/register", tag = "advanced", extensions(("x-parlor-right" = json!("public"))), request_body = RegisterRequest, responses(
    (status = 201, description = "Registered", body = RegisterResponse),
    (status = 400, description = "The address is none, or the password has not 8 to 128 characters", body = ErrorBody),
    (status = 409, description = "The address is taken", body = ErrorBody),
    (status = 422, description = "The body does not parse", body = ValidationErrorBody),
))]
pub async fn register(State(context): State<Context>, body: Json<RegisterRequest>) -> Result<impl IntoResponse, Error> {
    let body = body.into_inner();
    let registration = app::Registration { email: Some(body.email), username: None, password: body.password.into() };
    let account = context.app.register(registration).await?;
    let created_at = account.created_at.rfc3339();
    let response = RegisterResponse { id: account.id.get(), email: account.email, created_at };
    Ok((StatusCode::CREATED, axum::Json(response)))
}

/// Who signs in: OAuth2's password form, or the same as JSON.
#[derive(Deserialize, ToSchema)]
#[schema(as = advanced::LoginRequest)]
pub struct LoginRequest {
    /// The account's address.
    #[serde(alias = "email")]
    #[schema(format = "email", example = "user@example.com")]
    username: String,
    /// Its password.
    #[schema(example = "SuperSecret123!")]
    password: String,
}

/// A token to call with.
#[derive(Serialize, ToSchema)]
#[schema(as = advanced::LoginResponse)]
pub struct LoginResponse {
    /// Goes into the `Authorization` header.
    access_token: String,
    /// Always `bearer`.
    token_type: &'static str,
    /// Seconds that it lives.
    expires_in: i64,
}

/// Signs in.
#[utoipa::path(post, path = "/api/auth/login", tag = "advanced", extensions(("x-parlor-right" = json!("public"))),
    request_body(content((LoginRequest = "application/x-www-form-urlencoded"), (LoginRequest = "application/json"))),
    responses(
        (status = 200, description = "Signed in", body = LoginResponse),
        (status = 400, description = "The user name is no e-mail address", body = ErrorBody),
        (status = 401, description = "Unknown, or the wrong password", body = ErrorBody),
        (status = 422, description = "The body does not parse", body = ValidationErrorBody),
        (status = 429, description = "Too many attempts", body = ErrorBody),
    ))]
pub async fn login(
    State(context): State<Context>,
    ClientAddress(address): ClientAddress,
    body: FormOrJson<LoginRequest>,
) -> Result<axum::Json<LoginResponse>, Error> {
    let body = body.into_inner();
    let email = Email::parse(&body.username)?;
    let login = app::Login { login: email.key().to_owned(), password: body.password.into(), address };
    let session = context.app.login(login).await?;
    Ok(axum::Json(LoginResponse {
        access_token: session.access_token,
        token_type: "bearer",
        expires_in: session.expires_in,
    }))
}
