//! How this dialect refuses: `{"error": {…}}`. <https://platform.openai.com/docs/guides/error-codes>

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use parlor_engine::app::gateway::{GatewayError, ProviderError};
use parlor_engine::app::{AppError, Noun};
use serde::Serialize;
use utoipa::ToSchema;

use crate::kit::refusal::{Refusal, with_headers};

/// A refusal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = openai::ErrorBody)]
pub struct ErrorBody {
    /// What is wrong.
    error: ErrorObject,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = openai::ErrorObject)]
pub struct ErrorObject {
    /// A sentence.
    message: String,
    /// The kind of error: `invalid_request_error`, `server_error` and the like.
    r#type: &'static str,
    /// The field that is at fault.
    param: Option<String>,
    /// A stable word.
    code: Option<String>,
}

/// A refusal in this dialect's words.
#[derive(Debug)]
pub enum Error {
    /// Parlor's own.
    Refusal(Refusal),
    /// The provider's.
    Provider(ProviderError),
}

impl<T: Into<Refusal>> From<T> for Error {
    fn from(refusal: T) -> Self {
        Self::Refusal(refusal.into())
    }
}

/// A call's failure; a newtype's `From` would stand in the way of the others.
pub fn of_call(error: GatewayError) -> Error {
    match error {
        GatewayError::App(error) => error.into(),
        GatewayError::Provider(error) => Error::Provider(error),
    }
}

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";
const LIMIT: &str = "requests";

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match &self {
            Self::Refusal(refusal) => {
                let (status, object) = refused(refusal);
                with_headers(respond(status, object), refusal)
            }
            Self::Provider(error) => {
                let (status, object) = failed(error);
                let mut response = respond(status, object);
                if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                    let seconds = error.retry_after().map_or(5, |wait| wait.as_millis().div_ceil(1000).max(1));
                    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
                    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                }
                response
            }
        }
    }
}

/// A refusal that comes from no handler.
pub fn told(status: StatusCode, detail: &str) -> Response {
    let kind = if status.is_server_error() { SERVER } else { INVALID };
    respond(status, object(kind, None, detail))
}

/// A failure in the midst of a stream, where the status has gone out already.
pub fn event(error: &GatewayError) -> Bytes {
    let body = serde_json::to_string(&ErrorBody { error: midway(error) }).unwrap_or_default();
    Bytes::from(format!("data: {body}\n\n"))
}

/// The stable word and the sentence of such a failure.
pub fn words(error: &GatewayError) -> (String, String) {
    let object = midway(error);
    (object.code.unwrap_or_else(|| object.r#type.to_owned()), object.message)
}

fn midway(error: &GatewayError) -> ErrorObject {
    match error {
        GatewayError::App(error) => {
            if let AppError::Internal(reason) = error {
                tracing::error!(reason, "a stream failed");
            }
            tell(error).1
        }
        GatewayError::Provider(error) => failed(error).1,
    }
}

fn respond(status: StatusCode, error: ErrorObject) -> Response {
    (status, axum::Json(ErrorBody { error })).into_response()
}

fn object(kind: &'static str, code: Option<&str>, message: &str) -> ErrorObject {
    ErrorObject { message: message.to_owned(), r#type: kind, param: None, code: code.map(str::to_owned) }
}

fn refused(refusal: &Refusal) -> (StatusCode, ErrorObject) {
    match refusal {
        Refusal::App(error) => tell(error),
        Refusal::TooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, object(INVALID, Some("request_too_large"), "Request body is too large"))
        }
        Refusal::Unfinished => {
            (StatusCode::REQUEST_TIMEOUT, object(INVALID, Some("request_timeout"), "Request body did not arrive"))
        }
        Refusal::Malformed(faults) => {
            let message = faults.first().map_or("The request is not valid", |fault| fault.msg.as_str());
            (StatusCode::BAD_REQUEST, object(INVALID, None, message))
        }
    }
}

fn tell(error: &AppError) -> (StatusCode, ErrorObject) {
    let message = error.to_string();
    let plain = |status, kind, code: &str| (status, object(kind, Some(code), &message));
    match error {
        AppError::Unauthenticated(_) => plain(StatusCode::UNAUTHORIZED, INVALID, "invalid_api_key"),
        AppError::Forbidden(_) => plain(StatusCode::FORBIDDEN, INVALID, "insufficient_permissions"),
        AppError::NotFound(Noun::Model) => no_model(),
        AppError::NotFound(_) => plain(StatusCode::NOT_FOUND, INVALID, "not_found"),
        AppError::Invalid(invalid) => {
            let param = Some(invalid.field.to_owned()).filter(|field| !field.is_empty());
            (StatusCode::BAD_REQUEST, ErrorObject { param, ..object(INVALID, None, &message) })
        }
        AppError::TooLarge(_) => plain(StatusCode::PAYLOAD_TOO_LARGE, INVALID, "request_too_large"),
        AppError::Conflict(_) => plain(StatusCode::CONFLICT, INVALID, "conflict"),
        AppError::KeyReused => plain(StatusCode::UNPROCESSABLE_ENTITY, INVALID, "idempotency_key_reused"),
        AppError::TooMany(_) => plain(StatusCode::TOO_MANY_REQUESTS, LIMIT, "rate_limit_exceeded"),
        AppError::QuotaExceeded(_) => plain(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota"),
        AppError::Blocked => plain(StatusCode::BAD_REQUEST, INVALID, "content_filter"),
        AppError::ModerationDown => plain(StatusCode::SERVICE_UNAVAILABLE, SERVER, "moderation_unavailable"),
        AppError::ProviderDown { code } => plain(StatusCode::SERVICE_UNAVAILABLE, SERVER, code),
        AppError::ProviderTimeout => plain(StatusCode::GATEWAY_TIMEOUT, SERVER, "timeout"),
        AppError::Overloaded | AppError::DatabaseAway(_) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, SERVER, "overloaded")
        }
        AppError::ShuttingDown => plain(StatusCode::SERVICE_UNAVAILABLE, SERVER, "shutting_down"),
        AppError::Interrupted { .. } => plain(StatusCode::SERVICE_UNAVAILABLE, SERVER, "interrupted"),
        AppError::Internal(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, object(SERVER, Some("internal_error"), "Internal server error"))
        }
    }
}

