//! Signing up and signing in.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use parlor_engine::app;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Error, FormOrJson, Json};
use crate::kit::Context;
use crate::kit::extract::ClientAddress;
use crate::kit::fastapi::{ErrorBody, ValidationErrorBody};

/// Who signs up.
#[derive(Deserialize, ToSchema)]
#[schema(as = mvp::UserCreate)]
pub struct UserCreate {
    /// 1 to 64 letters, digits, `.`, `_` or `-`.
    #[schema(format = "username", example = "testuser")]
    username: String,
    /// 8 to 128 characters.
    #[schema(format = "password", example = "securepassword123")]
    password: String,
    /// A valid address; none when it is empty.
    #[schema(format = "email", example = "user@example.com")]
    email: Option<String>,
}

/// The account that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = mvp::UserCreated)]
pub struct UserCreated {
    /// Its id.
    id: i64,
    /// Its name.
    username: Option<String>,
    /// Its address.
    email: Option<String>,
    /// When it was made.
    created_at: String,
}

/// Makes an account.
#[utoipa::path(post, path = "/auth/signup", tag = "mvp", extensions(("x-parlor-right" = json!("public"))), request_body = UserCreate, responses(
    (status = 201, description = "Signed up", body = UserCreated),
    (status = 400, description = "A value breaks a rule", body = ErrorBody),
    (status = 409, description = "The name or the address is taken", body = ErrorBody),
    (status = 422, description = "The body does not parse", body = ValidationErrorBody),
))]
pub async fn signup(State(context): State<Context>, body: Json<UserCreate>) -> Result<impl IntoResponse, Error> {
    let body = body.into_inner();
    let email = body.email.filter(|email| !email.trim().is_empty());
    let registration = app::Registration { email, username: Some(body.username), password: body.password.into() };
    let account = context.app.register(registration).await?;
    let response = UserCreated {
        id: account.id.get(),
        created_at: account.created_at.rfc3339(),
        username: account.username,
        email: account.email,
    };
    Ok((StatusCode::CREATED, axum::Json(response)))
}

/// Who signs in: JSON, or OAuth2's password form.
#[derive(Deserialize, ToSchema)]
#[schema(as = mvp::LoginRequest)]
pub struct LoginRequest {
    /// The account's name or address.
    #[schema(example = "testuser")]
    username: String,
    /// Its password.
    #[schema(example = "securepassword123")]
    password: String,
}

/// A token to call with.
#[derive(Serialize, ToSchema)]
#[schema(as = mvp::LoginResponse)]
pub struct LoginResponse {
    /// Goes into the `Authorization` header.
    access_token: String,
    /// Always `bearer`.
    token_type: &'static str,
    /// Seconds that it lives.
    expires_in: i64,
}

/// Signs in.
#[utoipa::path(post, path = "/auth/login", tag = "mvp", extensions(("x-parlor-right" = json!("public"))),
    request_body(content((LoginRequest = "application/json"), (LoginRequest = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "Signed in", body = LoginResponse),
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
    let login = app::Login { login: body.username, password: body.password.into(), address };
    let session = context.app.login(login).await?;
    Ok(axum::Json(LoginResponse {
        access_token: session.access_token,
        token_type: "bearer",
        expires_in: session.expires_in,
    }))
}
