//! Turns: the row that a message is before it is anything else, and the row that its answer becomes.

mod begin;
mod finish;
mod kept;
mod read;

use super::quotas::{NewReservation, OverQuota, Reserved};
use super::tool_calls::StoredToolCall;
use super::usage::{LedgerEntry, Occasion, bill};
use super::{Db, LeftBy, StoreError, tx::params};
use crate::domain::{
    AccountId, Attachments, ConversationId, FinishReason, IdempotencyKey, MessageId, ServerId, Timestamp, TokenUsage,
    TurnId, TurnState, estimate_tokens,
};
use begin::{begin_turn, replay};
use finish::finish_turn;
pub(in crate::store) use finish::set_answer;
pub use kept::KeptCall;
use read::{open_turns, turn_of_owner};

/// What sending a message stores.
#[derive(Debug, Clone)]
pub struct NewTurn {
    /// Who sends it.
    pub account_id: AccountId,
    /// The conversation to continue; `None` begins one.
    pub conversation_id: Option<ConversationId>,
    /// Where in the conversation it stands.
    pub branch: Branch,
    /// The id that a new conversation gets.
    pub new_conversation_id: ConversationId,
    /// The message; not looked at where one is answered again.
    pub text: String,
    /// What goes with it.
    pub attachments: Attachments,
    /// The client's own name for it.
    pub client_id: Option<String>,
    /// The model that shall answer.
    pub model: String,
    /// The caller's key, and the hash of what it stands for.
    pub idempotency: Option<(IdempotencyKey, String)>,
    /// When the key stops protecting.
    pub key_expires_at: Timestamp,
    /// What is to be taken from the sender's quotas; `None` where there are none.
    pub quota: Option<TurnQuota>,
    /// Now.
    pub now: Timestamp,
}

/// What a turn takes from its sender's quotas.
#[derive(Debug, Clone)]
pub struct TurnQuota {
    /// The reservation, without the thread that the message continues.
    pub reservation: NewReservation,
    /// How much of that thread is put before the model, in tokens and in messages.
    pub context: (i64, i64),
}

/// Where a turn stands in its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// After the newest message of the active branch.
    Head,
    /// Beside that message of the person's, in its stead: what followed it stays on its own branch.
    Edit(MessageId),
    /// Another answer beside that one: there is no new message of the person's.
    Regenerate(MessageId),
}

/// What came of storing a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is stored; its answer is pending.
    Opened(Opened),
    /// The key has been used for this very message: here is its answer's id.
    Replayed(MessageId),
    /// The key has been used for another message.
    KeyReused,
    /// The sender has no such conversation, or the key was used in one that is gone.
    NoConversation,
    /// The sender has no such file.
    NoFile,
    /// The conversation has no such message.
    NoMessage,
    /// The message is not of the kind that can be edited or answered again.
    WrongRole,
    /// The message has [`SIBLINGS_MAX`] versions already.
    TooManySiblings,
    /// It would exceed a quota.
    OverQuota(OverQuota),
}

/// Versions that one message can have.
pub const SIBLINGS_MAX: i64 = 100;

/// The ids of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The turn.
    pub turn_id: TurnId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// The person's message.
    pub user_message_id: MessageId,
    /// The answer.
    pub answer_id: MessageId,
    /// Whether nothing was said before its answer but the message itself, which is new.
    pub is_first: bool,
    /// Whether nothing at all was said in its conversation before.
    pub is_new: bool,
    /// What it holds of its sender's quotas.
    pub reserved: Option<Reserved>,
}

/// How a turn ended.
#[derive(Debug, Clone)]
pub struct FinishTurn {
    /// The turn.
    pub turn_id: TurnId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// Its answer.
    pub answer_id: MessageId,
    /// A final state.
    pub state: TurnState,
    /// All that was said.
    pub content: String,
    /// Where its chunks end (see `app/chat/chunks.rs`).
    pub chunk_ends: Vec<u8>,
    /// Why it ends.
    pub finish_reason: FinishReason,
    /// A stable word for what went wrong.
    pub error_code: Option<String>,
    /// Milliseconds from the message to the end.
    pub elapsed_ms: i64,
    /// Milliseconds from the message to the first words.
    pub first_token_ms: Option<i64>,
    /// What is billed; `None` when the provider did no work.
    pub ledger: Option<LedgerEntry>,
    /// The bills of the parts before its last, where a provider broke off and another went on.
    pub parts: Vec<LedgerEntry>,
    /// What attempts cost that came to nothing before.
    pub retries: Vec<LedgerEntry>,
    /// What the turn holds of its quotas.
    pub reserved: Option<Reserved>,
    /// Now.
    pub now: Timestamp,
}

impl FinishTurn {
    /// The tokens of the whole answer.
    #[must_use]
    pub fn usage(&self) -> TokenUsage {
        self.bills().fold(TokenUsage::default(), |sum, entry| sum.plus(entry.usage))
    }

    fn bills(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.parts.iter().chain(&self.ledger)
    }
}

