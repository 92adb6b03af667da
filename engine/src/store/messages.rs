//! Messages.

use super::{Db, Row, StoreError, Tx, tx::params};
use crate::domain::{AccountId, Attachments, ConversationId, Message, MessageId, Role, Timestamp, TurnState};

/// A message and, for an answer, where its turn stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// The message.
    pub message: Message,
    /// The state of the turn that it answers.
    pub turn_state: Option<TurnState>,
}

/// A message as a provider gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextMessage {
    /// Its id.
    pub id: MessageId,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// What goes with it.
    pub attachments: Attachments,
}

/// What one reading of a conversation holds at most, in estimated tokens: 16 MiB of text.
pub(super) const READ_TOKENS: i64 = 4 * 1024 * 1024;

impl Db {
    /// The thread that ends in `last`, oldest first: as many of its newest messages as fit in `budget` tokens and `most` messages; `last`
    /// always. Answers that never came are left out. The work depends on the budget, not on the conversation's length.
    ///
    /// # Errors
    /// What the database says.
    pub async fn context_of(&self, last: MessageId, budget: i64, most: i64) -> Result<Vec<ContextMessage>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                tx.fetch(
                    "WITH RECURSIVE thread (id, parent_id, role, content, attachments, used, depth) AS ( \
                       SELECT id, parent_id, role, content, attachments, tokens, 1 FROM messages WHERE id = ? \
                       UNION ALL \
                       SELECT m.id, m.parent_id, m.role, m.content, m.attachments, t.used + m.tokens, t.depth + 1 \
                       FROM thread t JOIN messages m ON m.id = t.parent_id \
                       WHERE t.used + m.tokens <= ? AND t.depth < ? \
                     ) \
                     SELECT thread.role, thread.content, thread.attachments, thread.id FROM thread \
                     LEFT JOIN turns ON turns.answer_message_id = thread.id \
                     WHERE thread.content <> '' AND (turns.state IS NULL OR turns.state <> 'failed') \
                     ORDER BY thread.depth DESC",
                    params![last.get(), budget, most],
                    |row| {
                        Ok(ContextMessage {
                            id: row.decode(3, "an id", |id: i64| MessageId::new(id).ok())?,
                            role: row.decode(0, "a role", |word: String| Role::from_word(&word))?,
                            content: row.get(1)?,
                            attachments: attachments(row, 2)?,
                        })
                    },
                )
                .await
            })
        })
        .await
    }

    /// The message that an answer answers, when both are the owner's.
    ///
    /// # Errors
    /// What the database says.
    pub async fn question_of_owner(
        &self,
        answer_id: MessageId,
        owner: AccountId,
    ) -> Result<Option<Message>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                tx.fetch_optional(
                    "SELECT u.id, u.conversation_id, u.role, u.content, u.attachments, u.created_at FROM turns t \
                     JOIN messages u ON u.id = t.user_message_id WHERE t.answer_message_id = ? AND t.account_id = ?",
                    params![answer_id.get(), owner.get()],
                    |row| {
                        Ok(Message {
                            id: row.decode(0, "an id", |id: i64| MessageId::new(id).ok())?,
                            conversation_id: row.decode(1, "an id", |id: i64| ConversationId::new(id).ok())?,
                            role: row.decode(2, "a role", |word: String| Role::from_word(&word))?,
                            content: row.get(3)?,
                            attachments: attachments(row, 4)?,
                            created_at: Timestamp::from_micros(row.get(5)?),
                        })
                    },
                )
                .await
            })
        })
        .await
    }
}

/// How many tokens of the thread that ends in `last` fit in `budget` and `most` messages, `last` always among them.
pub(super) async fn context_tokens(tx: &mut Tx<'_>, last: i64, budget: i64, most: i64) -> Result<i64, StoreError> {
    let used = tx
        .fetch_optional(
            "WITH RECURSIVE thread (parent_id, used, depth) AS ( \
               SELECT parent_id, tokens, 1 FROM messages WHERE id = ? \
               UNION ALL \
               SELECT m.parent_id, t.used + m.tokens, t.depth + 1 FROM thread t JOIN messages m ON m.id = t.parent_id \
               WHERE t.used + m.tokens <= ? AND t.depth < ? \
             ) \
             SELECT MAX(used) FROM thread",
            params![last, budget, most],
            |row| row.get::<Option<i64>>(0),
        )
        .await?;
    Ok(used.flatten().unwrap_or(0))
}

