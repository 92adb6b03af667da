//! Who calls where no login is needed: the bearer token's account; without a token, and where guests are allowed, the guest that the
//! request names.

use parlor_engine::app::chat::SendMessage;
use parlor_engine::app::{AppError, Caller, Noun};
use parlor_engine::domain::{ConversationId, GuestRealm};

use super::Context;
use super::bearer::Authorization;
use super::extract::Credentials;

/// How a request without a token says who it is for.
pub enum Guest<'a> {
    /// By a name.
    Named(&'a str),
    /// By a conversation's id, which cannot be guessed.
    OfConversation(ConversationId),
}

/// The guests of one surface.
#[derive(Clone, Copy)]
pub struct Guests(pub GuestRealm);

impl Guests {
    /// Who calls. With a token, what the request says of its user is not looked at.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`], and [`AppError::NotFound`] for a conversation that is no guest's of this surface.
    pub async fn caller(self, context: &Context, headers: &Credentials, guest: Guest<'_>) -> Result<Caller, AppError> {
        let caller = match context.authorization(headers) {
            Authorization::Bearer(token) => context.app.authenticate(&token).await,
            Authorization::Other => Err(AppError::Unauthenticated("Not authenticated")),
            Authorization::Absent => match guest {
                Guest::Named(key) => context.app.guest(self.0, key).await,
                Guest::OfConversation(id) => context.app.guest_of_conversation(self.0, id).await,
            },
        };
        headers.admit(caller?).await
    }

    /// As [`Guests::caller`], but makes no guest: `None` when there is none of that name.
    ///
    /// # Errors
    /// As [`Guests::caller`].
    pub async fn known_caller(
        self,
        context: &Context,
        headers: &Credentials,
        name: &str,
    ) -> Result<Option<Caller>, AppError> {
        match context.authorization(headers) {
            Authorization::Absent => {
                let guest = context.app.known_guest(self.0, name).await?;
                match guest {
                    Some(guest) => headers.admit(guest).await.map(Some),
                    None => Ok(None),
                }
            }
            _ => self.caller(context, headers, Guest::Named(name)).await.map(Some),
        }
    }

    /// Who sends a message. A guest is made by a first message alone: one that is refused makes nobody.
    ///
    /// # Errors
    /// As [`Guests::caller`], and what [`parlor_engine::app::App::check_message`] refuses.
    pub async fn sender(
        self,
        context: &Context,
        headers: &Credentials,
        name: &str,
        message: &SendMessage,
    ) -> Result<Caller, AppError> {
        if let Some(known) = self.known_caller(context, headers, name).await? {
            return Ok(known);
        }
        context.app.check_message(message)?;
        if message.conversation_id.is_some() {
            return Err(AppError::NotFound(Noun::Conversation));
        }
        self.caller(context, headers, Guest::Named(name)).await
    }
}
