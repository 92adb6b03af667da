//! Metering: who pays for a call of a provider, what it may use before, and what it came to.
//!
//! A turn takes its share of its sender's quotas in the transaction that stores its message, and settles in the one that stores its answer. Every
//! other call is wrapped in a [`Reservation`]. Where no quota holds for a caller, nothing is asked of the database before the bill.

mod bills;
mod by_provider;
mod prices;
mod quotas;
mod report;
mod tokens;

use std::time::Duration;

pub(in crate::app) use bills::Bills;
use bills::Stored;
pub(in crate::app) use prices::Prices;
pub use quotas::QuotaStatus;
pub use report::UsageReport;
pub(in crate::app) use tokens::Vocabularies;

use super::error::QuotaExceeded;
use super::{App, AppError, Caller};
use crate::domain::{AccountId, ApiKeyId, Invalid, LedgerKind, Price, Quota, Timestamp, TokenUsage};
use crate::providers::{Attempts, LostAttempt};
use crate::store::{CallBill, KeptCall, LedgerEntry, NewReservation, OverQuota, Reserved, StoreError};

/// How long a reservation outlives the longest call, before it is given back on its own: time to store what came.
const SLACK: Duration = Duration::from_secs(3600);
/// Attempts at a reservation, should other servers begin the same window at the same moment.
const ATTEMPTS: usize = 5;
/// The waits between attempts to store what a call came to.
const STORE_RETRIES: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// What a call may use, at most, as far as can be told before it is made.
#[derive(Debug, Clone)]
pub struct Estimate {
    /// The model that is asked for; empty for the settings' own.
    pub model: String,
    /// About how many tokens it reads.
    pub prompt_tokens: u64,
    /// The most that it may write.
    pub completion_tokens: u64,
}

/// What a call of a provider came to.
#[derive(Debug, Clone)]
pub struct Spent {
    /// The provider that did the work.
    pub provider: String,
    /// The model that did it.
    pub model: String,
    /// Tokens.
    pub usage: TokenUsage,
    /// Whether they were counted here because the provider reported none.
    pub is_estimated: bool,
    /// What the provider says that it cost, in millionths of a US dollar.
    pub provider_cost: Option<u64>,
}

impl From<LostAttempt> for Spent {
    fn from(lost: LostAttempt) -> Self {
        Self {
            provider: lost.provider,
            model: lost.model,
            usage: lost.usage.unwrap_or_else(|| TokenUsage::new(lost.prompt_tokens, 0)),
            is_estimated: lost.usage.is_none(),
            provider_cost: None,
        }
    }
}

/// Who pays for a call, and what quotas hold.
#[derive(Debug, Clone)]
pub(super) struct Payer {
    pub(super) account_id: AccountId,
    pub(super) api_key_id: Option<ApiKeyId>,
    quotas: Vec<Quota>,
}

impl Payer {
    /// Whoever pays for what has been let in already.
    pub(super) const fn settled(account_id: AccountId, api_key_id: Option<ApiKeyId>) -> Self {
        Self { account_id, api_key_id, quotas: Vec::new() }
    }

    pub(super) const fn has_quotas(&self) -> bool {
        !self.quotas.is_empty()
    }
}

/// A call that has been let in. Settle it with what it came to; dropped before, it is billed with what [`Reservation::unless_settled`] was told
/// last, or else given back.
#[must_use]
pub struct Reservation {
    app: App,
    payer: Payer,
    at: Timestamp,
    reserved: Option<Reserved>,
    otherwise: Option<(LedgerKind, Vec<Spent>)>,
    /// What attempts cost that come to nothing, and what the call is.
    attempts: Option<(LedgerKind, Attempts)>,
    /// What is stored with its bill.
    kept: Option<Box<KeptCall>>,
    is_open: bool,
}

impl App {
    /// Lets a call in that belongs to no turn: the gateway's, an embedding, a moderation. To be held until it is settled.
    ///
    /// # Errors
    /// [`AppError::QuotaExceeded`]; [`AppError::Invalid`] for a model without a known price, where a quota limits money.
    pub async fn reserve(&self, caller: &Caller, estimate: Estimate) -> Result<Reservation, AppError> {
        self.reserve_for(self.payer(caller), estimate).await
    }

    pub(super) async fn reserve_for(&self, payer: Payer, estimate: Estimate) -> Result<Reservation, AppError> {
        let at = self.clock.now();
        let usage = TokenUsage::new(estimate.prompt_tokens, estimate.completion_tokens);
        let mut reserved = None;
        if let Some(new) = self.reservation(&payer, &estimate.model, usage, at)? {
            reserved = Some(self.take_quota(new, at).await?);
        }
        Ok(Reservation {
            app: self.clone(),
            payer,
            at,
            reserved,
            otherwise: None,
            attempts: None,
            kept: None,
            is_open: true,
        })
    }

    async fn take_quota(&self, new: NewReservation, at: Timestamp) -> Result<Reserved, AppError> {
        for _ in 0..ATTEMPTS {
            match self.db.reserve_quota(new.clone(), at).await {
                Err(StoreError::Duplicate) => {}
                outcome => return outcome?.map_err(|over| exceeded(&over, at)),
            }
        }
        Err(AppError::Overloaded)
    }

