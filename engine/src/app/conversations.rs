//! Conversations: making, listing, reading and deleting one's own.

use super::{App, AppError, Caller, Noun};
use crate::domain::{Conversation, ConversationId, Scope};
use crate::store::{MessageRow, StoreError};

/// Messages that one reading returns at most.
const MESSAGES_AT_MOST: i64 = 10_000;
/// How often a new conversation's id may meet one that exists: once in 2^53 draws per conversation stored.
pub(super) const DRAWS: usize = 3;

/// One page of a person's conversations.
#[derive(Debug, Clone)]
pub struct ConversationPage {
    /// Newest first.
    pub items: Vec<Conversation>,
    /// How many there are on all pages.
    pub total: i64,
}

/// A conversation and what was said in it.
#[derive(Debug, Clone)]
pub struct ConversationWithMessages {
    /// The conversation.
    pub conversation: Conversation,
    /// Oldest first; messages that say nothing yet are left out.
    pub messages: Vec<MessageRow>,
}

impl App {
    /// Begins an empty conversation.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for an API key without the scope.
    pub async fn create_conversation(&self, caller: &Caller) -> Result<Conversation, AppError> {
        caller.allow(Scope::Chat)?;
        for _ in 0..DRAWS {
            let id = ConversationId::random(&mut rand::rng());
            let now = self.clock.now();
            match self.db.insert_conversation(id, caller.id(), now).await {
                Err(StoreError::Duplicate) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    return Ok(Conversation {
                        id,
                        account_id: caller.id(),
                        title: None,
                        last_message: None,
                        message_count: 0,
                        created_at: now,
                        updated_at: now,
                    });
                }
            }
        }
        Err(AppError::Internal("no free conversation id was drawn".to_owned()))
    }

    /// The caller's conversations, newest first: page `page` (from 1) of `per_page` (1 to 1000).
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for an API key without the scope.
    pub async fn list_conversations(
        &self,
        caller: &Caller,
        page: u32,
        per_page: u32,
    ) -> Result<ConversationPage, AppError> {
        caller.allow(Scope::Read)?;
        let limit = i64::from(per_page.clamp(1, 1000));
        let offset = i64::from(page.max(1) - 1) * limit;
        let (items, total) = self.db.conversations_of_owner(caller.id(), limit, offset).await?;
        Ok(ConversationPage { items, total })
    }

    /// One conversation of the caller's with its messages: the newest ten thousand, or what fits in 16 MiB.
    ///
    /// # Errors
    /// [`AppError::NotFound`], and [`AppError::Forbidden`] for an API key without the scope.
    pub async fn read_conversation(
        &self,
        caller: &Caller,
        id: ConversationId,
    ) -> Result<ConversationWithMessages, AppError> {
        caller.allow(Scope::Read)?;
        let found = self.db.conversation_and_messages_of_owner(id, caller.id(), MESSAGES_AT_MOST).await?;
        let (conversation, messages) = found.ok_or(AppError::NotFound(Noun::Conversation))?;
        Ok(ConversationWithMessages { conversation, messages })
    }

    /// Deletes one conversation of the caller's with all its messages; a turn that runs in it is stopped.
    ///
    /// # Errors
    /// [`AppError::NotFound`], and [`AppError::Forbidden`] for an API key without the scope.
    pub async fn delete_conversation(&self, caller: &Caller, id: ConversationId) -> Result<(), AppError> {
        caller.allow(Scope::Chat)?;
        if !self.db.delete_conversation_of_owner(id, caller.id()).await? {
            return Err(AppError::NotFound(Noun::Conversation));
        }
        self.turns.cancel_conversation(id);
        Ok(())
    }
}
