//! Oneself: reading, changing and erasing one's account.

use axum::extract::State;
use http::StatusCode;
use parlor_engine::app::ProfileRequest;
use parlor_engine::domain::{Account, Profile};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{Caller, Error, Json, Problem};
use crate::kit::Context;

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(as = native::UserResponse)]
pub struct UserResponse {
    /// Its id.
    id: i64,
    /// Its address.
    email: Option<String>,
    /// Whether its owner proved to read mail there.
    email_verified: bool,
    /// Its name.
    username: Option<String>,
    /// Its owner's first name.
    first_name: Option<String>,
    /// Its owner's last name.
    last_name: Option<String>,
    /// What it may do: `user`, `editor` or `admin`.
    role: &'static str,
    /// When it was made.
    created_at: String,
}

impl UserResponse {
    pub(super) fn new(account: &Account, profile: Profile) -> Self {
        Self {
            id: account.id.get(),
            email: account.email.clone(),
            email_verified: profile.email_verified_at.is_some(),
            username: account.username.clone(),
            first_name: profile.first_name,
            last_name: profile.last_name,
            role: account.role.as_str(),
            created_at: account.created_at.rfc3339(),
        }
    }
}

/// The caller's account.
#[utoipa::path(get, path = "/api/v1/users/me", tag = "native", extensions(("x-parlor-right" = json!("user"))), responses(
    (status = 200, description = "The account", body = UserResponse),
))]
pub async fn me(State(context): State<Context>, caller: Caller) -> Result<axum::Json<UserResponse>, Error> {
    let caller = caller.into_inner();
    let profile = context.app.profile(&caller).await?;
    Ok(axum::Json(UserResponse::new(caller.account(), profile)))
}

/// What to change. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::UpdateUserRequest)]
#[allow(clippy::option_option, reason = "null takes a name away, leaving it out does not")]
pub struct UpdateUserRequest {
    /// First name; null takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = "person-name", example = "John")]
    first_name: Option<Option<String>>,
    /// Last name; null takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = "person-name", example = "Doe")]
    last_name: Option<Option<String>>,
    /// The name to sign in with.
    #[schema(format = "username")]
    username: Option<String>,
    /// The address to sign in with; has to be verified again, and needs the password.
    #[schema(format = "email")]
    email: Option<String>,
    /// The account's password, for another address.
    password: Option<String>,
}

/// Tells null from what was left out.
#[allow(clippy::option_option, reason = "as above")]
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Changes the caller's account.
#[utoipa::path(patch, path = "/api/v1/users/me", tag = "native", extensions(("x-parlor-right" = json!("user"))), request_body = UpdateUserRequest, responses(
    (status = 200, description = "As it is now", body = UserResponse),
    (status = 400, description = "A value breaks a rule, or the password is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The API key lacks the scope `account`", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The address or the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many wrong passwords", body = Problem, content_type = "application/problem+json"),
))]
pub async fn update(
    State(context): State<Context>,
    caller: Caller,
    body: Json<UpdateUserRequest>,
) -> Result<axum::Json<UserResponse>, Error> {
    let body = body.into_inner();
    let request = ProfileRequest {
        first_name: body.first_name,
        last_name: body.last_name,
        username: body.username,
        email: body.email,
        password: body.password.map(Into::into),
    };
    let (account, profile) = context.app.update_profile(&caller.into_inner(), request).await?;
    Ok(axum::Json(UserResponse::new(&account, profile)))
}

/// Confirms that the account is to go.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::DeleteUserRequest)]
pub struct DeleteUserRequest {
    /// The account's password.
    password: String,
}

/// Erases the caller's account with its conversations, at once and for good. What it used stays counted, under an id that names nobody.
#[utoipa::path(delete, path = "/api/v1/users/me", tag = "native", extensions(("x-parlor-right" = json!("user"))), request_body = DeleteUserRequest, responses(
    (status = 204, description = "Erased"),
    (status = 400, description = "The password is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The API key lacks the scope `account`", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many wrong passwords", body = Problem, content_type = "application/problem+json"),
))]
pub async fn delete(
    State(context): State<Context>,
    caller: Caller,
    body: Json<DeleteUserRequest>,
) -> Result<StatusCode, Error> {
    let password = body.into_inner().password.into();
    context.app.delete_own_account(&caller.into_inner(), &password).await?;
    Ok(StatusCode::NO_CONTENT)
}
