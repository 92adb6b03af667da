//! What one process at a time does.

use super::{Db, StoreError, tx::params};
use crate::domain::Timestamp;

impl Db {
    /// Takes a lease, or keeps one, until `held_until`; false while another holder has it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn take_lease(
        &self,
        name: &'static str,
        holder: String,
        now: Timestamp,
        held_until: Timestamp,
    ) -> Result<bool, StoreError> {
        let taken = self
            .write(move |tx| {
                Box::pin(async move {
                    let current = tx
                        .fetch_optional(
                            "SELECT holder, held_until FROM leases WHERE name = ? /*lock*/",
                            params![name],
                            |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?)),
                        )
                        .await?;
                    match current {
                        None => {
                            let sql = "INSERT INTO leases (name, holder, held_until) VALUES (?, ?, ?)";
                            tx.execute(sql, params![name, &holder, held_until.micros()]).await?;
                        }
                        Some((other, until)) if other != holder && until > now.micros() => return Ok(false),
                        Some(_) => {
                            let sql = "UPDATE leases SET holder = ?, held_until = ? WHERE name = ?";
                            tx.execute(sql, params![&holder, held_until.micros(), name]).await?;
                        }
                    }
                    Ok(true)
                })
            })
            .await;
        match taken {
            Err(StoreError::Duplicate) => Ok(false),
            other => other,
        }
    }

    /// Gives a lease up, if it is that holder's.
    ///
    /// # Errors
    /// What the database says.
    pub async fn give_up_lease(&self, name: &'static str, holder: String) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute("DELETE FROM leases WHERE name = ? AND holder = ?", params![name, &holder]).await?;
                Ok(())
            })
        })
        .await
    }
}
