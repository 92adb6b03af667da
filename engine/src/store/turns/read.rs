//! Reading: a turn with its answer, and the turns that are open.

use super::{OrphanTurn, TurnRecord};
use crate::domain::{
    AccountId, ConversationId, FinishReason, MessageId, ServerId, Timestamp, TokenUsage, TurnId, TurnState,
};
use crate::store::quotas::read_reserved;
use crate::store::tool_calls::calls_of;
use crate::store::{LeftBy, StoreError, Tx, tx::params};

pub(super) async fn turn_of_owner(
    tx: &mut Tx<'_>,
    answer_id: MessageId,
    owner: AccountId,
) -> Result<Option<TurnRecord>, StoreError> {
    let found = tx.fetch_optional(
        "SELECT t.conversation_id, t.user_message_id, t.state, m.content, t.chunk_ends, t.requested_model, t.model, t.prompt_tokens, \
         t.completion_tokens, t.finish_reason, t.error_code, t.started_at, t.ended_at, t.id, t.server_id \
         FROM turns t JOIN messages m ON m.id = t.answer_message_id WHERE t.answer_message_id = ? AND t.account_id = ?",
        params![answer_id.get(), owner.get()],
        |row| {
            Ok(TurnRecord {
                turn_id: row.decode(13, "an id", |id: i64| TurnId::new(id).ok())?,
                server_id: row.get::<Option<i64>>(14)?.and_then(|id| ServerId::new(id).ok()),
                conversation_id: row.decode(0, "an id", |id: i64| ConversationId::new(id).ok())?,
                user_message_id: row.decode(1, "an id", |id: i64| MessageId::new(id).ok())?,
                answer_id,
                state: row.decode(2, "a turn's state", |word: String| TurnState::from_word(&word))?,
                content: row.get(3)?,
                chunk_ends: row.get::<Option<Vec<u8>>>(4)?.unwrap_or_default(),
                requested_model: row.get(5)?,
                model: row.get(6)?,
                usage: TokenUsage::new(row.decode(7, "a count", |n: i64| u64::try_from(n).ok())?, row.decode(8, "a count", |n: i64| u64::try_from(n).ok())?),
                finish_reason: row.get::<Option<String>>(9)?.as_deref().and_then(FinishReason::from_word),
                error_code: row.get(10)?,
                tool_calls: Vec::new(),
                started_at: Timestamp::from_micros(row.get(11)?),
                ended_at: row.get::<Option<i64>>(12)?.map(Timestamp::from_micros),
            })
        },
    )
    .await?;
    let Some(mut record) = found else { return Ok(None) };
    record.tool_calls = calls_of(tx, answer_id).await?;
    Ok(Some(record))
}

pub(super) async fn open_turns(tx: &mut Tx<'_>, left_by: LeftBy, limit: i64) -> Result<Vec<OrphanTurn>, StoreError> {
    tx.fetch(
        "SELECT t.id, t.account_id, t.conversation_id, t.answer_message_id, a.content, t.chunk_ends, t.requested_model, u.tokens, t.started_at, \
         q.id, q.account_id, q.api_key_id, q.account_periods, q.key_periods, q.tokens, q.micros, q.created_at \
         FROM turns t JOIN messages a ON a.id = t.answer_message_id JOIN messages u ON u.id = t.user_message_id \
         LEFT JOIN quota_reservations q ON q.turn_id = t.id \
         WHERE t.state IN ('pending', 'streaming') AND (? = -1 OR COALESCE(t.server_id, 0) = ?) ORDER BY t.id LIMIT ?",
        params![left_by.param(), left_by.param(), limit],
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
                reserved: match row.get::<Option<i64>>(9)? {
                    Some(_) => Some(read_reserved(row, 9)?),
                    None => None,
                },
            })
        },
    )
    .await
}