    /// What a call is to take of its payer's quotas; `None` where none hold.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a model without a known price, where a quota limits money.
    pub(super) fn reservation(
        &self,
        payer: &Payer,
        model: &str,
        usage: TokenUsage,
        now: Timestamp,
    ) -> Result<Option<NewReservation>, AppError> {
        if payer.quotas.is_empty() {
            return Ok(None);
        }
        let model = if model.is_empty() { &self.settings.chat.model } else { model };
        let price = match payer.quotas.iter().any(|quota| quota.limits.micros.is_some()) {
            false => None,
            true => Some(self.price_for(model)?),
        };
        Ok(Some(NewReservation {
            account_id: payer.account_id,
            api_key_id: payer.api_key_id,
            quotas: payer.quotas.clone(),
            usage,
            price,
            expires_at: now.plus(self.settings.providers.total_timeout).plus(SLACK),
        }))
    }

    fn price_for(&self, model: &str) -> Result<Price, AppError> {
        let problem = "this model has no known price, and a quota limits what may be spent: name another model";
        self.prices.of(None, model).ok_or_else(|| Invalid::new("model", problem).into())
    }

    /// Prices what a call came to, for the ledger.
    pub(super) fn entry(&self, payer: &Payer, kind: LedgerKind, spent: Spent, at: Timestamp) -> LedgerEntry {
        let cost_micros = self.prices.cost(&spent.provider, &spent.model, spent.usage, spent.provider_cost);
        LedgerEntry {
            account_id: payer.account_id,
            api_key_id: payer.api_key_id,
            kind,
            provider: spent.provider,
            model: spent.model,
            usage: spent.usage,
            is_estimated: spent.is_estimated,
            cost_micros,
            at,
        }
    }
}

impl Reservation {
    /// Writes what the call came to into the ledger, one line for each, and settles its quotas, together. When this returns, it is stored;
    /// it is stored too when nobody waits for that. Without any line the whole reservation is given back.
    ///
    /// # Errors
    /// Only ours.
    pub async fn settle(mut self, kind: LedgerKind, spent: Vec<Spent>) -> Result<(), AppError> {
        self.otherwise = None;
        let entries = self.entries(kind, spent);
        let Some(storing) = self.store(entries) else { return Ok(()) };
        storing.await.map_err(|_| AppError::Internal("a call was not settled".to_owned()))?.map_err(AppError::from)
    }

    /// What is billed should the call be dropped before it is settled: by a client that went away, say.
    pub fn unless_settled(&mut self, kind: LedgerKind, spent: Vec<Spent>) {
        self.otherwise = Some((kind, spent));
    }

    /// Takes what attempts at a call of that kind cost that come to nothing. However it ends, each is a line of the kind `retry`; where no answer
    /// came, the last of them is the call's own.
    pub fn attempts(&mut self, kind: LedgerKind) -> Attempts {
        self.attempts.get_or_insert_with(|| (kind, Attempts::default())).1.clone()
    }

    /// What was said in it is stored in the transaction of its bill; `None` where nothing was. The function gets the present moment.
    pub(super) fn keep(&mut self, call: impl FnOnce(Timestamp) -> Option<KeptCall>) {
        self.kept = call(self.app.clock.now()).map(Box::new);
    }

    /// Ends a call that no provider answered. When this returns, what it cost is stored.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub async fn give_up(mut self) -> Result<(), AppError> {
        let (kind, last) = self.last_attempt();
        self.settle(kind, last).await
    }

    fn last_attempt(&mut self) -> (LedgerKind, Vec<Spent>) {
        let Some((kind, attempts)) = &self.attempts else { return (LedgerKind::Retry, Vec::new()) };
        (*kind, attempts.take_last().map(Spent::from).into_iter().collect())
    }

    /// What it holds, for whoever settles it in a transaction of their own.
    pub(super) fn into_parts(mut self) -> (Payer, Timestamp, Option<Reserved>) {
        self.is_open = false;
        (self.payer.clone(), self.at, self.reserved)
    }

    fn entries(&self, kind: LedgerKind, spent: Vec<Spent>) -> Vec<LedgerEntry> {
        let lost = self.attempts.as_ref().map(|(_, attempts)| attempts.take()).unwrap_or_default();
        let retries = lost.into_iter().map(|lost| (LedgerKind::Retry, Spent::from(lost)));
        let lines = retries.chain(spent.into_iter().map(|spent| (kind, spent)));
        lines.map(|(kind, spent)| self.app.entry(&self.payer, kind, spent, self.at)).collect()
    }

    /// Has it stored, whoever waits for that.
    fn store(&mut self, entries: Vec<LedgerEntry>) -> Option<Stored> {
        self.is_open = false;
        let (reserved, kept) = (self.reserved.take(), self.kept.take());
        if entries.is_empty() && reserved.is_none() {
            return None;
        }
        let bill = CallBill { entries, reserved };
        Some(match kept {
            Some(call) => self.app.store_kept_call(bill, call),
            None => self.app.store_bill(bill),
        })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.is_open && tokio::runtime::Handle::try_current().is_ok() {
            let (kind, spent) = self.otherwise.take().unwrap_or_else(|| self.last_attempt());
            let entries = self.entries(kind, spent);
            // Nobody is left to wait for it.
            drop(self.store(entries));
        }
    }
}

/// The refusal of a call that a quota has no room for.
pub(super) fn exceeded(over: &OverQuota, now: Timestamp) -> AppError {
    let OverQuota { quota, metric, limit, left, needed, resets_at } = *over;
    let labels = [("window", quota.window.as_str()), ("metric", metric.as_str())];
    metrics::counter!("parlor_quota_refused_total", &labels).increment(1);
    let (starts_at, _) = quota.window.bounds(now);
    AppError::QuotaExceeded(QuotaExceeded {
        scope: quota.scope,
        window: quota.window,
        metric,
        limit,
        left,
        needed,
        resets_at,
        length: resets_at.since(starts_at),
        retry_after: resets_at.since(now),
    })
}
