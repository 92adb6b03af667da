//! FastAPI's error shape, which four of the documents share: `{"detail": …}`, with a list where the request does not say what it should.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use parlor_engine::app::AppError;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{OneOfBuilder, Schema, Type};
use utoipa::openapi::{Array, Object, Ref};

use super::json::FieldError;
use super::refusal::{Refusal, with_headers};

/// A refusal.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong, in a sentence.
    pub detail: String,
    /// A stable word, where there is more than one reason for the status: `content_filter`, `interrupted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// A request that does not parse, lacks a field, or has one of a wrong type.
#[derive(Serialize, ToSchema)]
pub struct ValidationErrorBody {
    /// Everything that is wrong.
    #[schema(schema_with = faults_or_sentence)]
    pub detail: Vec<FieldError>,
}

/// A key that stands for another request is told in a sentence, with the same status.
fn faults_or_sentence() -> Schema {
    let faults = Array::new(Ref::from_schema_name("FieldError"));
    let sentence = Object::with_type(Type::String);
    let either = OneOfBuilder::new().item(faults).item(sentence).description(Some(
        "Everything that is wrong; a sentence where an `Idempotency-Key` or `message_id` was used for another request.",
    ));
    Schema::OneOf(either.build())
}

/// A refusal that comes from no handler.
pub fn told(status: StatusCode, detail: &str) -> Response {
    (status, Json(ErrorBody { detail: detail.to_owned(), code: None })).into_response()
}

/// What every path that leads nowhere answers.
pub fn not_found() -> Response {
    told(StatusCode::NOT_FOUND, "Not Found")
}

/// Answers a refusal; `tell` is the dialect's word on the application's reasons.
pub fn refuse(refusal: &Refusal, tell: impl FnOnce(&AppError) -> (StatusCode, String)) -> Response {
    let plain = |status: StatusCode, detail: String| (status, Json(ErrorBody { detail, code: None })).into_response();
    let response = match refusal {
        Refusal::App(error) => {
            let (status, detail) = tell(error);
            (status, Json(ErrorBody { detail, code: error.code() })).into_response()
        }
        Refusal::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, "Request body is too large".to_owned()),
        Refusal::Unfinished => plain(StatusCode::REQUEST_TIMEOUT, "Request body did not arrive".to_owned()),
        Refusal::Malformed(faults) => {
            let body = ValidationErrorBody { detail: faults.clone() };
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
    };
    with_headers(response, refusal)
}
