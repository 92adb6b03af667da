//! Oneself: one's account, what one has agreed to, what one has used.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::error::Limited;
use super::passwords::Verdict;
use super::{App, AppError, Caller};
use crate::domain::{
    Account, Consent, Email, Invalid, NewConsent, PASSWORD_MAX, PersonName, Profile, Scope, Timestamp, Username,
};
use crate::shared::{Limit, Refused, Subject};
use crate::store::{ProfileChange, StoreError, UsageRow};

/// The policy of confirming with one's password.
const CONFIRM: &str = "password-account";
/// Rows of one account's consents at most.
const CONSENTS_AT_MOST: i64 = 1000;
/// The longest time whose usage is told at once.
const USAGE_SPAN: Duration = Duration::from_secs(366 * 86_400);
/// The time whose usage is told when none is named.
const USAGE_DEFAULT: Duration = Duration::from_secs(30 * 86_400);
/// Rows of usage at most.
const USAGE_ROWS: i64 = 10_000;

/// What may be changed of one's account; `None` stays as it is. A name may be taken away: `Some(None)`.
#[derive(Debug, Default)]
#[allow(clippy::option_option, reason = "to leave a name and to take it away are two things")]
pub struct ProfileRequest {
    /// First name.
    pub first_name: Option<Option<String>>,
    /// Last name.
    pub last_name: Option<Option<String>>,
    /// The name to sign in with.
    pub username: Option<String>,
    /// The address to sign in with; needs the password.
    pub email: Option<String>,
    /// The account's password.
    pub password: Option<SecretString>,
}

/// What an account used.
#[derive(Debug, Clone)]
pub struct Usage {
    /// From here on.
    pub from: Timestamp,
    /// Before this.
    pub to: Timestamp,
    /// By day and model, oldest first.
    pub rows: Vec<UsageRow>,
}

impl App {
    /// The caller's profile.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] when the account has just gone.
    pub async fn profile(&self, caller: &Caller) -> Result<Profile, AppError> {
        let gone = AppError::Unauthenticated("Could not validate credentials");
        self.db.profile_of_owner(caller.id()).await?.ok_or(gone)
    }

    /// Changes the caller's account. Another address needs the password and has to be verified again.
    ///
    /// # Errors
    /// [`AppError::Invalid`] (a wrong password too), [`AppError::Conflict`], [`AppError::TooMany`], [`AppError::Forbidden`].
    pub async fn update_profile(
        &self,
        caller: &Caller,
        request: ProfileRequest,
    ) -> Result<(Account, Profile), AppError> {
        caller.allow(Scope::Account)?;
        let name = |field: &'static str, given: Option<Option<String>>| {
            given.map(|name| name.map(|name| PersonName::parse(field, &name)).transpose()).transpose()
        };
        let change = ProfileChange {
            first_name: name("first_name", request.first_name)?,
            last_name: name("last_name", request.last_name)?,
            username: request.username.as_deref().map(Username::parse).transpose()?,
            email: request.email.as_deref().map(Email::parse).transpose()?,
        };
        let taken = match (&change.email, &change.username) {
            (Some(_), Some(_)) => "Email or username already registered",
            (Some(_), None) => "Email already registered",
            (None, _) => "Username already registered",
        };
        if change.email.is_some() {
            let missing = || Invalid::new("password", "changing the email needs the password");
            self.confirm(caller, &request.password.ok_or_else(missing)?, "password").await?;
        }
        match self.db.update_profile_of_owner(caller.id(), change, self.clock.now()).await {
            Err(StoreError::Duplicate) => return Err(AppError::Conflict(taken)),
            stored => stored?,
        }
        let gone = AppError::Unauthenticated("Could not validate credentials");
        let account = self.db.account_by_id(caller.id()).await?.ok_or(gone)?.account;
        let profile = self.profile(caller).await?;
        if account.email != caller.account().email && profile.email_verified_at.is_none() {
            self.welcome(&account).await;
        }
        Ok((account, profile))
    }

    /// Erases the caller's account and everything in it. Answers that are being written stop.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a wrong password, [`AppError::TooMany`], [`AppError::Forbidden`]; [`AppError::Conflict`] for the last active
    /// admin.
    pub async fn delete_own_account(&self, caller: &Caller, password: &SecretString) -> Result<(), AppError> {
        caller.allow(Scope::Account)?;
        self.confirm(caller, password, "password").await?;
        self.erase_account(caller.id()).await?;
        tracing::info!(account = %caller.id(), "an account was erased by its owner");
        Ok(())
    }

    /// Makes sure that whoever calls knows the account's password. Wrong ones count as failed logins do.
    pub(super) async fn confirm(
        &self,
        caller: &Caller,
        password: &SecretString,
        field: &'static str,
    ) -> Result<(), AppError> {
        let limits = &self.settings.limits;
        let (quota, window) = (limits.login_attempts_per_account, limits.login_window);
        let account = caller.id().to_string();
        let subject = Subject { policy: CONFIRM, key: &account };
        let counted = self.shared.counters.count(&[Limit { subject, limit: quota, window }], &self.clock).await;
        counted.map_err(|Refused { retry_after, .. }| {
            AppError::TooMany(Limited { policy: CONFIRM, quota, window, retry_after })
        })?;
        let wrong = || Invalid::new(field, "the password is wrong");
        let stored = self.db.account_by_id(caller.id()).await?.and_then(|record| record.password_hash);
        let password = password.expose_secret();
        if password.chars().count() > PASSWORD_MAX {
            return Err(wrong().into());
        }
        match self.passwords.verify(password.as_bytes().to_vec(), stored).await? {
            Verdict::Right(_) => {
                self.shared.counters.clear(subject, window, &self.clock).await;
                Ok(())
            }
            Verdict::Wrong => Err(wrong().into()),
        }
    }

    /// Everything that the caller has agreed to or not, oldest first; of each name the last one holds.
    ///
    /// # Errors
    /// Only ours.
    pub async fn consents(&self, caller: &Caller) -> Result<Vec<Consent>, AppError> {
        Ok(self.db.consents_of_owner(caller.id(), CONSENTS_AT_MOST).await?)
    }

    /// Notes what the caller agrees to or not, and gives all of it. What holds already is not noted again.
    ///
    /// # Errors
    /// [`AppError::Conflict`] when the history is full, [`AppError::Forbidden`].
    pub async fn give_consents(&self, caller: &Caller, new: Vec<NewConsent>) -> Result<Vec<Consent>, AppError> {
        caller.allow(Scope::Account)?;
        let stored = self.db.insert_consents_of_owner(caller.id(), new, CONSENTS_AT_MOST, self.clock.now()).await?;
        stored.ok_or(AppError::Conflict("This account's consents have been changed too often"))
    }

    /// What the caller used in `from..to`; the last 30 days when neither is given.
    ///
    /// # Errors
    /// [`AppError::Invalid`] when it is more than 366 days, or none.
    pub async fn usage(
        &self,
        caller: &Caller,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Usage, AppError> {
        let to = to.unwrap_or_else(|| self.clock.now());
        let from = from.unwrap_or_else(|| to.minus(USAGE_DEFAULT));
        if from >= to {
            return Err(Invalid::new("from", "from must lie before to").into());
        }
        if to.since(from) > USAGE_SPAN {
            return Err(Invalid::new("from", "from and to must lie at most 366 days apart").into());
        }
        Ok(Usage { from, to, rows: self.db.usage_of_owner(caller.id(), from, to, USAGE_ROWS).await? })
    }
}
