//! Turns: the row that a message is before it is anything else, and the row that its answer becomes.

use super::{Db, StoreError, Tx, tx::params};
use crate::domain::{
    AccountId, Attachments, ConversationId, FinishReason, IdempotencyKey, MessageId, Timestamp, TokenUsage, TurnId,
    TurnState, estimate_tokens, preview_of, title_of,
};

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
    /// Now.
    pub now: Timestamp,
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
    /// The conversation has no such message.
    NoMessage,
    /// The message is not of the kind that can be edited or answered again.
    WrongRole,
    /// The message has [`SIBLINGS_MAX`] versions already.
    TooManySiblings,
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
    /// Whether the finished turn is also told to the outbox, under this topic.
    pub outbox_topic: Option<&'static str>,
    /// Now.
    pub now: Timestamp,
}

/// One metered call.
#[derive(Debug, Clone)]
pub struct LedgerEntry {
    /// Who pays.
    pub account_id: AccountId,
    /// Who did the work.
    pub provider: String,
    /// The model that did it.
    pub model: String,
    /// What it cost in tokens.
    pub usage: TokenUsage,
    /// Whether the tokens were counted here because the provider reported none.
    pub is_estimated: bool,
}

/// A stored turn with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRecord {
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
}

impl Db {
    /// Stores a message, its pending answer, its turn and its key, together.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the new conversation's id is taken: draw another.
    pub async fn begin_turn(&self, new: NewTurn) -> Result<Begun, StoreError> {
        self.write(move |tx| Box::pin(async move { begin_turn(tx, &new).await })).await
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
        self.write(move |tx| Box::pin(async move { finish_turn(tx, &end).await })).await
    }

