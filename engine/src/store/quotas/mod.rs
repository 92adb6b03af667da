//! Quotas: what is spent and reserved in a window, for whoever has a limit there.
//!
//! A call is let in by conditional updates of its counters, in the transaction that stores its message; what it came to is settled in the one
//! that stores its answer. On SQLite, which one server has, what is reserved stands in its memory alone ([`held`]). A call counts in the windows in
//! which it began. A counter that is not there begins with what the ledger says.

mod counters;
mod held;

use std::sync::Arc;

use self::counters::{counter, from_ledger, insert_counter, over};
pub(super) use self::counters::{hold, note, read_reserved, settle};
pub(super) use self::held::Held;
use self::held::Taken;
use super::{Backend, Db, LeftBy, Row, StoreError, Tx, tx::params};
use crate::domain::{
    AccountId, AccountQuota, Amounts, ApiKeyId, Price, Quota, QuotaMetric, QuotaScope, QuotaWindow, Timestamp,
    TokenUsage,
};

/// What stands where nothing is limited.
const UNLIMITED: i64 = i64::MAX;
/// The most that one call may reserve of anything: sums of it stay far from where integers end.
const AMOUNT_MAX: u64 = 1 << 53;

/// A call that wants to be let in.
#[derive(Debug, Clone)]
pub struct NewReservation {
    /// Who pays.
    pub account_id: AccountId,
    /// The key that the call is made with.
    pub api_key_id: Option<ApiKeyId>,
    /// The quotas that hold for it, in an order that is always the same; not empty.
    pub quotas: Vec<Quota>,
    /// What it may use at most, as far as can be told.
    pub usage: TokenUsage,
    /// What the model costs; `None` where no quota asks for money.
    pub price: Option<Price>,
    /// When it is given back, should nobody settle it.
    pub expires_at: Timestamp,
}

/// What a call holds of its quotas until it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    id: i64,
    account_id: AccountId,
    api_key_id: Option<ApiKeyId>,
    account_periods: i64,
    key_periods: i64,
    tokens: i64,
    micros: i64,
    at: Timestamp,
}

impl Reserved {
    /// Nothing held yet of what `usage` needs.
    fn of(new: &NewReservation, usage: TokenUsage, now: Timestamp) -> Self {
        let amount = |value: u64| i64::try_from(value.min(AMOUNT_MAX)).unwrap_or(i64::MAX);
        Self {
            id: 0,
            account_id: new.account_id,
            api_key_id: new.api_key_id,
            account_periods: 0,
            key_periods: 0,
            tokens: amount(usage.total()),
            micros: amount(new.price.map_or(0, |price| price.cost(usage))),
            at: now,
        }
    }

    const fn hold(&mut self, scope: QuotaScope, period: i64) {
        match scope {
            QuotaScope::Account | QuotaScope::Role(_) => self.account_periods |= period,
            QuotaScope::ApiKey => self.key_periods |= period,
        }
    }

    const fn amounts(&self) -> Amounts {
        Amounts { requests: 1, tokens: self.tokens, micros: self.micros }
    }

    /// Whether it stands in the database, to be found again after a crash.
    const fn has_row(&self) -> bool {
        self.id > 0
    }

    /// The counters that it is held in.
    fn counters(&self) -> impl Iterator<Item = (Subject, QuotaWindow)> + use<> {
        let of_account = Subject::of(QuotaScope::Account, self.account_id, None).map(|of| (of, self.account_periods));
        let of_key = Subject::of(QuotaScope::ApiKey, self.account_id, self.api_key_id).map(|of| (of, self.key_periods));
        of_account.into_iter().chain(of_key).flat_map(|(subject, periods)| {
            let windows = QuotaWindow::ALL.into_iter().filter(move |window| periods & bit(*window) != 0);
            windows.map(move |window| (subject, window))
        })
    }

    /// The key that the call is made with.
    #[must_use]
    pub const fn api_key_id(&self) -> Option<ApiKeyId> {
        self.api_key_id
    }
}

