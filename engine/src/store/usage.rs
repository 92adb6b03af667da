//! The ledger: one row per metered call, and what it says.

use super::quotas::{self, Reserved};
use super::{Db, Row, StoreError, Tx, tx::params};
use crate::domain::{AccountId, Amounts, ApiKeyId, ConversationId, LedgerKind, Timestamp, TokenUsage, TurnId};

/// One metered call.
#[derive(Debug, Clone)]
pub struct LedgerEntry {
    /// Who pays.
    pub account_id: AccountId,
    /// The key that it was made with.
    pub api_key_id: Option<ApiKeyId>,
    /// What it was for.
    pub kind: LedgerKind,
    /// Who did the work.
    pub provider: String,
    /// The model that did it.
    pub model: String,
    /// What it cost in tokens.
    pub usage: TokenUsage,
    /// Whether the tokens were counted here because the provider reported none.
    pub is_estimated: bool,
    /// What it cost, in millionths of a US dollar; `None` where no price is known.
    pub cost_micros: Option<u64>,
    /// When it began: the time that it is counted in.
    pub at: Timestamp,
}

/// What a call outside of conversations came to.
#[derive(Debug, Clone)]
pub struct CallBill {
    /// Its lines.
    pub entries: Vec<LedgerEntry>,
    /// What it holds of its quotas.
    pub reserved: Option<Reserved>,
}

/// What stands behind a metered call, where it is a conversation's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Occasion {
    pub(super) conversation: Option<ConversationId>,
    pub(super) turn: Option<TurnId>,
}

/// What an account used of one model on one day for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The day's beginning, in UTC.
    pub day: Timestamp,
    /// The model that answered.
    pub model: String,
    /// What for: a word of [`LedgerKind`].
    pub kind: String,
    /// How much.
    pub sums: UsageSums,
}

/// Sums over lines of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct UsageSums {
    /// Metered calls.
    pub requests: i64,
    /// Tokens read.
    pub prompt_tokens: i64,
    /// Tokens written.
    pub completion_tokens: i64,
    /// Of the tokens read, those from a provider's cache.
    pub cached_tokens: i64,
    /// Calls whose tokens were counted here, since the provider reported none.
    pub estimated_requests: i64,
    /// Calls without a known price.
    pub unpriced_requests: i64,
    /// What the others cost, in millionths of a US dollar; `None` where there is no other.
    pub cost_micros: Option<i64>,
}

impl UsageSums {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        let cost_micros = match (self.cost_micros, more.cost_micros) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        Self {
            requests: self.requests + more.requests,
            prompt_tokens: self.prompt_tokens.saturating_add(more.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(more.completion_tokens),
            cached_tokens: self.cached_tokens.saturating_add(more.cached_tokens),
            estimated_requests: self.estimated_requests + more.estimated_requests,
            unpriced_requests: self.unpriced_requests + more.unpriced_requests,
            cost_micros,
        }
    }

    /// Tokens read and written.
    #[must_use]
    pub const fn total_tokens(&self) -> i64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// What a report can be broken down by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageColumn {
    /// Who pays.
    Account,
    /// The model.
    Model,
    /// The provider.
    Provider,
    /// What for.
    Kind,
    /// The day, in UTC.
    Day,
    /// The API key.
    ApiKey,
}

/// A line of a report. Of what it is not broken down by, and of calls without a key, there is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// Who pays.
    pub account: Option<i64>,
    /// The model.
    pub model: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// What for.
    pub kind: Option<String>,
    /// The day's beginning.
    pub day: Option<Timestamp>,
    /// The API key.
    pub api_key: Option<i64>,
    /// How much.
    pub sums: UsageSums,
}

/// The sums that [`read_sums`] reads. PostgreSQL makes a wider number of a sum; hence the casts.
macro_rules! sums {
    () => {
        "COUNT(*), CAST(SUM(prompt_tokens) AS BIGINT), CAST(SUM(completion_tokens) AS BIGINT), CAST(SUM(cached_tokens) AS BIGINT), \
         CAST(SUM(is_estimated) AS BIGINT), COUNT(*) - COUNT(cost_micros), CAST(SUM(cost_micros) AS BIGINT) FROM usage_ledger "
    };
}

fn read_sums(row: &Row<'_>, first: usize) -> Result<UsageSums, StoreError> {
    Ok(UsageSums {
        requests: row.get(first)?,
        prompt_tokens: row.get(first + 1)?,
        completion_tokens: row.get(first + 2)?,
        cached_tokens: row.get(first + 3)?,
        estimated_requests: row.get(first + 4)?,
        unpriced_requests: row.get(first + 5)?,
        cost_micros: row.get(first + 6)?,
    })
}

impl Db {
    /// Writes what a call outside of conversations came to, and settles what was reserved for it; without entries it is given back whole.
    ///
    /// # Errors
    /// What the database says.
    pub async fn settle_call(&self, entries: Vec<LedgerEntry>, reserved: Option<Reserved>) -> Result<(), StoreError> {
        self.settle_calls(vec![CallBill { entries, reserved }]).await
    }

