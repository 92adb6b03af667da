//! A conversation's branches: the thread that ends in a message, and what stands beside each message of it.

use std::collections::HashMap;

use super::conversations::conversation_of_owner;
use super::messages::{READ_TOKENS, attachments};
use super::tool_calls::{StoredToolCall, calls_between};
use super::{Db, StoreError, Tx, tx::params};
use crate::domain::{
    AccountId, Conversation, ConversationId, Feedback, FinishReason, Message, MessageId, Rating, Role, Timestamp,
    TokenUsage, TurnState,
};

/// A message in its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadMessage {
    /// The message; an answer that has not come, or never came, is empty.
    pub message: Message,
    /// What it follows.
    pub parent_id: Option<MessageId>,
    /// How an answer came to be.
    pub turn: Option<AnswerTurn>,
    /// What its owner says of it.
    pub feedback: Option<Feedback>,
    /// Of an answer: what the model called for it, in the order in which it did.
    pub tool_calls: Vec<StoredToolCall>,
    /// All versions of it in the order in which they were made, itself among them.
    pub siblings: Vec<MessageId>,
}

/// How an answer came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerTurn {
    /// Where it stands.
    pub state: TurnState,
    /// The model that answered; the one that was asked for when none did.
    pub model: String,
    /// Why it ends.
    pub finish_reason: Option<FinishReason>,
    /// What went wrong.
    pub error_code: Option<String>,
    /// Tokens.
    pub usage: TokenUsage,
}

/// What reading a thread finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thread {
    /// The newest messages first.
    Messages(Vec<ThreadMessage>),
    /// The owner has no such conversation.
    NoConversation,
    /// The conversation has no such message.
    NoMessage,
}

impl Db {
    /// The active branch of a conversation of that owner's, newest message first: at most `limit` messages, those before `before` when that
    /// is given, on its own branch then.
    ///
    /// # Errors
    /// What the database says.
    pub async fn thread_of_owner(
        &self,
        id: ConversationId,
        owner: AccountId,
        before: Option<MessageId>,
        limit: i64,
    ) -> Result<Thread, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let Some(conversation) = conversation_of_owner(tx, id, owner).await? else {
                    return Ok(Thread::NoConversation);
                };
                let last = match before {
                    None => conversation.head.map(MessageId::get),
                    Some(before) => match parent_in(tx, id, before).await? {
                        None => return Ok(Thread::NoMessage),
                        Some(parent) => parent,
                    },
                };
                let Some(last) = last else { return Ok(Thread::Messages(Vec::new())) };
                Ok(Thread::Messages(thread(tx, id, last, limit).await?))
            })
        })
        .await
    }

    /// A conversation of that owner's with `limit` of its messages, and whether there are more: with `whole_tree` the oldest of all branches, oldest first, else the newest
    /// of the active one, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversation_to_export(
        &self,
        id: ConversationId,
        owner: AccountId,
        whole_tree: bool,
        limit: i64,
    ) -> Result<Option<(Conversation, Vec<ThreadMessage>, bool)>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let Some(conversation) = conversation_of_owner(tx, id, owner).await? else { return Ok(None) };
                let (messages, has_more) = match conversation.head {
                    _ if whole_tree => tree(tx, id, None, limit).await?,
                    None => (Vec::new(), false),
                    Some(head) => {
                        let messages = thread(tx, id, head.get(), limit).await?;
                        let has_more = messages.last().is_some_and(|oldest| oldest.parent_id.is_some());
                        (messages, has_more)
                    }
                };
                Ok(Some((conversation, messages, has_more)))
            })
        })
        .await
    }

    /// Makes the branch through that message the active one, down to the newest message of the newest of its children. Gives that message;
    /// `Thread::NoMessage` and `Thread::NoConversation` as reading does.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_head_of_owner(
        &self,
        id: ConversationId,
        owner: AccountId,
        through: MessageId,
    ) -> Result<Result<MessageId, Thread>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if conversation_of_owner(tx, id, owner).await?.is_none() {
                    return Ok(Err(Thread::NoConversation));
                }
                if parent_in(tx, id, through).await?.is_none() {
                    return Ok(Err(Thread::NoMessage));
                }
                let leaf = newest_leaf(tx, id, through).await?;
                tx.execute("UPDATE conversations SET head_message_id = ? WHERE id = ?", params![leaf.get(), id.get()])
                    .await?;
                Ok(Ok(leaf))
            })
        })
        .await
    }
}

