//! What callers proved themselves with, looked up for many at once: what holds of it still.

use std::collections::{HashMap, HashSet};

use super::{Db, Param, Row, StoreError, Tx};
use crate::domain::{AccountId, ApiKeyId, Timestamp};

/// Values that one query looks up.
const AT_ONCE: usize = 128;

/// 32 parameters.
macro_rules! some {
    () => {
        "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
    };
}

/// Two texts in one, the second after a list of [`AT_ONCE`] parameters in parentheses.
macro_rules! with_list {
    ($before:literal, $after:literal) => {
        concat!($before, " (", some!(), ", ", some!(), ", ", some!(), ", ", some!(), ")", $after)
    };
}

/// What is asked about, each once.
#[derive(Debug, Clone, Default)]
pub struct Proofs {
    /// Accounts.
    pub accounts: Vec<AccountId>,
    /// API keys.
    pub api_keys: Vec<ApiKeyId>,
    /// Sessions, by their families.
    pub sessions: Vec<String>,
}

/// What holds of it.
#[derive(Debug, Default)]
pub struct Holding {
    /// The versions of the active accounts' tokens.
    pub token_versions: HashMap<AccountId, i64>,
    /// The keys that are there and have not expired.
    pub api_keys: HashSet<ApiKeyId>,
    /// The sessions that have been ended.
    pub ended_sessions: HashSet<String>,
}

impl Db {
    /// What still holds of `proofs` at `now`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn what_holds(&self, proofs: Proofs, now: Timestamp) -> Result<Holding, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let accounts: Vec<_> = proofs.accounts.iter().map(|id| Param::Int(id.get())).collect();
                let sql = with_list!("SELECT id, token_version FROM accounts WHERE is_active = 1 AND id IN", "");
                let version = |row: &Row<'_>| {
                    Ok((row.decode(0, "an id", |id: i64| AccountId::new(id).ok())?, row.get::<i64>(1)?))
                };
                let token_versions =
                    look_up(tx, sql, &accounts, Param::NoInt, None, version).await?.into_iter().collect();

                let keys: Vec<_> = proofs.api_keys.iter().map(|id| Param::Int(id.get())).collect();
                let sql =
                    with_list!("SELECT id FROM api_keys WHERE id IN", " AND (expires_at IS NULL OR expires_at > ?)");
                let key = |row: &Row<'_>| row.decode(0, "an id", |id: i64| ApiKeyId::new(id).ok());
                let now = Some(Param::Int(now.micros()));
                let api_keys = look_up(tx, sql, &keys, Param::NoInt, now, key).await?.into_iter().collect();

                // Of one that nothing is stored of any more the refresh tokens have expired: it has not been ended.
                let sessions: Vec<_> = proofs.sessions.iter().map(Param::from).collect();
                let sql = with_list!(
                    "SELECT family FROM refresh_tokens WHERE family IN",
                    " GROUP BY family HAVING COUNT(*) = COUNT(revoked_at)"
                );
                let family = |row: &Row<'_>| row.get::<String>(0);
                let ended = look_up(tx, sql, &sessions, Param::NoText, None, family).await?;
                Ok(Holding { token_versions, api_keys, ended_sessions: ended.into_iter().collect() })
            })
        })
        .await
    }
}

/// The rows for all of `values`, some of them at a time; what a list lacks is filled up with `none`.
async fn look_up<'p, T: Send>(
    tx: &mut Tx<'_>,
    sql: &'static str,
    values: &[Param<'p>],
    none: Param<'p>,
    last: Option<Param<'p>>,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError> + Copy + Send,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::with_capacity(values.len());
    for some in values.chunks(AT_ONCE) {
        let mut params = some.to_vec();
        params.resize(AT_ONCE, none);
        params.extend(last);
        found.extend(tx.fetch(sql, &params, read).await?);
    }
    Ok(found)
}
