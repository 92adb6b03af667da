//! Everything that is kept of a person, told piece by piece: however much there is, no piece is large, and no transaction long.

use std::collections::HashMap;

use super::{App, AppError, Caller};
use crate::domain::{
    Account, ApiKey, Consent, Conversation, ConversationId, File, FileId, MessageId, Profile, Scope, Timestamp,
};
use crate::store::{FilePlace, LedgerRow, ModerationEvent, SessionRecord, Share, ThreadMessage};

/// Rows of one piece at most.
const FILES: i64 = 100;
const ROWS: i64 = 500;
/// Each holds a message, which may be long.
const EVENTS: i64 = 50;
const CONVERSATIONS: i64 = 50;
const MESSAGES: i64 = 100;

/// A piece. They come in this order: the person, files, usage, what was blocked, then each conversation with its messages behind it.
#[derive(Debug)]
pub enum PersonalData {
    /// The account, and what hangs on it.
    Person(Box<Person>),
    /// Some files, without their contents; newest first.
    Files(Vec<File>),
    /// Some of the ledger, oldest first.
    Usage(Vec<LedgerRow>),
    /// Some of what moderation blocked, oldest first.
    Blocked(Vec<ModerationEvent>),
    /// A conversation, and the links to it that still show something.
    Conversation(Conversation, Vec<Share>),
    /// Some messages of the conversation before, on all its branches, oldest first; and those of their files that are there still.
    Messages(Vec<ThreadMessage>, HashMap<FileId, File>),
}

/// An account, and what hangs on it. Neither secrets nor hashes of them.
#[derive(Debug)]
pub struct Person {
    /// The account, with its preferences.
    pub account: Account,
    /// What its owner says of themselves.
    pub profile: Profile,
    /// Everything that was agreed to or not, oldest first.
    pub consents: Vec<Consent>,
    /// Where it is signed in.
    pub sessions: Vec<SessionRecord>,
    /// Its API keys, oldest first.
    pub api_keys: Vec<ApiKey>,
}

/// How far the telling has come.
#[derive(Debug)]
pub struct PersonalDataPlace(Step);

#[derive(Debug)]
enum Step {
    Person,
    Files(Option<FilePlace>),
    Usage(Option<(Timestamp, i64)>),
    Blocked(Option<i64>),
    /// The next of those that were read, newest last; when there are none, those after that id.
    Conversations(Vec<Conversation>, Option<ConversationId>),
    Messages {
        of: ConversationId,
        after: Option<MessageId>,
        then: Vec<Conversation>,
    },
}

impl PersonalDataPlace {
    /// The beginning.
    #[must_use]
    pub const fn start() -> Self {
        Self(Step::Person)
    }
}

impl App {
    /// The piece at `place` of what is kept of the caller, and the place behind it; `None` behind the last.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for an API key without the scope `account`; [`AppError::Unauthenticated`] when the account has just gone.
    pub async fn personal_data(
        &self,
        caller: &Caller,
        place: PersonalDataPlace,
    ) -> Result<Option<(PersonalData, PersonalDataPlace)>, AppError> {
        caller.allow(Scope::Account)?;
        let owner = caller.id();
        let (piece, next) = match place.0 {
            Step::Person => (PersonalData::Person(Box::new(self.person(caller).await?)), Step::Files(None)),
            Step::Files(after) => {
                let files = self.db.files_of_owner(owner, after, FILES).await?;
                let next = match files.last().filter(|_| is_full(&files, FILES)) {
                    Some(last) => {
                        Step::Files(Some(FilePlace { created_at: last.created_at.micros(), id: last.id.get() }))
                    }
                    None => Step::Usage(None),
                };
                (PersonalData::Files(files), next)
            }
            Step::Usage(after) => {
                let rows = self.db.ledger_of_owner(owner, after, ROWS).await?;
                let next = match rows.last().filter(|_| is_full(&rows, ROWS)) {
                    Some(last) => Step::Usage(Some((last.created_at, last.id))),
                    None => Step::Blocked(None),
                };
                (PersonalData::Usage(rows), next)
            }
            Step::Blocked(after) => {
                let events = self.db.moderation_events_of_owner(owner, after, EVENTS).await?;
                let next = match events.last().filter(|_| is_full(&events, EVENTS)) {
                    Some(last) => Step::Blocked(Some(last.id)),
                    None => Step::Conversations(Vec::new(), None),
                };
                (PersonalData::Blocked(events), next)
            }
            Step::Conversations(mut waiting, after) => {
                if waiting.is_empty() {
                    waiting = self.db.conversations_of_owner_after(owner, after, CONVERSATIONS).await?;
                    waiting.reverse();
                }
                let Some(conversation) = waiting.pop() else { return Ok(None) };
                let of = conversation.id;
                let shares = self.db.shares_of_owner(of, owner, self.clock.now()).await?.unwrap_or_default();
                (PersonalData::Conversation(conversation, shares), Step::Messages { of, after: None, then: waiting })
            }
            Step::Messages { of, after, then } => {
                // A conversation may be deleted meanwhile.
                let read = self.db.messages_of_owner_after(of, owner, after, MESSAGES).await?;
                let (messages, has_more) = read.unwrap_or_default();
                let next = match messages.last().filter(|_| has_more) {
                    Some(last) => Step::Messages { of, after: Some(last.message.id), then },
                    None => Step::Conversations(then, Some(of)),
                };
                let files = self.files_of_messages(caller, &messages).await?;
                (PersonalData::Messages(messages, files), next)
            }
        };
        Ok(Some((piece, PersonalDataPlace(next))))
    }

    async fn person(&self, caller: &Caller) -> Result<Person, AppError> {
        Ok(Person {
            account: caller.account().clone(),
            profile: self.profile(caller).await?,
            consents: self.consents(caller).await?,
            sessions: self.list_sessions(caller).await?,
            api_keys: self.list_api_keys(caller).await?,
        })
    }
}

fn is_full<T>(page: &[T], limit: i64) -> bool {
    i64::try_from(page.len()).is_ok_and(|count| count >= limit)
}
