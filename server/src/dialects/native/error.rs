//! How this dialect refuses: RFC 9457.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use parlor_engine::app::AppError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::kit::json::FieldError;
use crate::kit::refusal::{Refusal, with_headers};

/// What is wrong, as `application/problem+json`. <https://www.rfc-editor.org/rfc/rfc9457>
#[derive(Serialize, ToSchema)]
#[schema(as = native::Problem)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, in a sentence.
    detail: String,
    /// A stable word, where there is more than one reason for the status: `content_filter`, `interrupted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// Everything that is wrong with the request, where it does not say what it should.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

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
        let code = match &self.0 {
            Refusal::App(error) => error.code(),
            _ => None,
        };
        let (status, detail, errors) = match &self.0 {
            Refusal::App(error) => {
                let (status, detail) = tell(error);
                (status, detail, Vec::new())
            }
            Refusal::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request body is too large".to_owned(), Vec::new()),
            Refusal::Unfinished => (StatusCode::REQUEST_TIMEOUT, "Request body did not arrive".to_owned(), Vec::new()),
            Refusal::Malformed(faults) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "The request is not valid".to_owned(), faults.clone())
            }
        };
        with_headers(respond(status, detail, code, errors), &self.0)
    }
}

/// A refusal that comes from no handler.
pub fn problem(status: StatusCode, detail: &str) -> Response {
    respond(status, detail.to_owned(), None, Vec::new())
}

fn respond(status: StatusCode, detail: String, code: Option<&'static str>, errors: Vec<FieldError>) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let problem = Problem { r#type: "about:blank", title, status: status.as_u16(), detail, code, errors };
    let mut response = (status, axum::Json(problem)).into_response();
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn tell(error: &AppError) -> (StatusCode, String) {
    let status = match error {
        AppError::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        AppError::Forbidden(_) => StatusCode::FORBIDDEN,
        AppError::NotFound(_) => StatusCode::NOT_FOUND,
        AppError::Invalid(_) | AppError::Blocked => StatusCode::BAD_REQUEST,
        AppError::Conflict(_) => StatusCode::CONFLICT,
        AppError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        AppError::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
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
