//! Recovery: ending what a server left open that stopped. On SQLite, which has one server, that is at its start whatever is open.

use std::collections::HashSet;

use futures_util::future::try_join_all;

use crate::app::metering::{Payer, Spent};
use crate::app::{App, AppError};
use crate::domain::{FinishReason, LedgerKind, TokenUsage, TurnId, TurnState, estimate_tokens};
use crate::store::{FinishTurn, LeftBy, OrphanTurn};

/// Turns ended in one go.
const BATCH: i64 = 200;
/// A server's own turns that are looked through in one go.
const OWN: i64 = 5000;

impl App {
    /// Ends the turns that a stopped server left open: what had been checkpointed is kept and billed, what was reserved is settled. For the one
    /// server of a database, before any message is taken. Returns how many there were.
    ///
    /// # Errors
    /// Only ours.
    pub async fn recover_turns(&self) -> Result<usize, AppError> {
        let ended = self.end_turns_of(LeftBy::Anybody).await?;
        if self.db.open_turns(LeftBy::Anybody, 1).await?.is_empty() {
            return Ok(ended);
        }
        Err(AppError::Internal("open turns could not be ended".to_owned()))
    }

    /// Ends what servers left open that run no more, and gives back what they had reserved. Another server may do so at the same time: each
    /// turn is ended, and billed, once. Returns how many turns this call ended.
    pub(in crate::app) async fn end_turns_of(&self, left_by: LeftBy) -> Result<usize, AppError> {
        let mut ended = 0;
        loop {
            let orphans = self.db.open_turns(left_by, BATCH).await?;
            let now_ended = self.end_all(orphans).await?;
            ended += now_ended;
            if now_ended == 0 {
                while self.db.release_reservations_without_turn(left_by, BATCH).await? > 0 {}
                return Ok(ended);
            }
        }
    }

    /// Ends those of this server's own turns.
    pub(in crate::app) async fn end_strays(&self, strays: &HashSet<TurnId>) -> Result<usize, AppError> {
        let mut orphans = self.db.open_turns(LeftBy::Server(Some(self.db.server())), OWN).await?;
        orphans.retain(|orphan| strays.contains(&orphan.turn_id));
        self.end_all(orphans).await
    }

    async fn end_all(&self, orphans: Vec<OrphanTurn>) -> Result<usize, AppError> {
        let ended =
            try_join_all(orphans.into_iter().map(|orphan| self.db.finish_turn(self.interrupted(orphan)))).await?;
        Ok(ended.into_iter().filter(|ended| *ended).count())
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