/// The parent of a message of that conversation; `None` when there is no such message.
#[allow(clippy::option_option, reason = "no message, and a message without a parent")]
pub(super) async fn parent_in(
    tx: &mut Tx<'_>,
    id: ConversationId,
    message: MessageId,
) -> Result<Option<Option<i64>>, StoreError> {
    tx.fetch_optional(
        "SELECT parent_id FROM messages WHERE id = ? AND conversation_id = ?",
        params![message.get(), id.get()],
        |row| row.get::<Option<i64>>(0),
    )
    .await
}

/// The thread that ends in `last`, newest first, as much of it as `limit` and `READ_TOKENS` let through. Who may read it is the caller's to check, in the same transaction.
pub(super) async fn thread(
    tx: &mut Tx<'_>,
    id: ConversationId,
    last: i64,
    limit: i64,
) -> Result<Vec<ThreadMessage>, StoreError> {
    let mut messages = tx
        .fetch(
            "WITH RECURSIVE thread (id, parent_id, used, depth) AS ( \
               SELECT id, parent_id, tokens, 1 FROM messages WHERE id = ? \
               UNION ALL \
               SELECT m.id, m.parent_id, t.used + m.tokens, t.depth + 1 FROM thread t JOIN messages m ON m.id = t.parent_id \
               WHERE t.depth < ? AND t.used + m.tokens <= ? \
             ) \
             SELECT m.id, m.parent_id, m.role, m.content, m.created_at, t.state, COALESCE(t.model, t.requested_model), t.finish_reason, \
             t.error_code, t.prompt_tokens, t.completion_tokens, f.rating, f.comment, f.updated_at, m.attachments \
             FROM thread JOIN messages m ON m.id = thread.id LEFT JOIN turns t ON t.answer_message_id = m.id \
             LEFT JOIN feedback f ON f.message_id = m.id ORDER BY thread.depth",
            params![last, limit, READ_TOKENS],
            |row| read_message(row, id),
        )
        .await?;
    add_siblings(tx, id, &mut messages).await?;
    add_tool_calls(tx, id, &mut messages).await?;
    Ok(messages)
}

/// The oldest messages of a conversation after `after`, whatever their branch, oldest first, as many as `limit` and `READ_TOKENS` let through; and whether
/// there are more. Who may read them is the caller's to check, in the same transaction.
pub(super) async fn tree(
    tx: &mut Tx<'_>,
    id: ConversationId,
    after: Option<MessageId>,
    limit: i64,
) -> Result<(Vec<ThreadMessage>, bool), StoreError> {
    let after = after.map_or(0, MessageId::get);
    // Their sizes first, without their texts.
    let sizes = tx
        .fetch(
            "SELECT id, tokens FROM messages WHERE conversation_id = ? AND id > ? ORDER BY id LIMIT ?",
            params![id.get(), after, limit.saturating_add(1)],
            |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)),
        )
        .await?;
    let mut room = READ_TOKENS;
    // One in any case: who reads on comes to an end.
    let fitting =
        sizes.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).enumerate().take_while(|(at, (_, tokens))| {
            room -= tokens;
            *at == 0 || room >= 0
        });
    let last = fitting.last().map_or(0, |(_, (last, _))| *last);
    let mut messages = tx
        .fetch(
            "SELECT m.id, m.parent_id, m.role, m.content, m.created_at, t.state, COALESCE(t.model, t.requested_model), t.finish_reason, \
             t.error_code, t.prompt_tokens, t.completion_tokens, f.rating, f.comment, f.updated_at, m.attachments \
             FROM messages m LEFT JOIN turns t ON t.answer_message_id = m.id \
             LEFT JOIN feedback f ON f.message_id = m.id WHERE m.conversation_id = ? AND m.id > ? AND m.id <= ? ORDER BY m.id",
            params![id.get(), after, last],
            |row| read_message(row, id),
        )
        .await?;
    add_siblings(tx, id, &mut messages).await?;
    add_tool_calls(tx, id, &mut messages).await?;
    Ok((messages, sizes.last().is_some_and(|(newest, _)| *newest > last)))
}