/// The newest messages of a conversation's active branch that say something, oldest first: `limit` of them at most, and no more than fill
/// `READ_TOKENS`. Who may read them is the caller's to check, in the same transaction.
pub(super) async fn messages_of_conversation(
    tx: &mut Tx<'_>,
    id: ConversationId,
    limit: i64,
) -> Result<Vec<MessageRow>, StoreError> {
    let branched = tx
        .fetch_optional("SELECT is_branched FROM conversations WHERE id = ?", params![id.get()], |row| {
            row.get::<i64>(0)
        })
        .await?;
    let (sizes, texts) = if branched == Some(1) {
        (
            "WITH RECURSIVE thread (id, parent_id, tokens, depth) AS ( \
               SELECT m.id, m.parent_id, m.tokens, 1 FROM conversations c JOIN messages m ON m.id = c.head_message_id WHERE c.id = ? \
               UNION ALL \
               SELECT m.id, m.parent_id, m.tokens, t.depth + 1 FROM thread t JOIN messages m ON m.id = t.parent_id WHERE t.depth < ? \
             ) \
             SELECT id, tokens FROM thread ORDER BY depth",
            "WITH RECURSIVE thread (id, parent_id) AS ( \
               SELECT m.id, m.parent_id FROM conversations c JOIN messages m ON m.id = c.head_message_id WHERE c.id = ? \
               UNION ALL \
               SELECT m.id, m.parent_id FROM thread t JOIN messages m ON m.id = t.parent_id WHERE m.id >= ? \
             ) \
             SELECT m.id, m.role, m.content, m.created_at, t.state, m.attachments FROM thread JOIN messages m ON m.id = thread.id \
             LEFT JOIN turns t ON t.answer_message_id = m.id WHERE m.content <> '' ORDER BY m.id LIMIT ?",
        )
    } else {
        (
            "SELECT id, tokens FROM messages WHERE conversation_id = ? ORDER BY id DESC LIMIT ?",
            "SELECT m.id, m.role, m.content, m.created_at, t.state, m.attachments FROM messages m \
             LEFT JOIN turns t ON t.answer_message_id = m.id \
             WHERE m.conversation_id = ? AND m.id >= ? AND m.content <> '' ORDER BY m.id LIMIT ?",
        )
    };
    // Their sizes first, without their texts.
    let sizes = tx.fetch(sizes, params![id.get(), limit], |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?))).await?;
    let mut room = READ_TOKENS;
    let fitting = sizes.into_iter().take_while(|(_, tokens)| {
        room -= tokens;
        room >= 0
    });
    let Some((first, _)) = fitting.last() else { return Ok(Vec::new()) };
    tx.fetch(texts, params![id.get(), first, limit], |row| {
        Ok(MessageRow {
            message: Message {
                id: row.decode(0, "an id", |id: i64| MessageId::new(id).ok())?,
                conversation_id: id,
                role: row.decode(1, "a role", |word: String| Role::from_word(&word))?,
                content: row.get(2)?,
                attachments: attachments(row, 5)?,
                created_at: Timestamp::from_micros(row.get(3)?),
            },
            turn_state: match row.get::<Option<String>>(4)? {
                Some(word) => Some(
                    TurnState::from_word(&word).ok_or(StoreError::Corrupt { column: 4, expected: "a turn's state" })?,
                ),
                None => None,
            },
        })
    })
    .await
}

pub(super) fn attachments(row: &Row<'_>, column: usize) -> Result<Attachments, StoreError> {
    match row.get::<Option<String>>(column)? {
        Some(text) => serde_json::from_str(&text)
            .map(Attachments::stored)
            .map_err(|_| StoreError::Corrupt { column, expected: "a list of attachments" }),
        None => Ok(Attachments::default()),
    }
}
