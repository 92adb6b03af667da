//! What the ledger says of one account.

use super::{Db, StoreError, tx::params};
use crate::domain::{AccountId, Timestamp};

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
