//! API keys: kept as hashes.

use super::{
    Db, Row, StoreError,
    accounts::{ACCOUNT_COLUMNS, read_account},
    tx::params,
};
use crate::domain::{Account, AccountId, ApiKey, ApiKeyId, ApiKeyName, Scopes, Timestamp};

/// What [`read_api_key`] reads.
macro_rules! select_api_key {
    ($rest:literal) => {
        concat!("SELECT id, name, prefix, scopes, created_at, expires_at, last_used_at FROM api_keys WHERE ", $rest)
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

/// Reads the columns of [`select_api_key`], from number `first` on.
fn read_api_key(row: &Row<'_>, first: usize) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.decode(first, "an id", |id: i64| ApiKeyId::new(id).ok())?,
        name: row.get(first + 1)?,
        prefix: row.get(first + 2)?,
        scopes: row.decode(first + 3, "scopes", |words: String| Scopes::parse(words.split(' ')).ok())?,
        created_at: Timestamp::from_micros(row.get(first + 4)?),
        expires_at: row.get::<Option<i64>>(first + 5)?.map(Timestamp::from_micros),
        last_used_at: row.get::<Option<i64>>(first + 6)?.map(Timestamp::from_micros),
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
                tx.fetch_optional(select_api_key!("id = ?"), params![id], |row| read_api_key(row, 0)).await
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
                tx.fetch(sql, params![owner.get(), limit], |row| read_api_key(row, 0)).await
            })
        })
        .await
    }

    /// The key of that hash and the account that it opens.
    ///
    /// # Errors
    /// What the database says.
    pub async fn api_key_by_hash(&self, key_hash: String) -> Result<Option<ApiKeyRecord>, StoreError> {
        self.look_up_caller(|callers| &callers.keys, key_hash.clone(), move |tx| {
            Box::pin(async move {
                let sql = concat!(
                    "SELECT a.id, a.role, a.email, a.username, a.guest_key, a.is_active, a.token_version, a.created_at, a.password_hash, ",
                    "a.preferences, a.quotas, k.id, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.last_used_at ",
                    "FROM api_keys k JOIN accounts a ON a.id = k.account_id WHERE k.key_hash = ?"
                );
                let read = |row: &Row<'_>| {
                    Ok(ApiKeyRecord { account: read_account(row)?.account, key: read_api_key(row, ACCOUNT_COLUMNS)? })
                };
                tx.fetch_optional(sql, params![&key_hash], read).await
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
