//! Moderation: what is kept from providers and people, and the list of it that admins review.

use super::metering::Payer;
use super::{App, AppError, Caller, Noun, Spent};
use crate::config::OutagePolicy;
use crate::domain::{
    AccountId, AccountRole, ConversationId, IdempotencyKey, Invalid, LedgerKind, MessageId, ModerationState,
    ModerationSubject, Timestamp, TokenUsage,
};
use crate::moderation::{Flag, Metered};
use crate::store::{ListModerationEvents, ModerationEvent, NewModerationEvent, StoreError};

/// The most events that one page lists.
const PAGE_MAX: u32 = 100;

/// Which events to list.
#[derive(Debug, Clone, Copy)]
pub struct ModerationFilter {
    /// In this state alone.
    pub state: Option<ModerationState>,
    /// Older than this one.
    pub before: Option<i64>,
    /// How many, 1 to 100.
    pub limit: u32,
}

/// What is judged, and for whom.
pub(super) struct Subject<'a> {
    pub(super) account_id: AccountId,
    pub(super) text: &'a str,
    pub(super) is: ModerationSubject,
    pub(super) conversation_id: Option<ConversationId>,
    /// The answer's.
    pub(super) message_id: Option<MessageId>,
    /// The key that the message came with, the hash of what it stands for, and when it stops protecting.
    pub(super) idempotency: Option<(IdempotencyKey, String, Timestamp)>,
}

impl App {
    /// Judges what a caller is about to send to a provider. What is blocked is kept for the admins' review. It holds no connection of the
    /// database while it waits.
    ///
    /// # Errors
    /// [`AppError::Blocked`]; [`AppError::ModerationDown`] when nobody could judge and the settings say `closed`.
    pub async fn moderate(&self, caller: &Caller, text: &str) -> Result<(), AppError> {
        self.judge(Subject {
            account_id: caller.id(),
            text,
            is: ModerationSubject::Message,
            conversation_id: None,
            message_id: None,
            idempotency: None,
        })
        .await
    }

    /// [`App::moderate`], for whatever is judged.
    pub(super) async fn judge(&self, subject: Subject<'_>) -> Result<(), AppError> {
        if !self.moderator.is_on() {
            return Ok(());
        }
        let judged = self.moderator.judge(subject.text).await;
        let outcome = match &judged {
            Ok(judgement) if judgement.flag.is_some() => "blocked",
            Ok(_) => "passed",
            Err(_) if self.settings.moderation.outage == OutagePolicy::Open => "let_through",
            Err(_) => "unavailable",
        };
        metrics::counter!("parlor_moderation_total", "subject" => subject.is.as_str(), "outcome" => outcome)
            .increment(1);
        match judged {
            Ok(judgement) => {
                if let Some(metered) = judgement.metered {
                    self.meter(subject.account_id, metered).await?;
                }
                match judgement.flag {
                    Some(flag) => {
                        self.keep_blocked(subject, flag).await?;
                        Err(AppError::Blocked)
                    }
                    None => Ok(()),
                }
            }
            Err(outage) if self.settings.moderation.outage == OutagePolicy::Open => {
                tracing::warn!(%outage, "a text passed unjudged");
                Ok(())
            }
            Err(outage) => {
                tracing::warn!(%outage, "a text was refused, since nobody could judge it");
                Err(AppError::ModerationDown)
            }
        }
    }

    /// A line in the ledger; it takes nothing of a quota, since it costs nothing.
    async fn meter(&self, account_id: AccountId, metered: Metered) -> Result<(), StoreError> {
        let spent = Spent {
            provider: metered.provider.to_owned(),
            model: metered.model,
            usage: TokenUsage::new(metered.tokens, 0),
            is_estimated: true,
            provider_cost: Some(0),
        };
        let payer = Payer::settled(account_id, None);
        let entry = self.entry(&payer, LedgerKind::Moderation, spent, self.clock.now());
        self.db.settle_call(vec![entry], None).await
    }

    async fn keep_blocked(&self, subject: Subject<'_>, flag: Flag) -> Result<(), StoreError> {
        let event = NewModerationEvent {
            account_id: subject.account_id,
            subject: subject.is,
            conversation_id: subject.conversation_id,
            message_id: subject.message_id,
            content: subject.text.to_owned(),
            source: flag.source,
            category: flag.category,
            idempotency: subject.idempotency,
            now: self.clock.now(),
        };
        self.db.insert_moderation_event(event).await
    }

    /// What was blocked, newest first, and whether there is more.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::Invalid`].
    pub async fn list_moderation_events(
        &self,
        caller: &Caller,
        filter: ModerationFilter,
    ) -> Result<(Vec<ModerationEvent>, bool), AppError> {
        caller.require(AccountRole::Admin)?;
        if !(1..=PAGE_MAX).contains(&filter.limit) {
            return Err(Invalid::new("limit", format!("limit must be 1 to {PAGE_MAX}")).into());
        }
        let wanted = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let list =
            ListModerationEvents { state: filter.state, before: filter.before, limit: i64::from(filter.limit) + 1 };
        let mut events = self.db.list_moderation_events(list).await?;
        let has_more = events.len() > wanted;
        events.truncate(wanted);
        Ok((events, has_more))
    }

    /// Stores what an admin makes of something that was blocked; it can be changed later. The text stays blocked either way.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::Invalid`] for a verdict that is none; [`AppError::NotFound`].
    pub async fn review_moderation_event(
        &self,
        caller: &Caller,
        id: i64,
        verdict: ModerationState,
    ) -> Result<ModerationEvent, AppError> {
        caller.require(AccountRole::Admin)?;
        if verdict == ModerationState::Open {
            return Err(Invalid::new("verdict", "verdict must be confirmed or dismissed").into());
        }
        let reviewed = self.db.review_moderation_event(id, verdict, caller.id(), self.clock.now()).await?;
        reviewed.ok_or(AppError::NotFound(Noun::ModerationEvent))
    }
}