/// A quota that a call would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverQuota {
    /// The quota.
    pub quota: Quota,
    /// What there is not enough of.
    pub metric: QuotaMetric,
    /// The limit.
    pub limit: i64,
    /// What is left of it.
    pub left: i64,
    /// What the call may need.
    pub needed: i64,
    /// When the window ends.
    pub resets_at: Timestamp,
}

/// What a counter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaCount {
    /// What was spent.
    pub used: Amounts,
    /// What calls under way may spend.
    pub reserved: Amounts,
}

/// Whose spending a counter counts.
#[derive(Debug, Clone, Copy)]
struct Subject {
    scope: &'static str,
    id: i64,
}

impl Subject {
    /// `None` for a quota of keys where there is no key.
    fn of(scope: QuotaScope, account: AccountId, key: Option<ApiKeyId>) -> Option<Self> {
        match scope {
            QuotaScope::Account | QuotaScope::Role(_) => Some(Self { scope: "account", id: account.get() }),
            QuotaScope::ApiKey => key.map(|key| Self { scope: "api_key", id: key.get() }),
        }
    }
}

const fn bit(window: QuotaWindow) -> i64 {
    match window {
        QuotaWindow::Minute => 1,
        QuotaWindow::Day => 2,
        QuotaWindow::Month => 4,
    }
}

impl Db {
    /// The memory of what calls hold, where one server has the database.
    fn held(&self) -> Option<&Arc<Held>> {
        match &self.backend {
            Backend::Sqlite(sqlite) => Some(sqlite.held()),
            Backend::Postgres(_) | Backend::Mysql(_) => None,
        }
    }

    /// Lets a call in that belongs to no turn.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when another server began the window at the same moment: ask again.
    pub async fn reserve_quota(
        &self,
        new: NewReservation,
        now: Timestamp,
    ) -> Result<Result<Reserved, OverQuota>, StoreError> {
        if let Some(memory) = self.held() {
            match memory.take(&new, new.usage, now) {
                Taken::Yes(held) => return Ok(Ok(memory.note_without_row(held, new.expires_at, false))),
                Taken::No(over) => return Ok(Err(over)),
                Taken::Unknown => {}
            }
        }
        let server = self.server;
        self.write(move |tx| {
            Box::pin(async move {
                match hold(tx, &new, new.usage, now).await? {
                    Ok(held) => Ok(Ok(note(tx, held, None, server, new.expires_at).await?)),
                    Err(over) => Ok(Err(over)),
                }
            })
        })
        .await
    }

