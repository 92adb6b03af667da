//! Sessions: seeing and ending one's own, and changing the password.

use secrecy::{ExposeSecret, SecretString};

use super::accounts::new_family;
use super::revocation::Revoked;
use super::{App, AppError, Caller, Noun, Session};
use crate::domain::{NewPassword, Scope};
use crate::shared::session_number;
use crate::store::SessionRecord;

/// Sessions that a list shows at most.
const SESSIONS_AT_MOST: i64 = 100;

impl App {
    /// The caller's open sessions, the last used first; 100 at most.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for an API key without the scope `account`.
    pub async fn list_sessions(&self, caller: &Caller) -> Result<Vec<SessionRecord>, AppError> {
        caller.allow(Scope::Account)?;
        Ok(self.db.sessions_of_owner(caller.id(), SESSIONS_AT_MOST, self.clock.now()).await?)
    }

    /// Ends one session of the caller's: its tokens are worth nothing any more, and what is open with them is shut.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::Forbidden`] for an API key without the scope `account`.
    pub async fn end_session(&self, caller: &Caller, family: String) -> Result<(), AppError> {
        caller.allow(Scope::Account)?;
        let session = session_number(&family);
        if self.db.end_session_of_owner(family, caller.id(), self.clock.now()).await? {
            self.revoke(Revoked::Session(caller.id(), session)).await;
            Ok(())
        } else {
            Err(AppError::NotFound(Noun::Session))
        }
    }

    /// Ends all sessions of the caller's, access tokens included. API keys stay.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for an API key without the scope `account`.
    pub async fn end_all_sessions(&self, caller: &Caller) -> Result<(), AppError> {
        caller.allow(Scope::Account)?;
        self.db.end_sessions_of_owner(caller.id(), self.clock.now()).await?;
        self.revoke(Revoked::Outdated(caller.id())).await;
        Ok(())
    }

    /// Changes the caller's password, and ends everything that the old one opened: all sessions and all API keys. The caller gets a new session.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a wrong old password or an unfit new one; [`AppError::TooMany`]; [`AppError::Forbidden`] for an API key
    /// without the scope `account`.
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<Session, AppError> {
        caller.allow(Scope::Account)?;
        let new = NewPassword::parse(new.expose_secret())?;
        self.confirm(caller, current, "current_password").await?;
        let hash = self.passwords.hash(new.expose().to_vec()).await?;
        self.db.set_password_of_owner(caller.id(), hash, self.clock.now()).await?;
        self.revoke(Revoked::Account(caller.id())).await;
        tracing::info!(account = %caller.id(), "a password was changed");
        let gone = AppError::Unauthenticated("Could not validate credentials");
        let account = self.db.account_by_id(caller.id()).await?.ok_or(gone)?.account;
        self.open_session(account, new_family()).await
    }
}
