//! What is kept of a person, piece by piece: each function reads one bounded piece of what belongs to that owner.

use super::conversations::{conversation_of_owner, conversations_of_owner_after};
use super::threads::tree;
use super::{Db, StoreError, ThreadMessage, tx::params};
use crate::domain::{AccountId, Conversation, ConversationId, MessageId, Timestamp};

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its number; they count up.
    pub id: i64,
    /// When the call was metered.
    pub created_at: Timestamp,
    /// What it was for: a [`crate::domain::LedgerKind`]'s word.
    pub kind: String,
    /// Who answered.
    pub provider: Option<String>,
    /// The model that answered.
    pub model: String,
    /// The conversation that it was for, which may be gone.
    pub conversation_id: Option<i64>,
    /// Tokens asked with.
    pub prompt_tokens: i64,
    /// Tokens answered with.
    pub completion_tokens: i64,
    /// Whether the tokens were guessed.
    pub is_estimated: bool,
    /// In millionths; `None` where no price is known.
    pub cost_micros: Option<i64>,
}

impl Db {
    /// The owner's conversations by their ids: `limit` of those after `after`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversations_of_owner_after(
        &self,
        owner: AccountId,
        after: Option<ConversationId>,
        limit: i64,
    ) -> Result<Vec<Conversation>, StoreError> {
        self.read(move |tx| Box::pin(async move { conversations_of_owner_after(tx, owner, after, limit).await })).await
    }

    /// The messages of a conversation of that owner's, whatever their branch, oldest first: as many of those after `after` as `limit` and the
    /// room of one reading let through, one at least; and whether there are more. `None` when the owner has no such conversation.
    ///
    /// # Errors
    /// What the database says.
    pub async fn messages_of_owner_after(
        &self,
        id: ConversationId,
        owner: AccountId,
        after: Option<MessageId>,
        limit: i64,
    ) -> Result<Option<(Vec<ThreadMessage>, bool)>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                if conversation_of_owner(tx, id, owner).await?.is_none() {
                    return Ok(None);
                }
                Ok(Some(tree(tx, id, after, limit).await?))
            })
        })
        .await
    }

    /// What the ledger holds of that owner, oldest first: `limit` rows after the one of that time and number.
    ///
    /// # Errors
    /// What the database says.
    pub async fn ledger_of_owner(
        &self,
        owner: AccountId,
        after: Option<(Timestamp, i64)>,
        limit: i64,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let (time, id) = after.map_or((i64::MIN, 0), |(time, id)| (time.micros(), id));
                tx.fetch(
                    "SELECT id, created_at, kind, provider, model, conversation_id, prompt_tokens, completion_tokens, is_estimated, \
                     cost_micros FROM usage_ledger WHERE account_id = ? AND (created_at > ? OR (created_at = ? AND id > ?)) \
                     ORDER BY created_at, id LIMIT ?",
                    params![owner.get(), time, time, id, limit],
                    |row| {
                        Ok(LedgerRow {
                            id: row.get(0)?,
                            created_at: Timestamp::from_micros(row.get(1)?),
                            kind: row.get(2)?,
                            provider: row.get(3)?,
                            model: row.get(4)?,
                            conversation_id: row.get(5)?,
                            prompt_tokens: row.get(6)?,
                            completion_tokens: row.get(7)?,
                            is_estimated: row.get::<i64>(8)? != 0,
                            cost_micros: row.get(9)?,
                        })
                    },
                )
                .await
            })
        })
        .await
    }
}