    /// Gives back the reservations that nobody settled in time, `limit` of them at most. Returns how many there were.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release_expired_reservations(&self, now: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = concat!(
                    "SELECT id, account_id, api_key_id, account_periods, key_periods, tokens, micros, created_at ",
                    "FROM quota_reservations WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
                );
                let mut expired = tx.fetch(sql, params![now.micros(), limit], |row| read_reserved(row, 0)).await?;
                if let Some(memory) = tx.held() {
                    let limit = usize::try_from(limit).unwrap_or(0).saturating_sub(expired.len());
                    expired.extend(memory.without_row(Some(now), limit));
                }
                give_all_back(tx, &expired).await?;
                Ok(expired.len() as u64)
            })
        })
        .await
    }

    /// Removes counters whose window ended before `before`, `limit` of them at most. Returns how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_old_quota_counters(&self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "SELECT scope, subject_id, period, starts_at FROM quota_counters WHERE ends_at <= ? ORDER BY ends_at LIMIT ?";
                let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
                let old: Vec<(String, i64, String, i64)> = tx.fetch(sql, params![before.micros(), limit], read).await?;
                for (scope, subject, period, start) in &old {
                    let sql = "DELETE FROM quota_counters WHERE scope = ? AND subject_id = ? AND period = ? AND starts_at = ?";
                    tx.execute(sql, params![scope, *subject, period, *start]).await?;
                }
                if let Some(memory) = tx.held() {
                    memory.forget_old(before);
                }
                Ok(old.len() as u64)
            })
        })
        .await
    }

    /// Gives back what no open turn holds, of servers that run no more. Returns how many there were.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release_reservations_without_turn(&self, left_by: LeftBy, limit: i64) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = concat!(
                    "SELECT r.id, r.account_id, r.api_key_id, r.account_periods, r.key_periods, r.tokens, r.micros, r.created_at ",
                    "FROM quota_reservations r LEFT JOIN turns t ON t.id = r.turn_id AND t.state IN ('pending', 'streaming') ",
                    "WHERE t.id IS NULL AND (? = -1 OR COALESCE(r.server_id, 0) = ?) ORDER BY r.id LIMIT ?"
                );
                let of = left_by.param();
                let mut left = tx.fetch(sql, params![of, of, limit], |row| read_reserved(row, 0)).await?;
                if let Some(memory) = tx.held() {
                    left.extend(memory.without_row(None, usize::try_from(limit).unwrap_or(0).saturating_sub(left.len())));
                }
                give_all_back(tx, &left).await?;
                Ok(left.len() as u64)
            })
        })
        .await
    }

    /// What the counters of these quotas say now, each in its running window; of a quota of keys without a key nothing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn quota_counts(
        &self,
        account: AccountId,
        key: Option<ApiKeyId>,
        quotas: Vec<Quota>,
        now: Timestamp,
    ) -> Result<Vec<(Quota, QuotaCount)>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let mut counts = Vec::with_capacity(quotas.len());
                for quota in quotas {
                    let Some(subject) = Subject::of(quota.scope, account, key) else { continue };
                    let mut count = match counter(tx, subject, quota.window, now).await? {
                        Some(count) => count,
                        None => {
                            let used = from_ledger(tx, account, subject, quota.window, now).await?;
                            QuotaCount { used, reserved: Amounts::default() }
                        }
                    };
                    if let Some(memory) = tx.held() {
                        count.reserved = memory.reserved(subject, quota.window, now);
                    }
                    counts.push((quota, count));
                }
                Ok(counts)
            })
        })
        .await
    }

    /// Begins an account's running windows anew, as if nothing had been spent in them; what is reserved stays reserved.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when another server began the window at the same moment: ask again.
    pub async fn reset_quota_counters(
        &self,
        account: AccountId,
        windows: Vec<QuotaWindow>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let subject = Subject { scope: "account", id: account.get() };
                for window in windows {
                    let (start, _) = window.bounds(now);
                    let changed = tx
                        .execute(
                            "UPDATE quota_counters SET requests = 0, tokens = 0, micros = 0 \
                             WHERE scope = ? AND subject_id = ? AND period = ? AND starts_at = ?",
                            params![subject.scope, subject.id, window.as_str(), start.micros()],
                        )
                        .await?;
                    if changed == 0 {
                        insert_counter(tx, subject, window, Amounts::default(), now).await?;
                    }
                    if let Some(memory) = tx.held() {
                        memory.reset(subject, window, now);
                    }
                }
                Ok(())
            })
        })
        .await
    }

    /// Stores what an admin allows an account; empty for what the settings say. False when there is no such account.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_account_quotas(
        &self,
        id: AccountId,
        quotas: Vec<AccountQuota>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let text = match quotas.as_slice() {
            [] => None,
            quotas => Some(
                serde_json::to_string(quotas)
                    .map_err(|_| StoreError::Corrupt { column: 0, expected: "a list of quotas" })?,
            ),
        };
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE accounts SET quotas = ?, updated_at = ? WHERE id = ?";
                Ok(tx.execute(sql, params![text.as_ref(), now.micros(), id.get()]).await? > 0)
            })
        })
        .await
    }
}

async fn give_all_back(tx: &mut Tx<'_>, reserved: &[Reserved]) -> Result<(), StoreError> {
    let settled: Vec<_> = reserved.iter().map(|reserved| (*reserved, Amounts::default())).collect();
    settle(tx, &settled).await
}
