//! What links in mails prove: kept as hashes, good once, and only while the account still has the address that the mail went to.

use super::{Db, StoreError, Tx, tx::params};
use crate::domain::{AccountId, Timestamp};

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailPurpose {
    /// Proving that an address is read.
    Verify,
    /// Setting a new password.
    Reset,
}

impl MailPurpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }
}

/// What sending a link stores.
#[derive(Debug, Clone)]
pub struct NewMailToken {
    /// Whom it is for.
    pub account_id: AccountId,
    /// What it is for.
    pub purpose: MailPurpose,
    /// The address's key.
    pub email_key: String,
    /// The token's SHA-256, in hex.
    pub token_hash: String,
    /// When it stops working.
    pub expires_at: Timestamp,
}

impl Db {
    /// Stores a token.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_mail_token(&self, new: NewMailToken, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.insert(
                    "INSERT INTO mail_tokens (account_id, purpose, email_key, token_hash, created_at, expires_at) \
                     VALUES (?, ?, ?, ?, ?, ?)",
                    params![
                        new.account_id.get(),
                        new.purpose.as_str(),
                        &new.email_key,
                        &new.token_hash,
                        now.micros(),
                        new.expires_at.micros(),
                    ],
                )
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Whose token that is, while it is good.
    ///
    /// # Errors
    /// What the database says.
    pub async fn owner_of_mail_token(
        &self,
        token_hash: String,
        purpose: MailPurpose,
        now: Timestamp,
    ) -> Result<Option<AccountId>, StoreError> {
        self.read(move |tx| Box::pin(async move { owner(tx, &token_hash, purpose, now, Use::Look).await })).await
    }

    /// Uses up a token, once: its account's address is verified. Nobody when it is no longer good.
    ///
    /// # Errors
    /// What the database says.
    pub async fn verify_email(&self, token_hash: String, now: Timestamp) -> Result<Option<AccountId>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(owner) = owner(tx, &token_hash, MailPurpose::Verify, now, Use::UseUp).await? else {
                    return Ok(None);
                };
                note_verified(tx, owner, now).await?;
                Ok(Some(owner))
            })
        })
        .await
    }

    /// Uses up a token, once: its account gets the new password, and everything that the old one opened ends. The address is verified by
    /// the way. Nobody when the token is no longer good.
    ///
    /// # Errors
    /// What the database says.
    pub async fn reset_password(
        &self,
        token_hash: String,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<AccountId>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(owner) = owner(tx, &token_hash, MailPurpose::Reset, now, Use::UseUp).await? else {
                    return Ok(None);
                };
                super::profiles::set_password(tx, owner, &password_hash, now).await?;
                note_verified(tx, owner, now).await?;
                Ok(Some(owner))
            })
        })
        .await
    }
}

/// Whose token that is, while it is good. To use it up nobody else may have it at the same time.
async fn owner(
    tx: &mut Tx<'_>,
    token_hash: &str,
    purpose: MailPurpose,
    now: Timestamp,
    to: Use,
) -> Result<Option<AccountId>, StoreError> {
    let sql = match to {
        Use::Look => owner_of_token!(""),
        Use::UseUp => owner_of_token!(" /*lock*/"),
    };
    tx.fetch_optional(sql, params![token_hash, purpose.as_str(), now.micros()], |row| {
        row.decode(0, "an id", |id: i64| AccountId::new(id).ok())
    })
    .await
}

macro_rules! owner_of_token {
    ($lock:literal) => {
        concat!(
            "SELECT a.id FROM mail_tokens t JOIN accounts a ON a.id = t.account_id AND a.email_key = t.email_key ",
            "WHERE t.token_hash = ? AND t.purpose = ? AND t.expires_at > ? AND a.is_active = 1",
            $lock
        )
    };
}
use owner_of_token;

/// What a token is wanted for.
#[derive(Clone, Copy)]
enum Use {
    Look,
    UseUp,
}

async fn note_verified(tx: &mut Tx<'_>, owner: AccountId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE accounts SET email_verified_at = COALESCE(email_verified_at, ?) WHERE id = ?";
    tx.execute(sql, params![now.micros(), owner.get()]).await?;
    tx.execute("DELETE FROM mail_tokens WHERE account_id = ? AND purpose = 'verify'", params![owner.get()]).await?;
    Ok(())
}