    /// As [`Db::settle_call`], for several calls together: all of it is stored, or nothing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn settle_calls(&self, bills: Vec<CallBill>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut settled = Vec::with_capacity(bills.len());
                for bill in &bills {
                    let spent = insert_lines(tx, Occasion::default(), bill.entries.iter()).await?;
                    settled.extend(bill.reserved.map(|reserved| (reserved, spent)));
                }
                quotas::settle(tx, &settled).await
            })
        })
        .await
    }

    /// What that owner used in `from..to`, by day, model and kind, oldest first; the first `limit` rows.
    ///
    /// # Errors
    /// What the database says.
    pub async fn usage_of_owner(
        &self,
        owner: AccountId,
        from: Timestamp,
        to: Timestamp,
        limit: i64,
    ) -> Result<Vec<UsageRow>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                tx.fetch(
                    concat!(
                        "SELECT created_at - created_at % 86400000000 AS day, model, kind, ",
                        sums!(),
                        "WHERE account_id = ? AND created_at >= ? AND created_at < ? ",
                        "GROUP BY day, model, kind ORDER BY day, model, kind LIMIT ?"
                    ),
                    params![owner.get(), from.micros(), to.micros(), limit],
                    |row| {
                        Ok(UsageRow {
                            day: Timestamp::from_micros(row.get(0)?),
                            model: row.get(1)?,
                            kind: row.get(2)?,
                            sums: read_sums(row, 3)?,
                        })
                    },
                )
                .await
            })
        })
        .await
    }

    /// What everybody used in `from..to`, broken down by those columns, in their order; the first `limit` lines.
    ///
    /// # Errors
    /// What the database says.
    pub async fn usage_report(
        &self,
        from: Timestamp,
        to: Timestamp,
        by: Vec<UsageColumn>,
        limit: i64,
    ) -> Result<Vec<ReportRow>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let with = |column| i64::from(by.contains(&column));
                tx.fetch(
                    concat!(
                        "SELECT CASE WHEN ? = 1 THEN account_id END, CASE WHEN ? = 1 THEN model END, CASE WHEN ? = 1 THEN provider END, ",
                        "CASE WHEN ? = 1 THEN kind END, CASE WHEN ? = 1 THEN created_at - created_at % 86400000000 END, ",
                        "CASE WHEN ? = 1 THEN api_key_id END, ",
                        sums!(),
                        "WHERE created_at >= ? AND created_at < ? GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6 LIMIT ?"
                    ),
                    params![
                        with(UsageColumn::Account),
                        with(UsageColumn::Model),
                        with(UsageColumn::Provider),
                        with(UsageColumn::Kind),
                        with(UsageColumn::Day),
                        with(UsageColumn::ApiKey),
                        from.micros(),
                        to.micros(),
                        limit
                    ],
                    |row| {
                        Ok(ReportRow {
                            account: row.get(0)?,
                            model: row.get(1)?,
                            provider: row.get(2)?,
                            kind: row.get(3)?,
                            day: row.get::<Option<i64>>(4)?.map(Timestamp::from_micros),
                            api_key: row.get(5)?,
                            sums: read_sums(row, 6)?,
                        })
                    },
                )
                .await
            })
        })
        .await
    }
}

/// Writes what was spent into the ledger, and settles what was reserved for it.
pub(super) async fn bill(
    tx: &mut Tx<'_>,
    occasion: Occasion,
    entries: impl Iterator<Item = &LedgerEntry> + Send,
    reserved: Option<&Reserved>,
) -> Result<(), StoreError> {
    let spent = insert_lines(tx, occasion, entries).await?;
    match reserved {
        Some(reserved) => quotas::settle(tx, &[(*reserved, spent)]).await,
        None => Ok(()),
    }
}

/// Writes the lines of one call. Gives what they add up to: whatever it took, it is one request.
async fn insert_lines(
    tx: &mut Tx<'_>,
    occasion: Occasion,
    entries: impl Iterator<Item = &LedgerEntry> + Send,
) -> Result<Amounts, StoreError> {
    let mut spent = Amounts::default();
    for entry in entries {
        insert_ledger_entry(tx, occasion, entry).await?;
        let micros = count(entry.cost_micros.unwrap_or(0));
        spent = Amounts { requests: 0, tokens: count(entry.usage.total()), micros }.plus(spent);
        spent.requests = 1;
    }
    Ok(spent)
}

async fn insert_ledger_entry(tx: &mut Tx<'_>, occasion: Occasion, entry: &LedgerEntry) -> Result<(), StoreError> {
    tx.insert(
        "INSERT INTO usage_ledger (account_id, api_key_id, conversation_id, turn_id, kind, provider, model, prompt_tokens, \
         completion_tokens, cached_tokens, is_estimated, cost_micros, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            entry.account_id.get(),
            entry.api_key_id.map(ApiKeyId::get),
            occasion.conversation.map(ConversationId::get),
            occasion.turn.map(TurnId::get),
            entry.kind.as_str(),
            &entry.provider,
            &entry.model,
            count(entry.usage.prompt_tokens),
            count(entry.usage.completion_tokens),
            count(entry.usage.cached_tokens),
            i64::from(entry.is_estimated),
            entry.cost_micros.map(count),
            entry.at.micros(),
        ],
    )
    .await?;
    Ok(())
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
