//! `advanced`: `/api/auth/…`, `/api/chat…`, `/api/history`.

mod auth;
mod chat;
mod error;
mod history;
mod socket;
mod users;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::{Context, extract};
pub use error::Error;

type Caller = extract::Caller<Error>;
type Json<T> = extract::JsonBody<T, Error>;
type FormOrJson<T> = extract::FormOrJson<T, Error>;
type Query<T> = extract::Query<T, Error>;

/// Its routes.
pub fn router() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(users::me))
        .routes(routes!(chat::send_message))
        .routes(routes!(chat::stream_message))
        .routes(routes!(socket::open))
        .routes(routes!(history::list_conversations))
}
