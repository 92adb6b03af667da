//! The ledger: one row per metered call, and what it says.

use super::quotas::{self, Reserved};
use super::{Db, StoreError, Tx, tx::params};
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

/// What stands behind a metered call, where it is a conversation's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Occasion {
    pub(super) conversation: Option<ConversationId>,
    pub(super) turn: Option<TurnId>,
}

/// What an account used of one model on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The day's beginning, in UTC.
    pub day: Timestamp,
    /// The model that answered.
    pub model: String,
    /// Metered calls.
    pub requests: i64,
    /// Tokens asked with.
    pub prompt_tokens: i64,
    /// Tokens answered with.
    pub completion_tokens: i64,
    /// In millionths; `None` where no price is known.
    pub cost_micros: Option<i64>,
}

impl Db {
    /// Writes what a call outside of conversations came to, and settles what was reserved for it; without entries it is given back whole.
    ///
    /// # Errors
    /// What the database says.
    pub async fn settle_call(&self, entries: Vec<LedgerEntry>, reserved: Option<Reserved>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move { bill(tx, Occasion::default(), entries.iter(), reserved.as_ref()).await })
        })
        .await
    }

    /// What that owner used in `from..to`, by day and model, oldest first; the first `limit` rows.
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
                    "SELECT created_at - created_at % 86400000000 AS day, model, COUNT(*), SUM(prompt_tokens), \
                     SUM(completion_tokens), SUM(cost_micros) FROM usage_ledger \
                     WHERE account_id = ? AND created_at >= ? AND created_at < ? \
                     GROUP BY day, model ORDER BY day, model LIMIT ?",
                    params![owner.get(), from.micros(), to.micros(), limit],
                    |row| {
                        Ok(UsageRow {
                            day: Timestamp::from_micros(row.get(0)?),
                            model: row.get(1)?,
                            requests: row.get(2)?,
                            prompt_tokens: row.get(3)?,
                            completion_tokens: row.get(4)?,
                            cost_micros: row.get(5)?,
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
    let mut spent = Amounts::default();
    for entry in entries {
        insert_ledger_entry(tx, occasion, entry).await?;
        let micros = count(entry.cost_micros.unwrap_or(0));
        // Whatever it took, it is one request.
        spent = Amounts { requests: 0, tokens: count(entry.usage.total()), micros }.plus(spent);
        spent.requests = 1;
    }
    match reserved {
        Some(reserved) => quotas::settle(tx, reserved, spent).await,
        None => Ok(()),
    }
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
