//! What admins do to accounts, and how it bites at once: on tokens by their version, on what is open by shutting it.

use secrecy::{ExposeSecret, SecretString};

use super::revocation::Revoked;
use super::{App, AppError, Caller, Noun};
use crate::domain::{Account, AccountId, AccountRole, Invalid, NewPassword};
use crate::providers::TargetState;
use crate::store::{AccountUpdate, ListAccounts, Updated};

/// Accounts on one page at most.
const PAGE_MAX: u32 = 100;
/// The longest text to search for, in characters.
const SEARCH_MAX: usize = 254;

/// Which accounts to list.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// Those made before this one; `None` begins with the newest.
    pub before: Option<AccountId>,
    /// Those whose address or name contains this, whatever its case.
    pub text: Option<String>,
    /// Those of this role; `None` for all but guests.
    pub role: Option<AccountRole>,
    /// Those that are active, or that are not.
    pub is_active: Option<bool>,
    /// How many, 1 to 100.
    pub limit: u32,
}

/// What is to become of an account; `None` leaves things as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct AccountChange {
    /// Its role.
    pub role: Option<AccountRole>,
    /// Whether it may be used.
    pub is_active: Option<bool>,
}

impl App {
    /// Accounts, newest first, and whether there are more.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::Invalid`].
    pub async fn list_accounts(
        &self,
        caller: &Caller,
        filter: AccountFilter,
    ) -> Result<(Vec<Account>, bool), AppError> {
        caller.require(AccountRole::Admin)?;
        self.find_accounts(filter).await
    }

    /// [`App::list_accounts`] for the command line, which is not asked who it is.
    ///
    /// # Errors
    /// [`AppError::Invalid`].
    pub async fn find_accounts(&self, filter: AccountFilter) -> Result<(Vec<Account>, bool), AppError> {
        let text = filter.text.unwrap_or_default().trim().to_owned();
        if text.chars().count() > SEARCH_MAX {
            return Err(Invalid::new("q", format!("q must have at most {SEARCH_MAX} characters")).into());
        }
        if !(1..=PAGE_MAX).contains(&filter.limit) {
            return Err(Invalid::new("limit", format!("limit must be 1 to {PAGE_MAX}")).into());
        }
        let wanted = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let list = ListAccounts {
            before: filter.before,
            text,
            role: filter.role,
            is_active: filter.is_active,
            limit: i64::from(filter.limit) + 1,
        };
        let mut accounts = self.db.list_accounts(list).await?;
        let has_more = accounts.len() > wanted;
        accounts.truncate(wanted);
        Ok((accounts, has_more))
    }

    /// One account.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::NotFound`].
    pub async fn read_account(&self, caller: &Caller, id: AccountId) -> Result<Account, AppError> {
        caller.require(AccountRole::Admin)?;
        let record = self.db.account_by_id(id).await?.ok_or(AppError::NotFound(Noun::Account))?;
        Ok(record.account)
    }

