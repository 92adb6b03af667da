//! The API's own status.

use serde::Serialize;
use utoipa::ToSchema;

/// That the API is there.
#[derive(Serialize, ToSchema)]
#[schema(as = classic::ApiStatus)]
pub struct ApiStatus {
    /// Always the same.
    message: &'static str,
    /// Parlor's version.
    version: &'static str,
}

/// Says that the API is there.
#[utoipa::path(get, path = "/api", tag = "classic", extensions(("x-parlor-right" = json!("public"))), responses((status = 200, description = "It is", body = ApiStatus)))]
pub async fn api() -> axum::Json<ApiStatus> {
    axum::Json(ApiStatus { message: "API is running", version: env!("CARGO_PKG_VERSION") })
}