    /// Stores the bill for a title, and the title, if one came and the conversation still has the one made from its first message.
    ///
    /// # Errors
    /// What the database says.
    pub async fn give_title(
        &self,
        ids: Opened,
        title: Option<String>,
        ledger: LedgerEntry,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                insert_ledger_entry(tx, "title", ids.conversation_id, ids.turn_id, &ledger, now).await?;
                if let Some(title) = &title {
                    tx.execute(
                        "UPDATE conversations SET title = ?, title_source = 'model' WHERE id = ? AND account_id = ? \
                         AND title_source = 'message'",
                        params![title, ids.conversation_id.get(), ledger.account_id.get()],
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

    /// Up to `limit` turns that are open in the database.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open_turns(&self, limit: i64) -> Result<Vec<OrphanTurn>, StoreError> {
        self.read(move |tx| Box::pin(async move { open_turns(tx, limit).await })).await
    }
}

async fn begin_turn(tx: &mut Tx<'_>, new: &NewTurn) -> Result<Begun, StoreError> {
    let now = new.now.micros();
    if let Some((key, fingerprint)) = &new.idempotency
        && let Some(known) = replay(tx, new.account_id, key, fingerprint, now).await?
    {
        return Ok(known);
    }
    let (conversation_id, head) = match new.conversation_id {
        Some(id) => {
            let head = tx
                .fetch_optional(
                    "SELECT head_message_id FROM conversations WHERE id = ? AND account_id = ?",
                    params![id.get(), new.account_id.get()],
                    |row| row.get::<Option<i64>>(0),
                )
                .await?;
            match head {
                Some(head) => (id, head),
                None => return Ok(Begun::NoConversation),
            }
        }
        None => {
            tx.execute(
                "INSERT INTO conversations (id, account_id, title, last_message, message_count, created_at, updated_at) \
                 VALUES (?, ?, ?, ?, 1, ?, ?)",
                params![
                    new.new_conversation_id.get(),
                    new.account_id.get(),
                    &title_of(&new.text),
                    preview_of(&new.text),
                    now,
                    now
                ],
            )
            .await?;
            (new.new_conversation_id, None)
        }
    };
    let parent = match parent_of(tx, conversation_id, head, new.branch).await? {
        Ok(parent) => parent,
        Err(refused) => return Ok(refused),
    };
    let user_message_id = match (new.branch, parent) {
        (Branch::Regenerate(_), Some(asked)) => id(asked, MessageId::new)?,
        _ => insert_question(tx, conversation_id, parent, new).await?,
    };
    let answer_id = insert_answer(tx, conversation_id, user_message_id, now).await?;
    let turn_id = tx
        .insert(
            "INSERT INTO turns (account_id, conversation_id, user_message_id, answer_message_id, state, requested_model, started_at) \
             VALUES (?, ?, ?, ?, 'pending', ?, ?)",
            params![
                new.account_id.get(),
                conversation_id.get(),
                user_message_id.get(),
                answer_id.get(),
                &new.model,
                now
            ],
        )
        .await?;
    if let Some((key, fingerprint)) = &new.idempotency {
        tx.execute(
            "INSERT INTO idempotency_keys (account_id, idempotency_key, fingerprint, turn_id, expires_at) VALUES (?, ?, ?, ?, ?)",
            params![new.account_id.get(), key.as_str(), fingerprint, turn_id, new.key_expires_at.micros()],
        )
        .await?;
    }
    let branched = i64::from(new.branch != Branch::Head);
    if new.conversation_id.is_some() && !matches!(new.branch, Branch::Regenerate(_)) {
        tx.execute(
            "UPDATE conversations SET head_message_id = ?, title = COALESCE(title, ?), last_message = ?, \
             message_count = message_count + 1, updated_at = ?, is_branched = CASE WHEN ? = 1 THEN 1 ELSE is_branched END WHERE id = ?",
            params![
                answer_id.get(),
                &title_of(&new.text),
                preview_of(&new.text),
                now,
                branched,
                conversation_id.get()
            ],
        )
        .await?;
    } else {
        tx.execute(
            "UPDATE conversations SET head_message_id = ?, updated_at = ?, is_branched = ? WHERE id = ?",
            params![answer_id.get(), now, branched, conversation_id.get()],
        )
        .await?;
    }
    Ok(Begun::Opened(Opened {
        turn_id: id(turn_id, TurnId::new)?,
        conversation_id,
        user_message_id,
        answer_id,
        is_first: parent.is_none(),
        is_new: head.is_none(),
    }))
}

/// What the turn's message follows; for an answer beside another, the message that both answer. Or why there is no such place.
async fn parent_of(
    tx: &mut Tx<'_>,
    conversation_id: ConversationId,
    head: Option<i64>,
    branch: Branch,
) -> Result<Result<Option<i64>, Begun>, StoreError> {
    let (sibling, role) = match branch {
        Branch::Head => return Ok(Ok(head)),
        Branch::Edit(sibling) => (sibling, "user"),
        Branch::Regenerate(sibling) => (sibling, "assistant"),
    };
    let found = tx
        .fetch_optional(
            "SELECT parent_id, role FROM messages WHERE id = ? AND conversation_id = ?",
            params![sibling.get(), conversation_id.get()],
            |row| Ok((row.get::<Option<i64>>(0)?, row.get::<String>(1)?)),
        )
        .await?;
    let parent = match found {
        None => return Ok(Err(Begun::NoMessage)),
        Some((_, found)) if found != role => return Ok(Err(Begun::WrongRole)),
        Some((parent, _)) => parent,
    };
    let siblings = tx
        .fetch_optional(
            "SELECT COUNT(*) FROM messages WHERE conversation_id = ? AND COALESCE(parent_id, 0) = ?",
            params![conversation_id.get(), parent.unwrap_or(0)],
            |row| row.get::<i64>(0),
        )
        .await?;
    if siblings.unwrap_or(0) >= SIBLINGS_MAX {
        return Ok(Err(Begun::TooManySiblings));
    }
    Ok(Ok(parent))
}

/// What the key was used for, if it was and still protects.
async fn replay(
    tx: &mut Tx<'_>,
    account_id: AccountId,
    key: &IdempotencyKey,
    fingerprint: &str,
    now: i64,
) -> Result<Option<Begun>, StoreError> {
    let known = tx
        .fetch_optional(
            "SELECT k.fingerprint, k.expires_at, t.answer_message_id FROM idempotency_keys k LEFT JOIN turns t ON t.id = k.turn_id \
             WHERE k.account_id = ? AND k.idempotency_key = ?",
            params![account_id.get(), key.as_str()],
            |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?, row.get::<Option<i64>>(2)?)),
        )
        .await?;
    match known {
        None => Ok(None),
        Some((_, expires_at, _)) if expires_at <= now => {
            tx.execute(
                "DELETE FROM idempotency_keys WHERE account_id = ? AND idempotency_key = ?",
                params![account_id.get(), key.as_str()],
            )
            .await?;
            Ok(None)
        }
        Some((recorded, _, answer_id)) if recorded == fingerprint => Ok(Some(match answer_id {
            Some(answer_id) => Begun::Replayed(id(answer_id, MessageId::new)?),
            None => Begun::NoConversation,
        })),
        Some(_) => Ok(Some(Begun::KeyReused)),
    }
}