fn no_model() -> (StatusCode, ErrorObject) {
    let message = "The model does not exist or you do not have access to it.";
    let object = ErrorObject { param: Some("model".to_owned()), ..object(INVALID, Some("model_not_found"), message) };
    (StatusCode::NOT_FOUND, object)
}

/// A provider's failure: what lies with the request has the status that it had there. What else the provider said stays behind.
fn failed(error: &ProviderError) -> (StatusCode, ErrorObject) {
    let invalid = |code: &str, message: &str| (StatusCode::BAD_REQUEST, object(INVALID, Some(code), message));
    match error {
        ProviderError::UnknownModel => no_model(),
        ProviderError::BadRequest { status, code, param } => {
            let status = match status {
                413 | 415 | 422 => StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST),
                _ => StatusCode::BAD_REQUEST,
            };
            let message = match code {
                Some(code) => format!("The provider refuses the request: {}.", code.as_str()),
                None => "The provider refuses the request: something in it does not suit the model.".to_owned(),
            };
            let param = param.as_ref().map(|param| param.as_str().to_owned());
            (status, ErrorObject { param, ..object(INVALID, code.as_ref().map(|code| code.as_str()), &message) })
        }
        ProviderError::Unsupported => invalid("unsupported", "The provider of this model cannot do this."),
        ProviderError::ContentFiltered => {
            invalid("content_filter", "The provider's content filter refuses the request.")
        }
        ProviderError::RateLimited { .. } => {
            let message = "The provider limits our requests: try again later.";
            (StatusCode::TOO_MANY_REQUESTS, object(LIMIT, Some("rate_limit_exceeded"), message))
        }
        ProviderError::Timeout(_) => {
            let message = "The provider did not answer in time.";
            (StatusCode::GATEWAY_TIMEOUT, object(SERVER, Some(error.code()), message))
        }
        ProviderError::Cut => {
            let message = "The provider broke off before the answer was finished.";
            (StatusCode::SERVICE_UNAVAILABLE, object(SERVER, Some(error.code()), message))
        }
        ProviderError::Settings(_)
        | ProviderError::Connect
        | ProviderError::Unauthorized
        | ProviderError::Unavailable { .. }
        | ProviderError::Protocol(_)
        | ProviderError::BreakerOpen => {
            (StatusCode::SERVICE_UNAVAILABLE, object(SERVER, Some(error.code()), "The AI service is unavailable."))
        }
    }
}
