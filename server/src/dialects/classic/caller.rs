//! Who calls: the bearer token's account; without a token, and where guests are allowed, the guest that the request names.

use http::HeaderMap;
use parlor_engine::app::{AppError, Caller};
use parlor_engine::domain::{ConversationId, GuestRealm};

use crate::kit::Context;
use crate::kit::bearer::Authorization;

/// How a request without a token says who it is for.
pub(super) enum Guest<'a> {
    /// By a name.
    Named(&'a str),
    /// By a conversation's id, which cannot be guessed.
    OfConversation(ConversationId),
}

/// With a token, what the request says of its user is not looked at.
pub(super) async fn caller(context: &Context, headers: &HeaderMap, guest: Guest<'_>) -> Result<Caller, AppError> {
    match context.authorization(headers) {
        Authorization::Bearer(token) => context.app.authenticate(&token).await,
        Authorization::Other => Err(AppError::Unauthenticated("Not authenticated")),
        Authorization::Absent => match guest {
            Guest::Named(key) => context.app.guest(GuestRealm::Classic, key).await,
            Guest::OfConversation(id) => context.app.guest_of_conversation(GuestRealm::Classic, id).await,
        },
    }
}

/// As [`caller`], but makes no guest: `None` when there is none of that name.
pub(super) async fn known_caller(
    context: &Context,
    headers: &HeaderMap,
    name: &str,
) -> Result<Option<Caller>, AppError> {
    match context.authorization(headers) {
        Authorization::Absent => context.app.known_guest(GuestRealm::Classic, name).await,
        _ => caller(context, headers, Guest::Named(name)).await.map(Some),
    }
}

/// The name under which this dialect shows an account: a guest's own, or the account's id.
pub(super) fn user_id(caller: &Caller) -> String {
    caller.account().guest_key.clone().unwrap_or_else(|| caller.id().to_string())
}
