//! Links in mails: verifying an address, and setting a forgotten password anew.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::accounts::network_of;
use super::error::Limited;
use super::revocation::Revoked;
use super::{App, AppError, tokens};
use crate::domain::{Account, Email, Invalid, NewPassword};
use crate::mail::Link;
use crate::shared::{Limit, Refused, Subject};
use crate::store::{MailPurpose, NewMailToken};

/// How long a link to a new password works.
const RESET_LASTS: Duration = Duration::from_secs(30 * 60);
/// How long a link that verifies an address works.
const VERIFY_LASTS: Duration = Duration::from_secs(24 * 3600);
/// Links that one address is sent in an hour at most.
const LINKS_PER_ADDRESS: u32 = 5;
/// Links that one network asks for in an hour at most.
const LINKS_PER_NETWORK: u32 = 30;
/// The window of both.
const LINKS_WINDOW: Duration = Duration::from_secs(3600);
/// Requests for links that are worked on at once.
pub(super) const LINKS_AT_ONCE: usize = 64;

impl App {
    /// Sends a link by which the owner of that address sets a new password. Says the same, as quickly, whether there is one.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for what is no address, [`AppError::TooMany`], [`AppError::Overloaded`].
    pub async fn request_password_reset(&self, email: &str, from: IpAddr) -> Result<(), AppError> {
        self.request_link(email, from, Link::Reset).await
    }

    /// Sends a link that verifies that address, when an account has it and has not verified it. Says the same, as quickly, whether one has.
    ///
    /// # Errors
    /// As [`App::request_password_reset`].
    pub async fn request_verification(&self, email: &str, from: IpAddr) -> Result<(), AppError> {
        self.request_link(email, from, Link::Verify).await
    }

    async fn request_link(&self, email: &str, from: IpAddr, link: Link) -> Result<(), AppError> {
        let email = Email::parse(email)?;
        let (network, to) = (network_of(from), format!("{link:?}/{}", email.key()));
        let limit = |policy, key, limit| Limit { subject: Subject { policy, key }, limit, window: LINKS_WINDOW };
        let limits =
            [limit("mail-network", &network, LINKS_PER_NETWORK), limit("mail-address", &to, LINKS_PER_ADDRESS)];
        let counted = self.shared.counters.count_for_good(&limits, &self.clock).await;
        counted.map_err(|Refused { index, retry_after }| {
            let (policy, quota) = (["mail-network", "mail-address"][index], limits[index].limit);
            AppError::TooMany(Limited { policy, quota, window: LINKS_WINDOW, retry_after })
        })?;
        let place = std::sync::Arc::clone(&self.link_places).try_acquire_owned();
        let place = place.map_err(|_| AppError::Overloaded)?;
        // Beside the answer, which therefore comes as quickly whether or not anybody has that address.
        let app = self.clone();
        self.tasks.spawn(async move {
            let _place = place;
            if let Err(error) = app.send_link_to(email.key(), link).await {
                tracing::warn!(%error, "a link could not be sent");
            }
        });
        Ok(())
    }

    async fn send_link_to(&self, email_key: &str, link: Link) -> Result<(), AppError> {
        let Some(record) = self.db.account_by_login(email_key.to_owned()).await? else { return Ok(()) };
        let profile = self.db.profile_of_owner(record.account.id).await?.unwrap_or_default();
        if !record.account.is_active || (link == Link::Verify && profile.email_verified_at.is_some()) {
            return Ok(());
        }
        self.send_link(&record.account, link).await
    }

    async fn send_link(&self, account: &Account, link: Link) -> Result<(), AppError> {
        let Some(email) = account.email.as_deref().and_then(|email| Email::parse(email).ok()) else { return Ok(()) };
        let (purpose, lasts) = match link {
            Link::Verify => (MailPurpose::Verify, VERIFY_LASTS),
            Link::Reset => (MailPurpose::Reset, RESET_LASTS),
        };
        let now = self.clock.now();
        let token = tokens::random_text();
        let new = NewMailToken {
            account_id: account.id,
            purpose,
            email_key: email.key().to_owned(),
            token_hash: tokens::hash_of(&token),
            expires_at: now.plus(lasts),
        };
        self.db.insert_mail_token(new, now).await?;
        let mail = link.mail(email.as_str(), &self.settings.server.public_url, &token);
        self.mailer.send(mail).map_err(|error| AppError::Internal(error.to_string()))
    }

    /// Sends a new account, or one with a new address, its first link, when mail really leaves. Never fails: the link can be asked for.
    pub(super) async fn welcome(&self, account: &Account) {
        if !self.mailer.is_configured() || account.email.is_none() {
            return;
        }
        if let Err(error) = self.send_link(account, Link::Verify).await {
            tracing::warn!(%error, "a link could not be sent");
        }
    }

    /// Verifies the address that the token was sent to, once.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a token that is not, or no longer, good.
    pub async fn verify_email(&self, token: &SecretString) -> Result<(), AppError> {
        let hash = tokens::hash_of(token.expose_secret());
        match self.db.verify_email(hash, self.clock.now()).await? {
            Some(_) => Ok(()),
            None => Err(spent().into()),
        }
    }

    /// Sets a new password by the token that was sent, once. Everything that the old one opened ends: all sessions and all API keys.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for an unfit password, or for a token that is not, or no longer, good.
    pub async fn reset_password(&self, token: &SecretString, password: &SecretString) -> Result<(), AppError> {
        let password = NewPassword::parse(password.expose_secret())?;
        let hash = tokens::hash_of(token.expose_secret());
        // Looked at first, so that guessing tokens costs us no password hash.
        let known = self.db.owner_of_mail_token(hash.clone(), MailPurpose::Reset, self.clock.now()).await?;
        known.ok_or_else(spent)?;
        let password_hash = self.passwords.hash(password.expose().to_vec()).await?;
        let owner = self.db.reset_password(hash, password_hash, self.clock.now()).await?.ok_or_else(spent)?;
        self.revoke(Revoked::Account(owner)).await;
        tracing::info!(account = %owner, "a password was reset by mail");
        Ok(())
    }
}

fn spent() -> Invalid {
    Invalid::new("token", "this link is unknown, used or expired: ask for another")
}
