//! API keys: kept as hashes.

use super::{Db, Row, StoreError, accounts::account_by_id, tx::params};
use crate::domain::{Account, AccountId, ApiKey, ApiKeyId, ApiKeyName, Scopes, Timestamp};

/// What [`read_api_key`] reads.
macro_rules! select_api_key {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, prefix, scopes, created_at, expires_at, last_used_at, account_id FROM api_keys WHERE ",
            $rest
        )
    };
}

/// What making a key stores.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// What its owner calls it.
    pub name: ApiKeyName,
    /// Its first characters.
    pub prefix: String,
    /// The key's SHA-256, in hex.
    pub key_hash: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// A key with the account that it opens.
#[derive(Debug, Clone)]
pub struct ApiKeyRecord {
    /// The key.
    pub key: ApiKey,
    /// Its owner.
    pub account: Account,
}

fn read_api_key(row: &Row<'_>) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.decode(0, "an id", |id: i64| ApiKeyId::new(id).ok())?,
        name: row.get(1)?,
        prefix: row.get(2)?,
        scopes: row.decode(3, "scopes", |words: String| Scopes::parse(words.split(' ')).ok())?,
        created_at: Timestamp::from_micros(row.get(4)?),
        expires_at: row.get::<Option<i64>>(5)?.map(Timestamp::from_micros),
        last_used_at: row.get::<Option<i64>>(6)?.map(Timestamp::from_micros),
    })
}

impl Db {
    /// Stores a key, unless its owner has `most` already: `None` then.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_api_key_of_owner(
        &self,
        owner: AccountId,
        new: NewApiKey,
        most: i64,
        now: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let count = "SELECT COUNT(*) FROM api_keys WHERE account_id = ?";
                let there = tx.fetch_optional(count, params![owner.get()], |row| row.get::<i64>(0)).await?;
                if there.unwrap_or(0) >= most {
                    return Ok(None);
                }
                let id = tx
                    .insert(
                        "INSERT INTO api_keys (account_id, name, prefix, key_hash, scopes, created_at, expires_at) \
                         VALUES (?, ?, ?, ?, ?, ?, ?)",
                        params![
                            owner.get(),
                            new.name.as_str(),
                            &new.prefix,
                            &new.key_hash,
                            &new.scopes.words().join(" "),
                            now.micros(),
                            new.expires_at.map(Timestamp::micros),
                        ],
                    )
                    .await?;
                tx.fetch_optional(select_api_key!("id = ?"), params![id], read_api_key).await
            })
        })
        .await
    }

    /// The first `limit` keys of that owner's, oldest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn api_keys_of_owner(&self, owner: AccountId, limit: i64) -> Result<Vec<ApiKey>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let sql = select_api_key!("account_id = ? ORDER BY id LIMIT ?");
                tx.fetch(sql, params![owner.get(), limit], read_api_key).await
            })
        })
        .await
    }

    /// The key of that hash and the account that it opens.
    ///
    /// # Errors
    /// What the database says.
    pub async fn api_key_by_hash(&self, key_hash: String) -> Result<Option<ApiKeyRecord>, StoreError> {
        self.look_up(move |tx| {
            Box::pin(async move {
                let read = |row: &Row<'_>| Ok((read_api_key(row)?, row.get::<i64>(7)?));
                let found = tx.fetch_optional(select_api_key!("key_hash = ?"), params![&key_hash], read).await?;
                let Some((key, owner)) = found else { return Ok(None) };
                let record = account_by_id(tx, owner).await?;
                Ok(record.map(|record| ApiKeyRecord { key, account: record.account }))
            })
        })
        .await
    }

    /// Notes that a key was used.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_api_key_use(&self, id: ApiKeyId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute("UPDATE api_keys SET last_used_at = ? WHERE id = ?", params![now.micros(), id.get()])
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Deletes a key of that owner's; false when there is none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_api_key_of_owner(&self, id: ApiKeyId, owner: AccountId) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM api_keys WHERE id = ? AND account_id = ?";
                Ok(tx.execute(sql, params![id.get(), owner.get()]).await? > 0)
            })
        })
        .await
    }
}