    /// The account that signs in under that address or name, or has that id; for the command line.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn find_account(&self, name: &str) -> Result<Account, AppError> {
        let by_login = self.db.account_by_login(name.trim().to_lowercase()).await?;
        let record = match (by_login, name.trim().parse()) {
            (None, Ok(id)) => self.db.account_by_id(id).await?,
            (found, _) => found,
        };
        Ok(record.ok_or(AppError::NotFound(Noun::Account))?.account)
    }

    /// Changes an account. It bites at once: its tokens open nothing more, what it holds open is shut.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::NotFound`]; [`AppError::Invalid`] for what has no role to change;
    /// [`AppError::Conflict`] for the caller's own account and for the last active admin.
    pub async fn change_account(
        &self,
        caller: &Caller,
        id: AccountId,
        change: AccountChange,
    ) -> Result<Account, AppError> {
        caller.require(AccountRole::Admin)?;
        let lowers = change.role.is_some_and(|role| role != AccountRole::Admin) || change.is_active == Some(false);
        if caller.id() == id && lowers {
            return Err(AppError::Conflict("You cannot demote or deactivate yourself: ask another admin"));
        }
        let mut account = self.read_account(caller, id).await?;
        if let Some(role) = change.role {
            account = self.set_account_role(id, role).await?;
        }
        match change.is_active {
            Some(true) => self.reactivate_account(id).await,
            Some(false) => self.deactivate_account(id).await,
            None => Ok(account),
        }
    }

    /// Gives an account another role; for the command line, and for [`App::change_account`].
    ///
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::Invalid`] for guests; [`AppError::Conflict`] for the last active admin.
    pub async fn set_account_role(&self, id: AccountId, role: AccountRole) -> Result<Account, AppError> {
        let record = self.db.account_by_id(id).await?.ok_or(AppError::NotFound(Noun::Account))?;
        if role == AccountRole::Guest || record.account.role == AccountRole::Guest {
            return Err(Invalid::new("role", "role must be user, editor or admin; a guest has none of them").into());
        }
        self.update_account(id, AccountUpdate { role: Some(role), ..AccountUpdate::default() }).await
    }

    /// Makes an account unusable, and ends what it holds.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::Conflict`] for the last active admin.
    pub async fn deactivate_account(&self, id: AccountId) -> Result<Account, AppError> {
        self.update_account(id, AccountUpdate { is_active: Some(false), ..AccountUpdate::default() }).await
    }

    /// Makes an account usable again. Its owner signs in anew.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn reactivate_account(&self, id: AccountId) -> Result<Account, AppError> {
        self.update_account(id, AccountUpdate { is_active: Some(true), ..AccountUpdate::default() }).await
    }

    /// Gives an account another password, and ends what it holds.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::Invalid`] for a password that is too short or too long, and for guests.
    pub async fn set_account_password(&self, id: AccountId, password: &SecretString) -> Result<Account, AppError> {
        let record = self.db.account_by_id(id).await?.ok_or(AppError::NotFound(Noun::Account))?;
        if record.account.role == AccountRole::Guest {
            return Err(Invalid::new("password", "a guest has no password").into());
        }
        let password = NewPassword::parse(password.expose_secret())?;
        let password_hash = self.passwords.hash(password.expose().to_vec()).await?;
        self.update_account(id, AccountUpdate { password_hash: Some(password_hash), ..AccountUpdate::default() }).await
    }

    /// Deletes an account with everything that it owns; its running answers stop.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::NotFound`]; [`AppError::Conflict`] for the caller's own account and for the
    /// last active admin.
    pub async fn delete_account(&self, caller: &Caller, id: AccountId) -> Result<(), AppError> {
        caller.require(AccountRole::Admin)?;
        if caller.id() == id {
            return Err(AppError::Conflict("You cannot delete yourself here: ask another admin"));
        }
        self.erase_account(id).await
    }

    /// Deletes the account, stops its running answers and shuts what is open for it.
    pub(super) async fn erase_account(&self, id: AccountId) -> Result<(), AppError> {
        told(self.db.delete_account(id, self.clock.now()).await?)?;
        self.stop_account(id).await;
        self.revoke(Revoked::Account(id)).await;
        let app = self.clone();
        self.tasks.spawn(async move { app.release_leftovers().await });
        Ok(())
    }

    /// The providers, in the order in which they are asked.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins.
    pub fn list_providers(&self, caller: &Caller) -> Result<Vec<TargetState>, AppError> {
        caller.require(AccountRole::Admin)?;
        Ok(self.providers.states())
    }

    async fn update_account(&self, id: AccountId, update: AccountUpdate) -> Result<Account, AppError> {
        let updated = self.db.update_account(id, update, self.clock.now()).await?;
        if matches!(updated, Updated::Done(_)) {
            self.revoke(Revoked::Account(id)).await;
            tracing::info!(account = %id, "an account was changed: what it held is void");
        }
        told(updated)
    }
}

fn told(updated: Updated) -> Result<Account, AppError> {
    match updated {
        Updated::Done(account) | Updated::Unchanged(account) => Ok(account),
        Updated::LastAdmin => Err(AppError::Conflict("This is the last active admin: make another one first")),
        Updated::Missing => Err(AppError::NotFound(Noun::Account)),
    }
}
