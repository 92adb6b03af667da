//! How this dialect refuses.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use parlor_engine::app::AppError;

use crate::kit::fastapi;
use crate::kit::refusal::Refusal;

/// A refusal in this dialect's words.
#[derive(Debug)]
pub struct Error(Refusal);

impl<T: Into<Refusal>> From<T> for Error {
    fn from(refusal: T) -> Self {
        Self(refusal.into())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        fastapi::refuse(&self.0, tell)
    }
}

fn tell(error: &AppError) -> (StatusCode, String) {
    let status = match error {
        AppError::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        AppError::Forbidden(_) => StatusCode::FORBIDDEN,
        AppError::NotFound(_) => StatusCode::NOT_FOUND,
        AppError::Invalid(_) | AppError::Blocked => StatusCode::BAD_REQUEST,
        AppError::Conflict(_) => StatusCode::CONFLICT,
        AppError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        AppError::KeyReused => {
            return (StatusCode::UNPROCESSABLE_ENTITY, "this message_id was used for another message".to_owned());
        }
        AppError::TooMany(_) | AppError::QuotaExceeded(_) => StatusCode::TOO_MANY_REQUESTS,
        AppError::ProviderDown { .. }
        | AppError::ModerationDown
        | AppError::Overloaded
        | AppError::DatabaseAway(_)
        | AppError::ShuttingDown
        | AppError::Interrupted { .. } => StatusCode::SERVICE_UNAVAILABLE,
        AppError::ProviderTimeout => StatusCode::GATEWAY_TIMEOUT,
        AppError::Internal(_) => return (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error".to_owned()),
    };
    (status, error.to_string())
}