/// A stored turn with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRecord {
    /// The turn.
    pub turn_id: TurnId,
    /// The server that runs it, or ran it; `None` for an older one.
    pub server_id: Option<ServerId>,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// The person's message.
    pub user_message_id: MessageId,
    /// The answer.
    pub answer_id: MessageId,
    /// Where it stands.
    pub state: TurnState,
    /// All that was said.
    pub content: String,
    /// Where its chunks end.
    pub chunk_ends: Vec<u8>,
    /// The model that was asked for.
    pub requested_model: String,
    /// The model that answered.
    pub model: Option<String>,
    /// Tokens.
    pub usage: TokenUsage,
    /// Why it ends.
    pub finish_reason: Option<FinishReason>,
    /// What went wrong.
    pub error_code: Option<String>,
    /// What was called for it.
    pub tool_calls: Vec<StoredToolCall>,
    /// When the message was stored.
    pub started_at: Timestamp,
    /// When the answer was.
    pub ended_at: Option<Timestamp>,
}

/// A turn that a stopped server left open.
#[derive(Debug, Clone)]
pub struct OrphanTurn {
    /// The turn.
    pub turn_id: TurnId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// Its answer.
    pub answer_id: MessageId,
    /// What had been checkpointed.
    pub content: String,
    /// Where its chunks end.
    pub chunk_ends: Vec<u8>,
    /// The model that was asked for.
    pub requested_model: String,
    /// Tokens of the person's message.
    pub question_tokens: i64,
    /// When the message was stored.
    pub started_at: Timestamp,
    /// What it holds of its sender's quotas.
    pub reserved: Option<Reserved>,
}

impl Db {
    /// Stores a message, its pending answer, its turn and its key, together.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the new conversation's id is taken: draw another.
    pub async fn begin_turn(&self, new: NewTurn) -> Result<Begun, StoreError> {
        let server = self.server;
        self.write(move |tx| Box::pin(async move { begin_turn(tx, &new, server).await })).await
    }

    /// What a key was used for, without storing anything under it; `None` when it does not protect.
    ///
    /// # Errors
    /// What the database says.
    pub async fn replayed_turn(
        &self,
        owner: AccountId,
        key: IdempotencyKey,
        fingerprint: String,
        now: Timestamp,
    ) -> Result<Option<Begun>, StoreError> {
        self.write(move |tx| Box::pin(async move { replay(tx, owner, &key, &fingerprint, now.micros()).await })).await
    }

    /// Stores what has been said so far, so that a crash shows it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn checkpoint_turn(
        &self,
        turn_id: TurnId,
        answer_id: MessageId,
        content: String,
        chunk_ends: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let open = tx
                    .execute(
                        "UPDATE turns SET state = 'streaming', chunk_ends = ? WHERE id = ? AND state IN ('pending', 'streaming')",
                        params![chunk_ends.as_slice(), turn_id.get()],
                    )
                    .await?;
                if open > 0 {
                    set_answer(tx, answer_id, &content, now).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Stores the answer, closes the turn and writes the bill, together. False when the turn is no longer open or no longer there: the
    /// answer is not stored then; what was spent on a deleted turn is billed all the same.
    ///
    /// # Errors
    /// What the database says.
    pub async fn finish_turn(&self, end: FinishTurn) -> Result<bool, StoreError> {
        let outbox = self.outbox();
        self.write(move |tx| Box::pin(async move { finish_turn(tx, &end, outbox).await })).await
    }

    /// Stores the bill for a title, and the title, if one came and the conversation still has the one made from its first message.
    ///
    /// # Errors
    /// What the database says.
    pub async fn give_title(
        &self,
        ids: Opened,
        title: Option<String>,
        owner: AccountId,
        ledger: Vec<LedgerEntry>,
        reserved: Option<Reserved>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let occasion = Occasion { conversation: Some(ids.conversation_id), turn: Some(ids.turn_id) };
                bill(tx, occasion, ledger.iter(), reserved.as_ref()).await?;
                if let Some(title) = &title {
                    tx.execute(
                        "UPDATE conversations SET title = ?, title_source = 'model' WHERE id = ? AND account_id = ? \
                         AND title_source = 'message'",
                        params![title, ids.conversation_id.get(), owner.get()],
                    )
                    .await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// The turn of an answer that is the owner's.
    ///
    /// # Errors
    /// What the database says.
    pub async fn turn_of_owner(
        &self,
        answer_id: MessageId,
        owner: AccountId,
    ) -> Result<Option<TurnRecord>, StoreError> {
        self.read(move |tx| Box::pin(async move { turn_of_owner(tx, answer_id, owner).await })).await
    }

    /// Up to `limit` turns that are open in the database, the oldest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open_turns(&self, left_by: LeftBy, limit: i64) -> Result<Vec<OrphanTurn>, StoreError> {
        self.read(move |tx| Box::pin(async move { open_turns(tx, left_by, limit).await })).await
    }
}

fn id<T>(value: i64, make: impl FnOnce(i64) -> Result<T, crate::domain::Invalid>) -> Result<T, StoreError> {
    make(value).map_err(|_| StoreError::Corrupt { column: 0, expected: "an id" })
}

fn tokens(text: &str) -> i64 {
    count(estimate_tokens(text))
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
