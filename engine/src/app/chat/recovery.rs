//! Recovery: at start-up nothing runs, so every turn that is open in the database was left by a server that stopped.

use futures_util::future::try_join_all;

use crate::app::metering::{Payer, Spent};
use crate::app::{App, AppError};
use crate::domain::{FinishReason, LedgerKind, TokenUsage, TurnState, estimate_tokens};
use crate::store::{FinishTurn, OrphanTurn};

/// Turns ended in one go.
const BATCH: i64 = 200;

impl App {
    /// Ends the turns that a stopped server left open: what had been checkpointed is kept and billed, what was reserved is settled. To be called before any message is
    /// taken. Returns how many there were.
    ///
    /// # Errors
    /// Only ours.
    pub async fn recover_turns(&self) -> Result<usize, AppError> {
        let mut recovered = 0;
        loop {
            let orphans = self.db.open_turns(BATCH).await?;
            if orphans.is_empty() {
                while self.db.release_reservations_without_turn(BATCH).await? > 0 {}
                return Ok(recovered);
            }
            let ended =
                try_join_all(orphans.into_iter().map(|orphan| self.db.finish_turn(self.interrupted(orphan)))).await?;
            recovered += ended.len();
            if !ended.contains(&true) {
                return Err(AppError::Internal("open turns could not be ended".to_owned()));
            }
        }
    }

    fn interrupted(&self, orphan: OrphanTurn) -> FinishTurn {
        let now = self.clock.now();
        let ledger = (!orphan.content.is_empty()).then(|| {
            let payer = Payer::settled(orphan.account_id, orphan.reserved.and_then(|reserved| reserved.api_key_id()));
            let question_tokens = u64::try_from(orphan.question_tokens).unwrap_or(0);
            let spent = Spent {
                provider: "unknown".to_owned(),
                model: orphan.requested_model,
                usage: TokenUsage::new(question_tokens, estimate_tokens(&orphan.content)),
                is_estimated: true,
                provider_cost: None,
            };
            self.entry(&payer, LedgerKind::Chat, spent, orphan.started_at)
        });
        FinishTurn {
            turn_id: orphan.turn_id,
            conversation_id: orphan.conversation_id,
            answer_id: orphan.answer_id,
            state: TurnState::Interrupted,
            content: orphan.content,
            chunk_ends: orphan.chunk_ends,
            finish_reason: FinishReason::Error,
            error_code: Some("interrupted".to_owned()),
            elapsed_ms: i64::try_from(now.since(orphan.started_at).as_millis()).unwrap_or(i64::MAX),
            first_token_ms: None,
            ledger,
            parts: Vec::new(),
            retries: Vec::new(),
            reserved: orphan.reserved,
            now,
        }
    }
}