async fn insert_question(
    tx: &mut Tx<'_>,
    conversation_id: ConversationId,
    parent: Option<i64>,
    new: &NewTurn,
) -> Result<MessageId, StoreError> {
    let now = new.now.micros();
    let attachments = match new.attachments.as_slice() {
        [] => None,
        urls => Some(
            serde_json::to_string(urls)
                .map_err(|_| StoreError::Corrupt { column: 0, expected: "a list of attachments" })?,
        ),
    };
    let message_id = tx
        .insert(
            "INSERT INTO messages (conversation_id, parent_id, role, content, attachments, client_id, tokens, created_at, updated_at) \
             VALUES (?, ?, 'user', ?, ?, ?, ?, ?, ?)",
            params![
                conversation_id.get(),
                parent,
                &new.text,
                attachments.as_ref(),
                new.client_id.as_ref(),
                tokens(&new.attachments.beneath(&new.text)),
                now,
                now
            ],
        )
        .await?;
    id(message_id, MessageId::new)
}

async fn insert_answer(
    tx: &mut Tx<'_>,
    conversation_id: ConversationId,
    question: MessageId,
    now: i64,
) -> Result<MessageId, StoreError> {
    let message_id = tx
        .insert(
            "INSERT INTO messages (conversation_id, parent_id, role, content, tokens, created_at, updated_at) \
             VALUES (?, ?, 'assistant', '', 0, ?, ?)",
            params![conversation_id.get(), question.get(), now, now],
        )
        .await?;
    id(message_id, MessageId::new)
}

async fn set_answer(tx: &mut Tx<'_>, answer_id: MessageId, content: &str, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE messages SET content = ?, tokens = ?, updated_at = ? WHERE id = ?",
        params![content, tokens(content), now.micros(), answer_id.get()],
    )
    .await?;
    Ok(())
}

async fn finish_turn(tx: &mut Tx<'_>, end: &FinishTurn) -> Result<bool, StoreError> {
    let now = end.now.micros();
    let usage = end.ledger.as_ref().map(|entry| entry.usage).unwrap_or_default();
    let closed = tx
        .execute(
            "UPDATE turns SET state = ?, provider = ?, model = ?, prompt_tokens = ?, completion_tokens = ?, tokens_estimated = ?, \
             finish_reason = ?, error_code = ?, chunk_ends = ?, elapsed_ms = ?, first_token_ms = ?, ended_at = ? \
             WHERE id = ? AND state IN ('pending', 'streaming')",
            params![
                end.state.as_str(),
                end.ledger.as_ref().map(|entry| &entry.provider),
                end.ledger.as_ref().map(|entry| &entry.model),
                count(usage.prompt_tokens),
                count(usage.completion_tokens),
                i64::from(end.ledger.as_ref().is_some_and(|entry| entry.is_estimated)),
                end.finish_reason.as_str(),
                end.error_code.as_ref(),
                end.chunk_ends.as_slice(),
                end.elapsed_ms,
                end.first_token_ms,
                now,
                end.turn_id.get(),
            ],
        )
        .await?
        > 0;
    if !closed && turn_exists(tx, end.turn_id).await? {
        return Ok(false);
    }
    if let Some(entry) = &end.ledger {
        insert_ledger_entry(tx, "chat", end.conversation_id, end.turn_id, entry, end.now).await?;
    }
    if !closed {
        return Ok(false);
    }
    if !end.content.is_empty() {
        set_answer(tx, end.answer_id, &end.content, end.now).await?;
        tx.execute(
            "UPDATE conversations SET last_message = CASE WHEN head_message_id = ? THEN ? ELSE last_message END, \
             message_count = message_count + 1, updated_at = ? WHERE id = ?",
            params![end.answer_id.get(), preview_of(&end.content), now, end.conversation_id.get()],
        )
        .await?;
    }
    if let Some(topic) = end.outbox_topic {
        // Ids only: the consumer reads the turn itself, so that text is stored, and erased, in one place.
        let payload = format!("{{\"turn_id\":{},\"message_id\":{}}}", end.turn_id, end.answer_id);
        tx.insert(
            "INSERT INTO outbox (topic, payload, created_at, not_before) VALUES (?, ?, ?, ?)",
            params![topic, &payload, now, now],
        )
        .await?;
    }
    Ok(true)
}

