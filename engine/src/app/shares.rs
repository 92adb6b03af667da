//! Taking conversations out of Parlor: exports for their owner, links for everybody.

use std::time::Duration;

use secrecy::SecretString;

use super::tokens::{hash_of, new_share_token};
use super::{App, AppError, Caller, Noun};
use crate::domain::{Conversation, ConversationId, Invalid, Scope, ShareId};
use crate::store::{NewShare, SHARES_MAX, Share, ThreadMessage};

/// Messages that one export or link shows at most.
const MESSAGES_AT_MOST: i64 = 10_000;
/// The longest life that a link can be given, in days.
const DAYS_MAX: u32 = 365;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A conversation to take away.
#[derive(Debug, Clone)]
pub struct Export {
    /// The conversation.
    pub conversation: Conversation,
    /// Its messages, oldest first.
    pub messages: Vec<ThreadMessage>,
    /// Whether there were more than could be taken: of the whole tree the oldest are kept, of a branch the newest.
    pub is_truncated: bool,
}

/// A link that was made; its token is told this once.
#[derive(Debug)]
pub struct SharedLink {
    /// The link.
    pub share: Share,
    /// 256 random bits.
    pub token: SecretString,
}

/// What a link shows.
#[derive(Debug, Clone)]
pub struct SharedConversation {
    /// The link.
    pub share: Share,
    /// Oldest first; messages that say nothing are left out.
    pub messages: Vec<ThreadMessage>,
}

impl App {
    /// A conversation of the caller's with all its branches, or with the active one alone; 10,000 messages and 16 MiB of
    /// text at most.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn export_conversation(
        &self,
        caller: &Caller,
        id: ConversationId,
        whole_tree: bool,
    ) -> Result<Export, AppError> {
        caller.allow(Scope::Read)?;
        let found = self.db.conversation_to_export(id, caller.id(), whole_tree, MESSAGES_AT_MOST).await?;
        let (conversation, mut messages, is_truncated) = found.ok_or(AppError::NotFound(Noun::Conversation))?;
        if !whole_tree {
            messages.reverse();
        }
        Ok(Export { conversation, messages, is_truncated })
    }

    /// Makes a link under which everybody can read the active branch of a conversation of the caller's as it is now.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Invalid`].
    pub async fn share_conversation(
        &self,
        caller: &Caller,
        id: ConversationId,
        expires_in_days: Option<u32>,
    ) -> Result<SharedLink, AppError> {
        caller.allow(Scope::Chat)?;
        if expires_in_days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
            let problem = format!("expires_in_days must be 1 to {DAYS_MAX}");
            return Err(Invalid::new("expires_in_days", problem).into());
        }
        let now = self.clock.now();
        let expires_at = expires_in_days.map(|days| now.plus(DAY * days));
        let (token, hash) = new_share_token();
        match self.db.insert_share_of_owner(id, caller.id(), hash, expires_at, now).await? {
            NewShare::Made(share) => Ok(SharedLink { share, token: token.into() }),
            NewShare::NoConversation => Err(AppError::NotFound(Noun::Conversation)),
            NewShare::Empty => Err(Invalid::new("conversation_id", "there is nothing to share yet").into()),
            NewShare::TooMany => {
                let problem = format!("this conversation has {SHARES_MAX} links already");
                Err(Invalid::new("conversation_id", problem).into())
            }
        }
    }

    /// The links of a conversation of the caller's, newest first.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn list_shares(&self, caller: &Caller, id: ConversationId) -> Result<Vec<Share>, AppError> {
        caller.allow(Scope::Read)?;
        let found = self.db.shares_of_owner(id, caller.id(), self.clock.now()).await?;
        found.ok_or(AppError::NotFound(Noun::Conversation))
    }

    /// Ends a link.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn delete_share(&self, caller: &Caller, id: ConversationId, share: ShareId) -> Result<(), AppError> {
        caller.allow(Scope::Chat)?;
        if !self.db.delete_share_of_owner(id, share, caller.id()).await? {
            return Err(AppError::NotFound(Noun::Share));
        }
        Ok(())
    }

    /// What the link with that token shows, whoever asks. Unknown, expired and ended links are the same.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn read_shared(&self, token: &str) -> Result<SharedConversation, AppError> {
        let found = self.db.shared_thread(hash_of(token), self.clock.now(), MESSAGES_AT_MOST).await?;
        let (share, mut messages) = found.ok_or(AppError::NotFound(Noun::Share))?;
        messages.retain(|message| !message.message.content.is_empty());
        messages.reverse();
        Ok(SharedConversation { share, messages })
    }
}
