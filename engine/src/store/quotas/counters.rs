//! The counters of quotas and the reservations against them, within a transaction.

use std::collections::BTreeMap;

use super::held::{Held, Taken};
use super::{NewReservation, OverQuota, QuotaCount, Reserved, Subject, UNLIMITED, bit};
use crate::domain::{
    AccountId, Amounts, ApiKeyId, Quota, QuotaMetric, QuotaWindow, ServerId, Timestamp, TokenUsage, TurnId,
};
use crate::store::{Row, StoreError, Tx, tx::params};

/// Takes `usage` from every counter that limits the call, or from none. [`note`] makes it last.
pub(in crate::store) async fn hold(
    tx: &mut Tx<'_>,
    new: &NewReservation,
    usage: TokenUsage,
    now: Timestamp,
) -> Result<Result<Reserved, OverQuota>, StoreError> {
    if let Some(memory) = tx.held() {
        return hold_in_memory(tx, &memory, new, usage, now).await;
    }
    let mut held = Reserved::of(new, usage, now);
    let needs = held.amounts();
    for quota in &new.quotas {
        let Some(subject) = Subject::of(quota.scope, new.account_id, new.api_key_id) else { continue };
        let mut taken = take(tx, subject, quota, needs, now).await?;
        if !taken && counter(tx, subject, quota.window, now).await?.is_none() {
            let used = from_ledger(tx, new.account_id, subject, quota.window, now).await?;
            insert_counter(tx, subject, quota.window, used, now).await?;
            taken = take(tx, subject, quota, needs, now).await?;
        }
        if !taken {
            for (subject, window) in held.counters() {
                let place = (subject.scope, subject.id, window, window.bounds(held.at).0);
                give_back(tx, place, needs, Amounts::default()).await?;
            }
            let count = counter(tx, subject, quota.window, now).await?;
            return Ok(Err(over(quota, count, needs, now)));
        }
        held.hold(quota.scope, bit(quota.window));
    }
    Ok(Ok(held))
}

/// As [`hold`], where one server has the database: looks up what was spent, where its memory does not know.
async fn hold_in_memory(
    tx: &mut Tx<'_>,
    memory: &Held,
    new: &NewReservation,
    usage: TokenUsage,
    now: Timestamp,
) -> Result<Result<Reserved, OverQuota>, StoreError> {
    for quota in &new.quotas {
        let Some(subject) = Subject::of(quota.scope, new.account_id, new.api_key_id) else { continue };
        if memory.knows(subject, quota.window, now) {
            continue;
        }
        let used = match counter(tx, subject, quota.window, now).await? {
            Some(count) => count.used,
            None => {
                let used = from_ledger(tx, new.account_id, subject, quota.window, now).await?;
                insert_counter(tx, subject, quota.window, used, now).await?;
                used
            }
        };
        memory.learn(subject, quota.window, now, used);
    }
    match memory.take_in_tx(new, usage, now) {
        Taken::Yes(held) => Ok(Ok(held)),
        Taken::No(over) => Ok(Err(over)),
        // Forgotten again by somebody else's flood of counters.
        Taken::Unknown => Err(StoreError::Overloaded),
    }
}

/// Stores what was held, so that it is found again after a crash.
pub(in crate::store) async fn note(
    tx: &mut Tx<'_>,
    held: Reserved,
    turn: Option<TurnId>,
    server: ServerId,
    expires_at: Timestamp,
) -> Result<Reserved, StoreError> {
    let memory = tx.held();
    if let (Some(memory), None) = (&memory, turn) {
        return Ok(memory.note_without_row(held, expires_at, true));
    }
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
    let noted = Reserved { id, ..held };
    if let Some(memory) = memory {
        memory.note(noted, expires_at);
    }
    Ok(noted)
}

/// Turns what calls had reserved into what they spent. A reservation that has expired meanwhile was given back already; what was spent counts all
/// the same. Each counter is written once, in an order that is always the same.
pub(in crate::store) async fn settle(tx: &mut Tx<'_>, settled: &[(Reserved, Amounts)]) -> Result<(), StoreError> {
    let memory = tx.held();
    let mut sums = BTreeMap::<(&'static str, i64, QuotaWindow, Timestamp), (Amounts, Amounts)>::new();
    for (reserved, spent) in settled {
        let gone = match reserved.has_row() {
            true => tx.execute("DELETE FROM quota_reservations WHERE id = ?", params![reserved.id]).await? > 0,
            false => false,
        };
        if let Some(memory) = &memory {
            memory.settle(reserved, *spent);
        }
        let back = if gone && memory.is_none() { reserved.amounts() } else { Amounts::default() };
        for (subject, window) in reserved.counters() {
            let key = (subject.scope, subject.id, window, window.bounds(reserved.at).0);
            let (backs, spends) = sums.entry(key).or_default();
            (*backs, *spends) = (backs.plus(back), spends.plus(*spent));
        }
    }
    for ((scope, subject, window, start), (back, spent)) in sums {
        give_back(tx, (scope, subject, window, start), back, spent).await?;
    }
    Ok(())
}

/// Reads the columns that a [`Reserved`] has, in the table's order, from number `first` on.
pub(in crate::store) fn read_reserved(row: &Row<'_>, first: usize) -> Result<Reserved, StoreError> {
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
    needs: Amounts,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (start, _) = quota.window.bounds(now);
    let (limits, Amounts { tokens, micros, .. }) = (quota.limits, needs);
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

/// Takes `back` off what is reserved in a counter, and adds `spent` to what is used.
async fn give_back(
    tx: &mut Tx<'_>,
    (scope, subject, window, start): (&'static str, i64, QuotaWindow, Timestamp),
    back: Amounts,
    spent: Amounts,
) -> Result<(), StoreError> {
    if (back, spent) == (Amounts::default(), Amounts::default()) {
        return Ok(());
    }
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
            scope,
            subject,
            window.as_str(),
            start.micros(),
        ],
    )
    .await?;
    Ok(())
}

/// Which metric a call would exceed.
pub(super) fn over(quota: &Quota, count: Option<QuotaCount>, needs: Amounts, now: Timestamp) -> OverQuota {
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

pub(super) async fn counter(
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

pub(super) async fn insert_counter(
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
pub(super) async fn from_ledger(
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
