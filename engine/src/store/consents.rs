//! What people have agreed to: a history that only grows.

use super::{Db, Row, StoreError, Tx, tx::params};
use crate::domain::{AccountId, Consent, NewConsent, Timestamp};

fn read_consent(row: &Row<'_>) -> Result<Consent, StoreError> {
    Ok(Consent {
        name: row.get(0)?,
        version: row.get(1)?,
        is_granted: row.get::<i64>(2)? == 1,
        created_at: Timestamp::from_micros(row.get(3)?),
    })
}

impl Db {
    /// Everything that the owner has said, oldest first; the first `limit` of it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn consents_of_owner(&self, owner: AccountId, limit: i64) -> Result<Vec<Consent>, StoreError> {
        self.read(move |tx| Box::pin(async move { consents(tx, owner, limit).await })).await
    }

    /// Stores what differs from what holds, unless the owner's history would grow beyond `most`: `None` then. Gives the whole history.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_consents_of_owner(
        &self,
        owner: AccountId,
        new: Vec<NewConsent>,
        most: i64,
        now: Timestamp,
    ) -> Result<Option<Vec<Consent>>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut history = consents(tx, owner, most).await?;
                for new in new {
                    let holds = history.iter().rev().find(|known| known.name == new.name);
                    if holds.is_some_and(|one| one.version == new.version && one.is_granted == new.is_granted) {
                        continue;
                    }
                    if i64::try_from(history.len()).unwrap_or(i64::MAX) >= most {
                        return Ok(None);
                    }
                    tx.insert(
                        "INSERT INTO consents (account_id, name, version, is_granted, created_at) VALUES (?, ?, ?, ?, ?)",
                        params![owner.get(), &new.name, &new.version, i64::from(new.is_granted), now.micros()],
                    )
                    .await?;
                    let NewConsent { name, version, is_granted } = new;
                    history.push(Consent { name, version, is_granted, created_at: now });
                }
                Ok(Some(history))
            })
        })
        .await
    }
}

async fn consents(tx: &mut Tx<'_>, owner: AccountId, limit: i64) -> Result<Vec<Consent>, StoreError> {
    tx.fetch(
        "SELECT name, version, is_granted, created_at FROM consents WHERE account_id = ? ORDER BY id LIMIT ?",
        params![owner.get(), limit],
        read_consent,
    )
    .await
}
