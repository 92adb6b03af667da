//! What models called while they wrote answers.

use std::collections::HashMap;

use super::turns::set_answer;
use super::{Db, Row, StoreError, Tx, tx::params};
use crate::domain::{ConversationId, MessageId, Timestamp, TurnId};

/// A call and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToolCall {
    /// The calls of one round were made together.
    pub round: i64,
    /// The model's id for it.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, as the model wrote them.
    pub arguments: String,
    /// Whether the tool did what it was asked.
    pub is_ok: bool,
    /// What the model was told.
    pub content: String,
    /// The number of the event that told readers of the call.
    pub call_event: u64,
    /// The number of the event that told them of its result; `None` where it was stopped before.
    pub result_event: Option<u64>,
}

/// A round of calls, to be stored with what had been said before it.
#[derive(Debug, Clone)]
pub struct ToolRound {
    /// The turn.
    pub turn_id: TurnId,
    /// Its answer.
    pub answer_id: MessageId,
    /// What has been said so far.
    pub content: String,
    /// Where its chunks end.
    pub chunk_ends: Vec<u8>,
    /// The calls.
    pub calls: Vec<StoredToolCall>,
    /// Now.
    pub now: Timestamp,
}

impl Db {
    /// Stores a round of calls and the answer so far. False when the turn is no longer open.
    ///
    /// # Errors
    /// What the database says.
    pub async fn keep_tool_round(&self, round: ToolRound) -> Result<bool, StoreError> {
        self.write(move |tx| Box::pin(async move { keep(tx, &round).await })).await
    }

    /// The calls behind those of a conversation's answers whose ids lie in `from..=to`, by answer, in the order in which they were made.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tool_calls_between(
        &self,
        id: ConversationId,
        from: MessageId,
        to: MessageId,
    ) -> Result<HashMap<MessageId, Vec<StoredToolCall>>, StoreError> {
        self.read(move |tx| Box::pin(async move { calls_between(tx, id, from, to).await })).await
    }
}

async fn keep(tx: &mut Tx<'_>, round: &ToolRound) -> Result<bool, StoreError> {
    let open = tx
        .execute(
            "UPDATE turns SET state = 'streaming', chunk_ends = ? WHERE id = ? AND state IN ('pending', 'streaming')",
            params![round.chunk_ends.as_slice(), round.turn_id.get()],
        )
        .await?;
    if open == 0 {
        return Ok(false);
    }
    set_answer(tx, round.answer_id, &round.content, round.now).await?;
    for call in &round.calls {
        tx.insert(
            "INSERT INTO tool_calls (answer_message_id, round, call_id, name, arguments, is_ok, content, call_event, result_event, \
             created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                round.answer_id.get(),
                call.round,
                &call.call_id,
                &call.name,
                &call.arguments,
                i64::from(call.is_ok),
                &call.content,
                i64::try_from(call.call_event).unwrap_or(i64::MAX),
                call.result_event.map(|number| i64::try_from(number).unwrap_or(i64::MAX)),
                round.now.micros(),
            ],
        )
        .await?;
    }
    Ok(true)
}

/// The calls behind one answer, in the order in which they were made.
pub(super) async fn calls_of(tx: &mut Tx<'_>, answer: MessageId) -> Result<Vec<StoredToolCall>, StoreError> {
    let rows = tx
        .fetch(
            "SELECT answer_message_id, round, call_id, name, arguments, is_ok, content, call_event, result_event FROM tool_calls \
             WHERE answer_message_id = ? ORDER BY id",
            params![answer.get()],
            read,
        )
        .await?;
    Ok(rows.into_iter().map(|(_, call)| call).collect())
}

/// As [`Db::tool_calls_between`]. Who may read them is the caller's to check, in the same transaction.
pub(super) async fn calls_between(
    tx: &mut Tx<'_>,
    id: ConversationId,
    from: MessageId,
    to: MessageId,
) -> Result<HashMap<MessageId, Vec<StoredToolCall>>, StoreError> {
    let rows = tx
        .fetch(
            "SELECT c.answer_message_id, c.round, c.call_id, c.name, c.arguments, c.is_ok, c.content, c.call_event, c.result_event \
             FROM messages m JOIN tool_calls c ON c.answer_message_id = m.id \
             WHERE m.conversation_id = ? AND m.id >= ? AND m.id <= ? ORDER BY c.id",
            params![id.get(), from.get(), to.get()],
            read,
        )
        .await?;
    let mut calls: HashMap<MessageId, Vec<StoredToolCall>> = HashMap::new();
    for (answer, call) in rows {
        calls.entry(answer).or_default().push(call);
    }
    Ok(calls)
}

fn read(row: &Row<'_>) -> Result<(MessageId, StoredToolCall), StoreError> {
    let number = |number: i64| u64::try_from(number).ok();
    let call = StoredToolCall {
        round: row.get(1)?,
        call_id: row.get(2)?,
        name: row.get(3)?,
        arguments: row.get(4)?,
        is_ok: row.get::<i64>(5)? == 1,
        content: row.get(6)?,
        call_event: row.decode(7, "an event's number", number)?,
        result_event: row.get::<Option<i64>>(8)?.and_then(number),
    };
    Ok((row.decode(0, "an id", |id: i64| MessageId::new(id).ok())?, call))
}