async fn turn_exists(tx: &mut Tx<'_>, turn_id: TurnId) -> Result<bool, StoreError> {
    let found =
        tx.fetch_optional("SELECT id FROM turns WHERE id = ?", params![turn_id.get()], |row| row.get::<i64>(0)).await?;
    Ok(found.is_some())
}

async fn insert_ledger_entry(
    tx: &mut Tx<'_>,
    kind: &'static str,
    conversation_id: ConversationId,
    turn_id: TurnId,
    entry: &LedgerEntry,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.insert(
        "INSERT INTO usage_ledger (account_id, conversation_id, turn_id, kind, provider, model, prompt_tokens, completion_tokens, \
         is_estimated, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            entry.account_id.get(),
            conversation_id.get(),
            turn_id.get(),
            kind,
            &entry.provider,
            &entry.model,
            count(entry.usage.prompt_tokens),
            count(entry.usage.completion_tokens),
            i64::from(entry.is_estimated),
            now.micros(),
        ],
    )
    .await?;
    Ok(())
}

async fn turn_of_owner(
    tx: &mut Tx<'_>,
    answer_id: MessageId,
    owner: AccountId,
) -> Result<Option<TurnRecord>, StoreError> {
    tx.fetch_optional(
        "SELECT t.conversation_id, t.user_message_id, t.state, m.content, t.chunk_ends, t.requested_model, t.model, t.prompt_tokens, \
         t.completion_tokens, t.finish_reason, t.error_code, t.started_at, t.ended_at \
         FROM turns t JOIN messages m ON m.id = t.answer_message_id WHERE t.answer_message_id = ? AND t.account_id = ?",
        params![answer_id.get(), owner.get()],
        |row| {
            Ok(TurnRecord {
                conversation_id: row.decode(0, "an id", |id: i64| ConversationId::new(id).ok())?,
                user_message_id: row.decode(1, "an id", |id: i64| MessageId::new(id).ok())?,
                answer_id,
                state: row.decode(2, "a turn's state", |word: String| TurnState::from_word(&word))?,
                content: row.get(3)?,
                chunk_ends: row.get::<Option<Vec<u8>>>(4)?.unwrap_or_default(),
                requested_model: row.get(5)?,
                model: row.get(6)?,
                usage: TokenUsage {
                    prompt_tokens: row.decode(7, "a count", |n: i64| u64::try_from(n).ok())?,
                    completion_tokens: row.decode(8, "a count", |n: i64| u64::try_from(n).ok())?,
                },
                finish_reason: row.get::<Option<String>>(9)?.as_deref().and_then(FinishReason::from_word),
                error_code: row.get(10)?,
                started_at: Timestamp::from_micros(row.get(11)?),
                ended_at: row.get::<Option<i64>>(12)?.map(Timestamp::from_micros),
            })
        },
    )
    .await
}

async fn open_turns(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<OrphanTurn>, StoreError> {
    tx.fetch(
        "SELECT t.id, t.account_id, t.conversation_id, t.answer_message_id, a.content, t.chunk_ends, t.requested_model, u.tokens, t.started_at \
         FROM turns t JOIN messages a ON a.id = t.answer_message_id JOIN messages u ON u.id = t.user_message_id \
         WHERE t.state IN ('pending', 'streaming') ORDER BY t.id LIMIT ?",
        params![limit],
        |row| {
            Ok(OrphanTurn {
                turn_id: row.decode(0, "an id", |id: i64| TurnId::new(id).ok())?,
                account_id: row.decode(1, "an id", |id: i64| AccountId::new(id).ok())?,
                conversation_id: row.decode(2, "an id", |id: i64| ConversationId::new(id).ok())?,
                answer_id: row.decode(3, "an id", |id: i64| MessageId::new(id).ok())?,
                content: row.get(4)?,
                chunk_ends: row.get::<Option<Vec<u8>>>(5)?.unwrap_or_default(),
                requested_model: row.get(6)?,
                question_tokens: row.get(7)?,
                started_at: Timestamp::from_micros(row.get(8)?),
            })
        },
    )
    .await
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
