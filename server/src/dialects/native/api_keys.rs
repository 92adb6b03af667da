//! API keys: `Bearer pk-…` works wherever an access token does.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderValue, StatusCode, header};
use parlor_engine::app::{ApiKeyRequest, AppError, Noun};
use parlor_engine::domain::{ApiKey, Timestamp};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, Error, Json, PathText, Problem};
use crate::kit::Context;

/// A key to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::CreateApiKeyRequest)]
pub struct CreateApiKeyRequest {
    /// What to call it: 1 to 100 characters.
    #[schema(format = "name", example = "My program")]
    name: String,
    /// What it may do: `read`; `chat` (send messages and change conversations); `account` (change the account, its password and its
    /// API keys; includes `read` and `chat`); `admin` (use the account's role; includes `read` and `chat`).
    #[schema(format = "scope", min_items = 1, example = json!(["read", "chat"]))]
    scopes: Vec<String>,
    /// When it stops working; without it, when it is deleted.
    #[schema(format = "date-time", example = "2030-01-31T12:00:00Z")]
    expires_at: Option<String>,
}

/// An API key.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ApiKeyResponse)]
pub struct ApiKeyResponse {
    /// Its id.
    id: String,
    /// What its owner calls it.
    name: String,
    /// Its first characters.
    #[schema(example = "pk-Ab3dEf7h")]
    prefix: String,
    /// What it may do.
    scopes: Vec<&'static str>,
    /// When it was made.
    created_at: String,
    /// When it stops working, if ever.
    expires_at: Option<String>,
    /// When it was last used, to the minute.
    last_used_at: Option<String>,
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = native::CreatedApiKeyResponse)]
pub struct CreatedApiKeyResponse {
    /// The key itself. It is shown this once.
    key: String,
    #[serde(flatten)]
    about: ApiKeyResponse,
}

/// The keys of an account.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ApiKeysResponse)]
pub struct ApiKeysResponse {
    /// Oldest first; 50 at most.
    items: Vec<ApiKeyResponse>,
}

impl From<ApiKey> for ApiKeyResponse {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes.words(),
            created_at: key.created_at.rfc3339(),
            expires_at: key.expires_at.map(Timestamp::rfc3339),
            last_used_at: key.last_used_at.map(Timestamp::rfc3339),
        }
    }
}

/// Makes an API key. The answer is the only place where it can be read.
#[utoipa::path(post, path = "/api/v1/api-keys", tag = "native", extensions(("x-parlor-right" = json!("user"))), request_body = CreateApiKeyRequest, responses(
    (status = 201, description = "Made", body = CreatedApiKeyResponse),
    (status = 400, description = "A value breaks a rule", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The API key that calls lacks the scope", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are 50 already", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
))]
pub async fn create(
    State(context): State<Context>,
    caller: Caller,
    body: Json<CreateApiKeyRequest>,
) -> Result<impl IntoResponse, Error> {
    let body = body.into_inner();
    let request = ApiKeyRequest { name: body.name, scopes: body.scopes, expires_at: body.expires_at };
    let issued = context.app.create_api_key(&caller.into_inner(), request).await?;
    let response = CreatedApiKeyResponse { key: issued.secret.expose_secret().to_owned(), about: issued.key.into() };
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, axum::Json(response)))
}

/// The caller's API keys.
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "native", extensions(("x-parlor-right" = json!("user"))), responses(
    (status = 200, description = "The keys, without the secret parts", body = ApiKeysResponse),
    (status = 403, description = "The API key that calls lacks the scope", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(State(context): State<Context>, caller: Caller) -> Result<axum::Json<ApiKeysResponse>, Error> {
    let keys = context.app.list_api_keys(&caller.into_inner()).await?;
    Ok(axum::Json(ApiKeysResponse { items: keys.into_iter().map(Into::into).collect() }))
}

/// Deletes an API key of the caller's. It stops working at once.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "native", extensions(("x-parlor-right" = json!("user"))),
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 403, description = "The API key that calls lacks the scope", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The caller has no such key", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn delete(State(context): State<Context>, caller: Caller, id: PathText) -> Result<StatusCode, Error> {
    let id = id.into_inner().parse().map_err(|_| AppError::NotFound(Noun::ApiKey))?;
    context.app.delete_api_key(&caller.into_inner(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
