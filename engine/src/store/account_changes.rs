//! What admins and the command line do to accounts: list, change, delete.

use super::accounts::{read_account, select_account};
use super::files::note_leftovers_of_owner;
use super::outbox::Happened;
use super::{Db, StoreError, Tx, tx::params};
use crate::domain::{Account, AccountId, AccountRole, Timestamp};

/// Which accounts to list.
#[derive(Debug, Clone)]
pub struct ListAccounts {
    /// Those made before this one; `None` begins with the newest.
    pub before: Option<AccountId>,
    /// Those whose address or name contains this, whatever its case; empty for all.
    pub text: String,
    /// Those of this role; `None` for all but guests.
    pub role: Option<AccountRole>,
    /// Those that are active, or that are not.
    pub is_active: Option<bool>,
    /// How many at most.
    pub limit: i64,
}

/// What becomes of an account. Whatever it is, what the account held opens nothing any more.
#[derive(Debug, Clone, Default)]
pub struct AccountUpdate {
    /// Its new role.
    pub role: Option<AccountRole>,
    /// Whether it may be used.
    pub is_active: Option<bool>,
    /// Its new password's hash.
    pub password_hash: Option<String>,
}

/// What came of changing or deleting an account.
#[derive(Debug, Clone, PartialEq)]
pub enum Updated {
    /// The account as it is now, or as it was before it was deleted.
    Done(Account),
    /// It is that already.
    Unchanged(Account),
    /// Nobody would be left who may undo it.
    LastAdmin,
    /// There is none.
    Missing,
}

impl Db {
    /// Accounts, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_accounts(&self, list: ListAccounts) -> Result<Vec<Account>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let pattern = like_pattern(&list.text);
                let role = list.role.map_or("", AccountRole::as_str);
                let active = list.is_active.map_or(-1, i64::from);
                tx.fetch(
                    select_account!(
                        "id < ? AND ((? = '' AND role <> 'guest') OR role = ?) AND (? < 0 OR is_active = ?) AND \
                         (? = '' OR email_key LIKE ? ESCAPE '!' OR username_key LIKE ? ESCAPE '!') ORDER BY id DESC LIMIT ?"
                    ),
                    params![
                        list.before.map_or(i64::MAX, AccountId::get),
                        role,
                        role,
                        active,
                        active,
                        &list.text,
                        &pattern,
                        &pattern,
                        list.limit,
                    ],
                    |row| read_account(row).map(|record| record.account),
                )
                .await
            })
        })
        .await
    }

    /// Changes an account, and ends what it holds: its access tokens by their version, its refresh tokens by revoking them.
    ///
    /// # Errors
    /// What the database says.
    pub async fn update_account(
        &self,
        id: AccountId,
        update: AccountUpdate,
        now: Timestamp,
    ) -> Result<Updated, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(before) = account(tx, id).await? else { return Ok(Updated::Missing) };
                let role = update.role.unwrap_or(before.role);
                let is_active = update.is_active.unwrap_or(before.is_active);
                if update.password_hash.is_none() && role == before.role && is_active == before.is_active {
                    return Ok(Updated::Unchanged(before));
                }
                if !(role == AccountRole::Admin && is_active) && is_last_admin(tx, &before).await? {
                    return Ok(Updated::LastAdmin);
                }
                tx.execute(
                    "UPDATE accounts SET role = ?, is_active = ?, password_hash = COALESCE(?, password_hash), \
                     token_version = token_version + 1, updated_at = ? WHERE id = ?",
                    params![
                        role.as_str(),
                        i64::from(is_active),
                        update.password_hash.as_ref(),
                        now.micros(),
                        id.get(),
                    ],
                )
                .await?;
                tx.execute(
                    "UPDATE refresh_tokens SET revoked_at = ? WHERE account_id = ? AND revoked_at IS NULL",
                    params![now.micros(), id.get()],
                )
                .await?;
                Ok(account(tx, id).await?.map_or(Updated::Missing, Updated::Done))
            })
        })
        .await
    }

    /// Deletes an account with everything that it owns; what it used stays in the ledger. Its files' contents are noted as leftovers.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_account(&self, id: AccountId, now: Timestamp) -> Result<Updated, StoreError> {
        let outbox = self.outbox();
        self.write(move |tx| {
            Box::pin(async move {
                let Some(before) = account(tx, id).await? else { return Ok(Updated::Missing) };
                if is_last_admin(tx, &before).await? {
                    return Ok(Updated::LastAdmin);
                }
                note_leftovers_of_owner(tx, id, now).await?;
                tx.execute("DELETE FROM accounts WHERE id = ?", params![id.get()]).await?;
                outbox.tell(tx, &Happened::AccountErased { account_id: id.get() }, now).await?;
                Ok(Updated::Done(before))
            })
        })
        .await
    }
}

/// An account that is about to change.
async fn account(tx: &mut Tx<'_>, id: AccountId) -> Result<Option<Account>, StoreError> {
    let found = tx.fetch_optional(select_account!("id = ? /*lock*/"), params![id.get()], read_account).await?;
    Ok(found.map(|record| record.account))
}

async fn is_last_admin(tx: &mut Tx<'_>, account: &Account) -> Result<bool, StoreError> {
    if account.role != AccountRole::Admin || !account.is_active {
        return Ok(false);
    }
    let another = tx
        .fetch_optional(
            "SELECT id FROM accounts WHERE role = 'admin' AND is_active = 1 AND id <> ? LIMIT 1 /*lock*/",
            params![account.id.get()],
            |row| row.get::<i64>(0),
        )
        .await?;
    Ok(another.is_none())
}

/// The pattern for texts that contain this one, lower case as keys are.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars().flat_map(char::to_lowercase) {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_no_pattern() {
        assert_eq!(like_pattern("A_b%c!"), "%a!_b!%c!!%");
    }
}
