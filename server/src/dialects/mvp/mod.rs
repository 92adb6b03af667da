//! `mvp`: `/auth/…`, `/users/…`, `/chat/send`, `/chat/history/{id}`.

mod auth;
mod chat;
mod error;
mod users;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::{Context, extract};
pub use error::Error;

type Caller = extract::Caller<Error>;
type Json<T> = extract::JsonBody<T, Error>;
type FormOrJson<T> = extract::FormOrJson<T, Error>;
type PathText = extract::PathText<Error>;

/// Its routes.
pub fn router() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(auth::signup))
        .routes(routes!(auth::login))
        .routes(routes!(users::me))
        .routes(routes!(users::replace_preferences, users::change_preferences, users::post_preferences))
        .routes(routes!(chat::send_message))
        .routes(routes!(chat::read_history))
}
