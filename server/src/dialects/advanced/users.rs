//! Oneself.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Caller, Error};

/// The caller's account.
#[derive(Serialize, ToSchema)]
#[schema(as = advanced::UserResponse)]
pub struct UserResponse {
    /// Its id.
    id: i64,
    /// Its address, when it has one.
    email: Option<String>,
    /// Whether it may call.
    is_active: bool,
}

/// The caller's account.
#[utoipa::path(get, path = "/api/users/me", tag = "advanced", extensions(("x-parlor-right" = json!("user"))), responses(
    (status = 200, description = "The account", body = UserResponse),
))]
pub async fn me(caller: Caller) -> Result<axum::Json<UserResponse>, Error> {
    let caller = caller.into_inner();
    let account = caller.account();
    Ok(axum::Json(UserResponse { id: account.id.get(), email: account.email.clone(), is_active: account.is_active }))
}
