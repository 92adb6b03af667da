//! `full_chatbot`: `/chat-message`, `/get-conversation-history/{id}`. Its callers give their number in the body, where guests are allowed.

mod chat;
mod error;

use parlor_engine::domain::GuestRealm;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::guest::Guests;
use crate::kit::{Context, extract};
pub use error::Error;

type JsonOrQuery<T> = extract::JsonOrQuery<T, Error>;
type PathText = extract::PathText<Error>;

/// Those who call without a token.
const GUESTS: Guests = Guests(GuestRealm::FullChatbot);

/// Its routes.
pub fn router() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(chat::send_message)).routes(routes!(chat::read_history))
}
