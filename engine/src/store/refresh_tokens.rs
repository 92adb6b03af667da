//! Refresh tokens: kept as hashes, rotated at every use, revoked as a family.

use super::{Db, StoreError, Tx, tx::params};
use crate::domain::{AccountId, Timestamp};

/// What issuing a refresh token stores.
#[derive(Debug, Clone)]
pub struct NewRefreshToken {
    /// Whose it is.
    pub account_id: AccountId,
    /// One login and everything rotated from it.
    pub family: String,
    /// The token's SHA-256, in hex.
    pub token_hash: String,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// A stored refresh token.
#[derive(Debug, Clone)]
pub struct RefreshTokenRecord {
    /// Whose it is.
    pub account_id: AccountId,
    /// One login and everything rotated from it.
    pub family: String,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was exchanged for another.
    pub used_at: Option<Timestamp>,
    /// When its family was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Db {
    /// Stores a token.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_refresh_token(&self, new: NewRefreshToken, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { insert_refresh_token(tx, &new, now).await })).await
    }

    /// The token of that hash.
    ///
    /// # Errors
    /// What the database says.
    pub async fn refresh_token(&self, token_hash: String) -> Result<Option<RefreshTokenRecord>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                tx.fetch_optional(
                    "SELECT account_id, family, expires_at, used_at, revoked_at FROM refresh_tokens WHERE token_hash = ?",
                    params![&token_hash],
                    |row| {
                        Ok(RefreshTokenRecord {
                            account_id: row.decode(0, "an id", |id: i64| AccountId::new(id).ok())?,
                            family: row.get(1)?,
                            expires_at: Timestamp::from_micros(row.get(2)?),
                            used_at: row.get::<Option<i64>>(3)?.map(Timestamp::from_micros),
                            revoked_at: row.get::<Option<i64>>(4)?.map(Timestamp::from_micros),
                        })
                    },
                )
                .await
            })
        })
        .await
    }

    /// Exchanges the token `old_hash` for `new`, once: false when it was used or revoked already.
    ///
    /// # Errors
    /// What the database says.
    pub async fn rotate_refresh_token(
        &self,
        old_hash: String,
        new: NewRefreshToken,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let taken = tx
                    .execute(
                        "UPDATE refresh_tokens SET used_at = ?, successor_hash = ? \
                         WHERE token_hash = ? AND used_at IS NULL AND revoked_at IS NULL",
                        params![now.micros(), &new.token_hash, &old_hash],
                    )
                    .await?;
                if taken == 0 {
                    return Ok(false);
                }
                insert_refresh_token(tx, &new, now).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Where `old_hash` was exchanged and its successor has not been used: puts `new` in the successor's place. False otherwise.
    ///
    /// # Errors
    /// What the database says.
    pub async fn replace_unused_successor(
        &self,
        old_hash: String,
        new: NewRefreshToken,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let retired = tx
                    .execute(
                        "UPDATE refresh_tokens SET revoked_at = ? WHERE used_at IS NULL AND revoked_at IS NULL AND token_hash IN \
                         (SELECT successor_hash FROM (SELECT successor_hash FROM refresh_tokens WHERE token_hash = ?) AS lost)",
                        params![now.micros(), &old_hash],
                    )
                    .await?;
                if retired == 0 {
                    return Ok(false);
                }
                tx.execute(
                    "UPDATE refresh_tokens SET successor_hash = ? WHERE token_hash = ?",
                    params![&new.token_hash, &old_hash],
                )
                .await?;
                insert_refresh_token(tx, &new, now).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Ends every token of a family.
    ///
    /// # Errors
    /// What the database says.
    pub async fn revoke_refresh_family(&self, family: String, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute(
                    "UPDATE refresh_tokens SET revoked_at = ? WHERE family = ? AND revoked_at IS NULL",
                    params![now.micros(), &family],
                )
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Removes up to `limit` tokens, idempotency keys and links in mails that have expired. Returns how many went.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_expired(&self, now: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let tokens = tx
                    .execute(
                        "DELETE FROM refresh_tokens WHERE id IN \
                         (SELECT id FROM (SELECT id FROM refresh_tokens WHERE expires_at <= ? ORDER BY expires_at LIMIT ?) AS old)",
                        params![now.micros(), limit],
                    )
                    .await?;
                let keys = tx
                    .execute(
                        "DELETE FROM idempotency_keys WHERE turn_id IN \
                         (SELECT turn_id FROM (SELECT turn_id FROM idempotency_keys WHERE expires_at <= ? ORDER BY expires_at LIMIT ?) AS old)",
                        params![now.micros(), limit],
                    )
                    .await?;
                let links = tx
                    .execute(
                        "DELETE FROM mail_tokens WHERE id IN \
                         (SELECT id FROM (SELECT id FROM mail_tokens WHERE expires_at <= ? ORDER BY expires_at LIMIT ?) AS old)",
                        params![now.micros(), limit],
                    )
                    .await?;
                Ok(tokens + keys + links)
            })
        })
        .await
    }
}

async fn insert_refresh_token(tx: &mut Tx<'_>, new: &NewRefreshToken, now: Timestamp) -> Result<(), StoreError> {
    tx.insert(
        "INSERT INTO refresh_tokens (account_id, family, token_hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        params![new.account_id.get(), &new.family, &new.token_hash, now.micros(), new.expires_at.micros()],
    )
    .await?;
    Ok(())
}
