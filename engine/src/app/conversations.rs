//! Conversations: making, listing, reading and deleting one's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{App, AppError, Caller, Noun};
use crate::domain::{Conversation, ConversationId, Invalid, Scope, Search};
use crate::store::{ConversationChange, ConversationFilter, ConversationPlace, MessageRow, StoreError};

/// Messages that one reading returns at most.
const MESSAGES_AT_MOST: i64 = 10_000;
/// How often a new conversation's id may meet one that exists: once in 2^53 draws per conversation stored.
pub(super) const DRAWS: usize = 3;

/// The largest page.
const PAGE_MAX: u32 = 100;
/// The longest text that is searched for, in characters.
const SEARCH_CHARS: usize = 200;

/// One page of a person's conversations.
#[derive(Debug, Clone)]
pub struct ConversationPage {
    /// Newest first.
    pub items: Vec<Conversation>,
    /// How many there are on all pages.
    pub total: i64,
}

/// Which of a person's conversations to list.
#[derive(Debug, Clone, Default)]
pub struct ListConversations {
    /// How many at most: 1 to 100.
    pub limit: u32,
    /// Where an earlier list ended.
    pub before: Option<String>,
    /// Words that begin words of the title, or of one of the messages.
    pub search: Option<String>,
    /// Those in the archive instead of those that are not.
    pub archived: bool,
}

/// Some of a person's conversations.
#[derive(Debug, Clone)]
pub struct ConversationList {
    /// Pinned ones first, then the newest first.
    pub items: Vec<Conversation>,
    /// Where the list goes on, when it does.
    pub next: Option<String>,
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
                        is_pinned: false,
                        is_archived: false,
                        head: None,
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

    /// The caller's conversations that are asked for. What is searched for is found where every word of it begins a word of the title, or of
    /// one message, whatever the case of letters and their accents ([`Search`]).
    ///
    /// # Errors
    /// [`AppError::Invalid`].
    pub async fn find_conversations(
        &self,
        caller: &Caller,
        wanted: ListConversations,
    ) -> Result<ConversationList, AppError> {
        caller.allow(Scope::Read)?;
        let limit = page_size(wanted.limit)?;
        let after = wanted.before.as_deref().map(place_of).transpose()?;
        let search = match wanted.search.as_deref().map(str::trim).filter(|search| !search.is_empty()) {
            None => None,
            Some(search) => match search_for(search)? {
                // Signs alone are found nowhere.
                search if search.words().is_empty() => return Ok(ConversationList { items: Vec::new(), next: None }),
                search => Some(search),
            },
        };
        // One more than is shown tells whether the list goes on.
        let filter = ConversationFilter { archived: wanted.archived, search, after, limit: limit + 1 };
        let mut items = self.db.conversations_of_owner_by(caller.id(), filter).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let goes_on = items.len() > shown;
        items.truncate(shown);
        let next = items.last().filter(|_| goes_on).map(cursor_of);
        Ok(ConversationList { items, next })
    }

    /// One conversation of the caller's, without its messages.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn conversation(&self, caller: &Caller, id: ConversationId) -> Result<Conversation, AppError> {
        caller.allow(Scope::Read)?;
        let found = self.db.conversation_of_owner(id, caller.id()).await?;
        found.ok_or(AppError::NotFound(Noun::Conversation))
    }

    /// Renames, pins or archives a conversation of the caller's. Gives it as it is then.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn change_conversation(
        &self,
        caller: &Caller,
        id: ConversationId,
        change: ConversationChange,
    ) -> Result<Conversation, AppError> {
        caller.allow(Scope::Chat)?;
        let changed = self.db.change_conversation_of_owner(id, caller.id(), change).await?;
        changed.ok_or(AppError::NotFound(Noun::Conversation))
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
        if !self.db.delete_conversation_of_owner(id, caller.id(), self.clock.now()).await? {
            return Err(AppError::NotFound(Noun::Conversation));
        }
        self.stop_conversation(id).await;
        Ok(())
    }
}

/// A page's size, when it is one.
pub(super) fn page_size(limit: u32) -> Result<i64, Invalid> {
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Invalid::new("limit", format!("limit must be 1 to {PAGE_MAX}")));
    }
    Ok(i64::from(limit))
}

/// The place after which the next page begins, as a text that clients pass back and do not read.
fn cursor_of(last: &Conversation) -> String {
    let place = format!("{}.{}.{}", u8::from(last.is_pinned), last.updated_at.micros(), last.id);
    URL_SAFE_NO_PAD.encode(place)
}

fn place_of(cursor: &str) -> Result<ConversationPlace, Invalid> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let mut parts = text.split('.');
        let mut part = || parts.next()?.parse::<i64>().ok();
        let (pinned, updated_at, id) = (part()?, part()?, part()?);
        Some(ConversationPlace { is_pinned: pinned != 0, updated_at, id })
    };
    read().ok_or_else(|| Invalid::new("before", "before is not a cursor of this list"))
}

/// What is searched for, when it is short enough.
fn search_for(search: &str) -> Result<Search, Invalid> {
    if search.chars().count() > SEARCH_CHARS {
        return Err(Invalid::new("q", format!("q must have at most {SEARCH_CHARS} characters")));
    }
    Ok(Search::parse(search))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::{AccountId, Timestamp};

    #[test]
    fn a_cursor_leads_back_to_its_place_and_other_text_nowhere() {
        let conversation = Conversation {
            id: ConversationId::new(1_234_567_890_123_456).unwrap(),
            account_id: AccountId::new(1).unwrap(),
            title: None,
            last_message: None,
            message_count: 0,
            is_pinned: true,
            is_archived: false,
            head: None,
            created_at: Timestamp::from_micros(1),
            updated_at: Timestamp::from_micros(99),
        };
        let place = place_of(&cursor_of(&conversation)).unwrap();
        assert_eq!((place.is_pinned, place.updated_at, place.id), (true, 99, 1_234_567_890_123_456));
        for other in ["", "x", "MS4y", "!!!!", "1.2.3"] {
            assert!(place_of(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_search_has_a_longest_text() {
        assert_eq!(search_for(&"ü".repeat(200)).unwrap().words().len(), 1);
        assert!(search_for(&"a".repeat(201)).is_err());
    }
}
