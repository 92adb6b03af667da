//! Finishing: the answer, the turn's end and the bill, in one transaction.

use super::{FinishTurn, count, tokens};
use crate::domain::{MessageId, Timestamp, TurnId, preview_of};
use crate::store::outbox::{Happened, Outbox};
use crate::store::usage::{Occasion, bill};
use crate::store::{StoreError, Tx, tx::params};

pub(in crate::store) async fn set_answer(
    tx: &mut Tx<'_>,
    answer_id: MessageId,
    content: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE messages SET content = ?, tokens = ?, updated_at = ? WHERE id = ?",
        params![content, tokens(content), now.micros(), answer_id.get()],
    )
    .await?;
    Ok(())
}

pub(super) async fn finish_turn(tx: &mut Tx<'_>, end: &FinishTurn, outbox: Outbox) -> Result<bool, StoreError> {
    let now = end.now.micros();
    let usage = end.usage();
    // Of a sum that lacks a part nothing is known.
    let cost: Option<u64> = end.bills().map(|entry| entry.cost_micros).sum();
    let cost = cost.filter(|_| end.bills().next().is_some());
    let closed = tx
        .execute(
            "UPDATE turns SET state = ?, provider = ?, model = ?, prompt_tokens = ?, completion_tokens = ?, tokens_estimated = ?, \
             cost_micros = ?, finish_reason = ?, error_code = ?, chunk_ends = ?, elapsed_ms = ?, first_token_ms = ?, ended_at = ? \
             WHERE id = ? AND state IN ('pending', 'streaming')",
            params![
                end.state.as_str(),
                end.ledger.as_ref().map(|entry| &entry.provider),
                end.ledger.as_ref().map(|entry| &entry.model),
                count(usage.prompt_tokens),
                count(usage.completion_tokens),
                i64::from(end.bills().any(|entry| entry.is_estimated)),
                cost.map(count),
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
    let occasion = Occasion { conversation: Some(end.conversation_id), turn: Some(end.turn_id) };
    bill(tx, occasion, end.retries.iter().chain(end.bills()), end.reserved.as_ref()).await?;
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
    outbox.tell(tx, &Happened::TurnFinished { turn_id: end.turn_id.get() }, end.now).await?;
    Ok(true)
}

async fn turn_exists(tx: &mut Tx<'_>, turn_id: TurnId) -> Result<bool, StoreError> {
    let found =
        tx.fetch_optional("SELECT id FROM turns WHERE id = ?", params![turn_id.get()], |row| row.get::<i64>(0)).await?;
    Ok(found.is_some())
}
