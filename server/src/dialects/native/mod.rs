//! `native`: `/api/v1/…`, where everything new grows.

mod auth;
mod chat;
mod error;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::{Context, extract};
pub use error::{Error, Problem, problem};

type Caller = extract::Caller<Error>;
type Json<T> = extract::JsonBody<T, Error>;
type FormOrJson<T> = extract::FormOrJson<T, Error>;
type PathText = extract::PathText<Error>;

/// Its routes.
pub fn router() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(chat::resume_stream))
        .routes(routes!(chat::stop))
}