fn read_message(row: &super::Row<'_>, conversation_id: ConversationId) -> Result<ThreadMessage, StoreError> {
    let message_id = |id: i64| MessageId::new(id).ok();
    let id = row.decode(0, "an id", message_id)?;
    let turn = match row.get::<Option<String>>(5)? {
        None => None,
        Some(word) => Some(AnswerTurn {
            state: TurnState::from_word(&word).ok_or(StoreError::Corrupt { column: 5, expected: "a turn's state" })?,
            model: row.get(6)?,
            finish_reason: row.get::<Option<String>>(7)?.as_deref().and_then(FinishReason::from_word),
            error_code: row.get(8)?,
            usage: TokenUsage::new(
                row.decode(9, "a count", |n: i64| u64::try_from(n).ok())?,
                row.decode(10, "a count", |n: i64| u64::try_from(n).ok())?,
            ),
        }),
    };
    let feedback = match row.get::<Option<String>>(11)? {
        None => None,
        Some(word) => Some(Feedback {
            rating: Rating::from_word(&word).ok_or(StoreError::Corrupt { column: 11, expected: "a rating" })?,
            comment: row.get(12)?,
            updated_at: Timestamp::from_micros(row.get(13)?),
        }),
    };
    Ok(ThreadMessage {
        message: Message {
            id,
            conversation_id,
            role: row.decode(2, "a role", |word: String| Role::from_word(&word))?,
            content: row.get(3)?,
            attachments: attachments(row, 14)?,
            created_at: Timestamp::from_micros(row.get(4)?),
        },
        parent_id: row.get::<Option<i64>>(1)?.and_then(message_id),
        turn,
        feedback,
        tool_calls: Vec::new(),
        siblings: vec![id],
    })
}

/// Looks for siblings where there are any.
async fn add_siblings(tx: &mut Tx<'_>, id: ConversationId, messages: &mut [ThreadMessage]) -> Result<(), StoreError> {
    let branched = tx
        .fetch_optional("SELECT is_branched FROM conversations WHERE id = ?", params![id.get()], |row| {
            row.get::<i64>(0)
        })
        .await?;
    if branched != Some(1) {
        return Ok(());
    }
    let mut children: HashMap<i64, Vec<MessageId>> = HashMap::new();
    for (message, parent) in parents(tx, id, 0).await? {
        children.entry(parent).or_default().push(message);
    }
    for message in messages {
        if let Some(siblings) = children.get(&message.parent_id.map_or(0, MessageId::get)) {
            message.siblings.clone_from(siblings);
        }
    }
    Ok(())
}

/// Adds what was called for the answers among them.
async fn add_tool_calls(tx: &mut Tx<'_>, id: ConversationId, messages: &mut [ThreadMessage]) -> Result<(), StoreError> {
    let ids = || messages.iter().map(|message| message.message.id);
    let (Some(from), Some(to)) = (ids().min(), ids().max()) else { return Ok(()) };
    let mut calls = calls_between(tx, id, from, to).await?;
    for message in messages {
        message.tool_calls = calls.remove(&message.message.id).unwrap_or_default();
    }
    Ok(())
}

/// A parent is older than its children, so its newest child is known when the walk comes to it.
async fn newest_leaf(tx: &mut Tx<'_>, id: ConversationId, from: MessageId) -> Result<MessageId, StoreError> {
    let newest: HashMap<i64, MessageId> =
        parents(tx, id, from.get()).await?.into_iter().map(|(message, parent)| (parent, message)).collect();
    let mut leaf = from;
    while let Some(child) = newest.get(&leaf.get()).filter(|child| **child > leaf) {
        leaf = *child;
    }
    Ok(leaf)
}

/// The messages of a conversation after number `after`, oldest first, each with its parent, 0 for none.
async fn parents(tx: &mut Tx<'_>, id: ConversationId, after: i64) -> Result<Vec<(MessageId, i64)>, StoreError> {
    tx.fetch(
        "SELECT id, COALESCE(parent_id, 0) FROM messages WHERE conversation_id = ? AND id > ? ORDER BY id",
        params![id.get(), after],
        |row| Ok((row.decode(0, "an id", |id: i64| MessageId::new(id).ok())?, row.get(1)?)),
    )
    .await
}
