//! `classic`: `/chat`, `/conversations…`, `/api`. Its callers name themselves in the body, where guests are allowed.

mod caller;
mod chat;
mod conversations;
mod error;
mod status;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::{Context, extract};
pub use error::Error;

type Json<T> = extract::JsonBody<T, Error>;
type PathText = extract::PathText<Error>;

/// Its routes.
pub fn router() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(status::api))
        .routes(routes!(chat::send_message))
        .routes(routes!(conversations::create_conversation))
        .routes(routes!(conversations::list_messages))
        .routes(routes!(conversations::list_conversations))
        .routes(routes!(conversations::read_conversation))
        .routes(routes!(conversations::delete_conversation))
}
