//! What an account's owner changes about it.

use super::{Db, StoreError, Tx, tx::params};
use crate::domain::{AccountId, Email, PersonName, Profile, Timestamp, Username};

/// What is to change; `None` stays as it is. A name may be taken away: `Some(None)`.
#[derive(Debug, Clone, Default)]
#[allow(clippy::option_option, reason = "to leave a name and to take it away are two things")]
pub struct ProfileChange {
    /// First name.
    pub first_name: Option<Option<PersonName>>,
    /// Last name.
    pub last_name: Option<Option<PersonName>>,
    /// The name to sign in with.
    pub username: Option<Username>,
    /// The address to sign in with; another one than before is not verified.
    pub email: Option<Email>,
}

impl Db {
    /// What the owner of that account says of themselves.
    ///
    /// # Errors
    /// What the database says.
    pub async fn profile_of_owner(&self, owner: AccountId) -> Result<Option<Profile>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                tx.fetch_optional(
                    "SELECT first_name, last_name, email_verified_at FROM accounts WHERE id = ?",
                    params![owner.get()],
                    |row| {
                        Ok(Profile {
                            first_name: row.get(0)?,
                            last_name: row.get(1)?,
                            email_verified_at: row.get::<Option<i64>>(2)?.map(Timestamp::from_micros),
                        })
                    },
                )
                .await
            })
        })
        .await
    }

    /// Changes an account; all of it or nothing.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the address or the name is taken.
    pub async fn update_profile_of_owner(
        &self,
        owner: AccountId,
        change: ProfileChange,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let (now, id) = (now.micros(), owner.get());
                if let Some(name) = &change.first_name {
                    let sql = "UPDATE accounts SET first_name = ?, updated_at = ? WHERE id = ?";
                    tx.execute(sql, params![name.as_ref().map(PersonName::as_str), now, id]).await?;
                }
                if let Some(name) = &change.last_name {
                    let sql = "UPDATE accounts SET last_name = ?, updated_at = ? WHERE id = ?";
                    tx.execute(sql, params![name.as_ref().map(PersonName::as_str), now, id]).await?;
                }
                if let Some(name) = &change.username {
                    let sql = "UPDATE accounts SET username = ?, username_key = ?, updated_at = ? WHERE id = ?";
                    tx.execute(sql, params![name.as_str(), name.key(), now, id]).await?;
                }
                let Some(email) = &change.email else { return Ok(()) };
                // Before the address itself, so that the old one is there to compare with.
                let sql = "UPDATE accounts SET email_verified_at = NULL WHERE id = ? AND (email_key IS NULL OR email_key <> ?)";
                tx.execute(sql, params![id, email.key()]).await?;
                let sql = "UPDATE accounts SET email = ?, email_key = ?, updated_at = ? WHERE id = ?";
                tx.execute(sql, params![email.as_str(), email.key(), now, id]).await?;
                Ok(())
            })
        })
        .await
    }

    /// Sets a password, and ends everything that the old one opened: sessions, API keys, links in mails.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_password_of_owner(
        &self,
        owner: AccountId,
        password_hash: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { set_password(tx, owner, &password_hash, now).await })).await
    }
}

pub(super) async fn set_password(
    tx: &mut Tx<'_>,
    owner: AccountId,
    password_hash: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    super::sessions::end_sessions(tx, owner, now).await?;
    let sql = "UPDATE accounts SET password_hash = ?, updated_at = ? WHERE id = ?";
    tx.execute(sql, params![password_hash, now.micros(), owner.get()]).await?;
    tx.execute("DELETE FROM api_keys WHERE account_id = ?", params![owner.get()]).await?;
    let sql = "DELETE FROM mail_tokens WHERE account_id = ? AND purpose = 'reset'";
    tx.execute(sql, params![owner.get()]).await?;
    Ok(())
}
