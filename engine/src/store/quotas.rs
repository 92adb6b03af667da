//! Quotas: what is spent and reserved in a window, for whoever has a limit there.
//!
//! A call is let in by conditional updates of its counters, in the transaction that stores its message; what it came to is settled in the one
//! that stores its answer. A call counts in the windows in which it began. A counter that is not there begins with what the ledger says.

use super::{Db, LeftBy, Row, StoreError, Tx, tx::params};
use crate::domain::{
    AccountId, AccountQuota, Amounts, ApiKeyId, Price, Quota, QuotaMetric, QuotaScope, QuotaWindow, ServerId,
    Timestamp, TokenUsage, TurnId,
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
    /// Lets a call in that belongs to no turn.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when another server began the window at the same moment: ask again.
    pub async fn reserve_quota(
        &self,
        new: NewReservation,
        now: Timestamp,
    ) -> Result<Result<Reserved, OverQuota>, StoreError> {
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
                let expired = tx.fetch(sql, params![now.micros(), limit], |row| read_reserved(row, 0)).await?;
                for reserved in &expired {
                    settle(tx, reserved, Amounts::default()).await?;
                }
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
                let left = tx.fetch(sql, params![of, of, limit], |row| read_reserved(row, 0)).await?;
                for reserved in &left {
                    settle(tx, reserved, Amounts::default()).await?;
                }
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
                    let count = match counter(tx, subject, quota.window, now).await? {
                        Some(count) => count,
                        None => {
                            let used = from_ledger(tx, account, subject, quota.window, now).await?;
                            QuotaCount { used, reserved: Amounts::default() }
                        }
                    };
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

/// Takes `usage` from every counter that limits the call, or from none. [`note`] makes it last.
pub(super) async fn hold(
    tx: &mut Tx<'_>,
    new: &NewReservation,
    usage: TokenUsage,
    now: Timestamp,
) -> Result<Result<Reserved, OverQuota>, StoreError> {
    let amount = |value: u64| i64::try_from(value.min(AMOUNT_MAX)).unwrap_or(i64::MAX);
    let tokens = amount(usage.total());
    let micros = amount(new.price.map_or(0, |price| price.cost(usage)));
    let (account_id, api_key_id) = (new.account_id, new.api_key_id);
    let (account_periods, key_periods) = (0, 0);
    let mut held = Reserved { id: 0, account_id, api_key_id, account_periods, key_periods, tokens, micros, at: now };
    for quota in &new.quotas {
        let Some(subject) = Subject::of(quota.scope, account_id, api_key_id) else { continue };
        let mut taken = take(tx, subject, quota, tokens, micros, now).await?;
        if !taken && counter(tx, subject, quota.window, now).await?.is_none() {
            let used = from_ledger(tx, account_id, subject, quota.window, now).await?;
            insert_counter(tx, subject, quota.window, used, now).await?;
            taken = take(tx, subject, quota, tokens, micros, now).await?;
        }
        if !taken {
            give_back(tx, &held, Amounts { requests: 1, tokens, micros }, Amounts::default()).await?;
            let count = counter(tx, subject, quota.window, now).await?;
            return Ok(Err(over(quota, count, Amounts { requests: 1, tokens, micros }, now)));
        }
        match quota.scope {
            QuotaScope::Account | QuotaScope::Role(_) => held.account_periods |= bit(quota.window),
            QuotaScope::ApiKey => held.key_periods |= bit(quota.window),
        }
    }
    Ok(Ok(held))
}

/// Stores what was held, so that it is found again after a crash.
pub(super) async fn note(
    tx: &mut Tx<'_>,
    held: Reserved,
    turn: Option<TurnId>,
    server: ServerId,
    expires_at: Timestamp,
) -> Result<Reserved, StoreError> {
    let id = tx
        .insert(
            "INSERT INTO quota_reservations (account_id, api_key_id, turn_id, account_periods, key_periods, tokens, micros, created_at, \
             expires_at, server_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                held.account_id.get(),
                held.api_key_id.map(ApiKeyId::get),
                turn.map(TurnId::get),
                held.account_periods,
                held.key_periods,
                held.tokens,
                held.micros,
                held.at.micros(),
                expires_at.micros(),
                server.get(),
            ],
        )
        .await?;
    Ok(Reserved { id, ..held })
}

/// Turns what was reserved into what was spent. A reservation that has expired meanwhile was given back already; what was spent counts all
/// the same.
pub(super) async fn settle(tx: &mut Tx<'_>, reserved: &Reserved, spent: Amounts) -> Result<(), StoreError> {
    let gone = tx.execute("DELETE FROM quota_reservations WHERE id = ?", params![reserved.id]).await?;
    let back = if gone > 0 {
        Amounts { requests: 1, tokens: reserved.tokens, micros: reserved.micros }
    } else {
        Amounts::default()
    };
    give_back(tx, reserved, back, spent).await
}

/// Reads the columns that a [`Reserved`] has, in the table's order, from number `first` on.
pub(super) fn read_reserved(row: &Row<'_>, first: usize) -> Result<Reserved, StoreError> {
    Ok(Reserved {
        id: row.get(first)?,
        account_id: row.decode(first + 1, "an id", |id: i64| AccountId::new(id).ok())?,
        api_key_id: row.get::<Option<i64>>(first + 2)?.and_then(|id| ApiKeyId::new(id).ok()),
        account_periods: row.get(first + 3)?,
        key_periods: row.get(first + 4)?,
        tokens: row.get(first + 5)?,
        micros: row.get(first + 6)?,
        at: Timestamp::from_micros(row.get(first + 7)?),
    })
}

/// Reserves, where nothing is exceeded by it.
async fn take(
    tx: &mut Tx<'_>,
    subject: Subject,
    quota: &Quota,
    tokens: i64,
    micros: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (start, _) = quota.window.bounds(now);
    let limits = quota.limits;
    let changed = tx
        .execute(
            "UPDATE quota_counters SET reserved_requests = reserved_requests + 1, reserved_tokens = reserved_tokens + ?, \
             reserved_micros = reserved_micros + ? WHERE scope = ? AND subject_id = ? AND period = ? AND starts_at = ? \
             AND requests + reserved_requests + 1 <= ? AND tokens + reserved_tokens + ? <= ? AND micros + reserved_micros + ? <= ?",
            params![
                tokens,
                micros,
                subject.scope,
                subject.id,
                quota.window.as_str(),
                start.micros(),
                limits.requests.unwrap_or(UNLIMITED),
                tokens,
                limits.tokens.unwrap_or(UNLIMITED),
                micros,
                limits.micros.unwrap_or(UNLIMITED),
            ],
        )
        .await?;
    Ok(changed > 0)
}

/// Takes `back` off what is reserved in the reservation's counters, and adds `spent` to what is used.
async fn give_back(tx: &mut Tx<'_>, held: &Reserved, back: Amounts, spent: Amounts) -> Result<(), StoreError> {
    let of_account = Subject::of(QuotaScope::Account, held.account_id, None).map(|of| (of, held.account_periods));
    let of_key = Subject::of(QuotaScope::ApiKey, held.account_id, held.api_key_id).map(|of| (of, held.key_periods));
    for (subject, periods) in of_account.into_iter().chain(of_key) {
        for window in QuotaWindow::ALL.into_iter().filter(|window| periods & bit(*window) != 0) {
            tx.execute(
                "UPDATE quota_counters SET requests = requests + ?, tokens = tokens + ?, micros = micros + ?, \
                 reserved_requests = reserved_requests - ?, reserved_tokens = reserved_tokens - ?, reserved_micros = reserved_micros - ? \
                 WHERE scope = ? AND subject_id = ? AND period = ? AND starts_at = ?",
                params![
                    spent.requests,
                    spent.tokens,
                    spent.micros,
                    back.requests,
                    back.tokens,
                    back.micros,
                    subject.scope,
                    subject.id,
                    window.as_str(),
                    window.bounds(held.at).0.micros(),
                ],
            )
            .await?;
        }
    }
    Ok(())
}

/// Which metric a call would exceed.
fn over(quota: &Quota, count: Option<QuotaCount>, needs: Amounts, now: Timestamp) -> OverQuota {
    let taken = count.map_or_else(Amounts::default, |count| count.used.plus(count.reserved));
    let resets_at = quota.window.bounds(now).1;
    let of = |metric: QuotaMetric| {
        let limit = quota.limits.of(metric)?;
        let (left, needed) = (limit.saturating_sub(taken.of(metric)).max(0), needs.of(metric));
        Some(OverQuota { quota: *quota, metric, limit, left, needed, resets_at })
    };
    let exceeded = QuotaMetric::ALL.into_iter().filter_map(of).find(|over| over.needed > over.left);
    exceeded.unwrap_or(OverQuota {
        quota: *quota,
        metric: QuotaMetric::Requests,
        limit: 0,
        left: 0,
        needed: 1,
        resets_at,
    })
}

async fn counter(
    tx: &mut Tx<'_>,
    subject: Subject,
    window: QuotaWindow,
    now: Timestamp,
) -> Result<Option<QuotaCount>, StoreError> {
    tx.fetch_optional(
        "SELECT requests, tokens, micros, reserved_requests, reserved_tokens, reserved_micros FROM quota_counters \
         WHERE scope = ? AND subject_id = ? AND period = ? AND starts_at = ?",
        params![subject.scope, subject.id, window.as_str(), window.bounds(now).0.micros()],
        |row| Ok(QuotaCount { used: read_amounts(row, 0)?, reserved: read_amounts(row, 3)? }),
    )
    .await
}

fn read_amounts(row: &Row<'_>, first: usize) -> Result<Amounts, StoreError> {
    Ok(Amounts { requests: row.get(first)?, tokens: row.get(first + 1)?, micros: row.get(first + 2)? })
}

async fn insert_counter(
    tx: &mut Tx<'_>,
    subject: Subject,
    window: QuotaWindow,
    used: Amounts,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (start, end) = window.bounds(now);
    tx.execute(
        "INSERT INTO quota_counters (scope, subject_id, period, starts_at, ends_at, requests, tokens, micros) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            subject.scope,
            subject.id,
            window.as_str(),
            start.micros(),
            end.micros(),
            used.requests,
            used.tokens,
            used.micros
        ],
    )
    .await?;
    Ok(())
}

/// What the ledger has of the running window, for a quota that is new in it.
async fn from_ledger(
    tx: &mut Tx<'_>,
    account: AccountId,
    subject: Subject,
    window: QuotaWindow,
    now: Timestamp,
) -> Result<Amounts, StoreError> {
    let (start, end) = window.bounds(now);
    let every_key = i64::from(subject.scope == "account");
    let found = tx
        .fetch_optional(
            "SELECT COUNT(*), CAST(COALESCE(SUM(prompt_tokens + completion_tokens), 0) AS BIGINT), \
             CAST(COALESCE(SUM(cost_micros), 0) AS BIGINT) FROM usage_ledger \
             WHERE account_id = ? AND created_at >= ? AND created_at < ? AND (? = 1 OR api_key_id = ?)",
            params![account.get(), start.micros(), end.micros(), every_key, subject.id],
            |row| read_amounts(row, 0),
        )
        .await?;
    Ok(found.unwrap_or_default())
}
