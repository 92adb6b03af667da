//! Sessions: families of refresh tokens, as their owner sees them.

use super::{Db, StoreError, Tx, tx::params};
use crate::domain::{AccountId, Timestamp};

/// One login and everything rotated from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its family.
    pub family: String,
    /// When it last got a pair of tokens.
    pub last_used_at: Timestamp,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
}

impl Db {
    /// The owner's open sessions, the last used first, `limit` at most.
    ///
    /// # Errors
    /// What the database says.
    pub async fn sessions_of_owner(
        &self,
        owner: AccountId,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                tx.fetch(
                    "SELECT family, MAX(created_at) AS last_used, MAX(expires_at) FROM refresh_tokens \
                     WHERE account_id = ? AND used_at IS NULL AND revoked_at IS NULL AND expires_at > ? \
                     GROUP BY family ORDER BY last_used DESC, family LIMIT ?",
                    params![owner.get(), now.micros(), limit],
                    |row| {
                        Ok(SessionRecord {
                            family: row.get(0)?,
                            last_used_at: Timestamp::from_micros(row.get(1)?),
                            expires_at: Timestamp::from_micros(row.get(2)?),
                        })
                    },
                )
                .await
            })
        })
        .await
    }

    /// Ends one open session of that owner's; false when there is none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn end_session_of_owner(
        &self,
        family: String,
        owner: AccountId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE refresh_tokens SET revoked_at = ? WHERE family = ? AND account_id = ? \
                           AND used_at IS NULL AND revoked_at IS NULL AND expires_at > ?";
                let ended = tx.execute(sql, params![now.micros(), &family, owner.get(), now.micros()]).await?;
                if ended == 0 {
                    return Ok(false);
                }
                let sql = "UPDATE refresh_tokens SET revoked_at = ? WHERE family = ? AND revoked_at IS NULL";
                tx.execute(sql, params![now.micros(), &family]).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Ends all sessions of that owner's, their access tokens too.
    ///
    /// # Errors
    /// What the database says.
    pub async fn end_sessions_of_owner(&self, owner: AccountId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { end_sessions(tx, owner, now).await })).await
    }
}

pub(super) async fn end_sessions(tx: &mut Tx<'_>, owner: AccountId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE refresh_tokens SET revoked_at = ? WHERE account_id = ? AND revoked_at IS NULL";
    tx.execute(sql, params![now.micros(), owner.get()]).await?;
    let sql = "UPDATE accounts SET token_version = token_version + 1 WHERE id = ?";
    tx.execute(sql, params![owner.get()]).await?;
    Ok(())
}
