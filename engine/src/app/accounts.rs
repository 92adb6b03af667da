//! Accounts: registering, signing in, and telling who calls.

use std::net::IpAddr;
use std::time::Duration;

use rand::Rng;
use secrecy::{ExposeSecret, SecretString};

use super::error::Limited;
use super::passwords::Verdict;
use super::revocation::Revoked;
use super::{App, AppError, Caller, Noun, tokens};
use crate::domain::{
    Account, AccountRole, ConversationId, Email, GuestKey, GuestRealm, Invalid, NewPassword, PASSWORD_MAX, PersonName,
    Profile, Username,
};
use crate::shared::{Limit, Refused, Subject, session_number};
use crate::store::{NewAccount, NewRefreshToken, StoreError};

/// The policies of signing in, by whom one tries to be and by where one tries from.
const LOGIN_ACCOUNT: &str = "login-account";
const LOGIN_ADDRESS: &str = "login-address";
/// A lost reply to a refresh may be asked for again within this time without ending the family.
const REFRESH_GRACE: Duration = Duration::from_secs(10);

/// What registering takes. At least one of the two names is given.
pub struct Registration {
    /// Signs in under this address.
    pub email: Option<String>,
    /// Signs in under this name.
    pub username: Option<String>,
    /// 8 to 128 characters.
    pub password: SecretString,
}

/// What a person may be called.
#[derive(Debug, Clone, Default)]
pub struct PersonNames {
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
}

/// What signing in takes.
pub struct Login {
    /// An address or a name.
    pub login: String,
    /// The password.
    pub password: SecretString,
    /// Where the attempt comes from.
    pub address: IpAddr,
}

/// What signing in gives.
pub struct Session {
    /// Who signed in.
    pub account: Account,
    /// A JWT.
    pub access_token: String,
    /// Seconds that it lives.
    pub expires_in: i64,
    /// Good once, for another pair.
    pub refresh_token: SecretString,
}

impl App {
    /// Makes an account. Nobody becomes admin this way.
    ///
    /// # Errors
    /// [`AppError::Invalid`], or [`AppError::Conflict`] when the address or the name is taken.
    pub async fn register(&self, registration: Registration) -> Result<Account, AppError> {
        Ok(self.register_with_names(registration, PersonNames::default()).await?.0)
    }

    /// As [`App::register`], for a person who also says what they are called.
    ///
    /// # Errors
    /// As [`App::register`].
    pub async fn register_with_names(
        &self,
        registration: Registration,
        names: PersonNames,
    ) -> Result<(Account, Profile), AppError> {
        if self.settings.security.require_verified_email && registration.email.is_none() {
            return Err(Invalid::new("email", "an email is required").into());
        }
        let account = self.make_account(registration, names, AccountRole::User).await?;
        self.welcome(&account).await;
        let profile = self.db.profile_of_owner(account.id).await?.unwrap_or_default();
        Ok((account, profile))
    }

    /// Makes an admin: for the command line and the first start, never for a request.
    ///
    /// # Errors
    /// As [`App::register`].
    pub async fn create_admin(&self, registration: Registration) -> Result<Account, AppError> {
        self.make_account(registration, PersonNames::default(), AccountRole::Admin).await
    }

    /// Makes the admin that the settings name, when no account exists yet.
    ///
    /// # Errors
    /// As [`App::register`].
    pub async fn ensure_first_admin(&self) -> Result<Option<Account>, AppError> {
        let (Some(email), Some(password)) =
            (&self.settings.security.admin_email, &self.settings.security.admin_password)
        else {
            return Ok(None);
        };
        if self.db.has_accounts().await? {
            return Ok(None);
        }
        let registration = Registration { email: Some(email.clone()), username: None, password: password.clone() };
        match self.create_admin(registration).await {
            // Another server that starts at the same moment was first.
            Err(AppError::Conflict(_)) if self.db.has_accounts().await? => Ok(None),
            made => made.map(Some),
        }
    }

    async fn make_account(
        &self,
        registration: Registration,
        names: PersonNames,
        role: AccountRole,
    ) -> Result<Account, AppError> {
        let name = |field, name: Option<String>| name.map(|name| PersonName::parse(field, &name)).transpose();
        let first_name = name("first_name", names.first_name)?;
        let last_name = name("last_name", names.last_name)?;
        let email = registration.email.as_deref().map(Email::parse).transpose()?;
        let username = registration.username.as_deref().map(Username::parse).transpose()?;
        if email.is_none() && username.is_none() {
            return Err(Invalid::new("email", "an email or a username is required").into());
        }
        let email_key = email.as_ref().map(|email| email.key().to_owned());
        let password = NewPassword::parse(registration.password.expose_secret())?;
        let password_hash = self.passwords.hash(password.expose().to_vec()).await?;
        let new = NewAccount { role, email, username, first_name, last_name, password_hash };
        match self.db.insert_account(new, self.clock.now()).await {
            Err(StoreError::Duplicate) => {
                let taken = match email_key {
                    Some(key) => self.db.account_by_login(key).await?.is_some(),
                    None => false,
                };
                Err(AppError::Conflict(if taken { "Email already registered" } else { "Username already registered" }))
            }
            stored => Ok(stored?),
        }
    }

    /// Signs in. An unknown name costs the same work and says the same as a wrong password.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`], [`AppError::Forbidden`] while the address has to be verified, or [`AppError::TooMany`] after too many
    /// attempts for one account or from one address.
    pub async fn login(&self, login: Login) -> Result<Session, AppError> {
        let key = login.login.trim().to_lowercase();
        let address = login.address;
        self.limit_login(&key, address).await?;
        let signed_in = self.sign_in(&key, login).await;
        if matches!(&signed_in, Err(AppError::Unauthenticated(_))) {
            return signed_in;
        }
        // Only failures of the caller's count against a limit.
        let (counters, network) = (&self.shared.counters, network_of(address));
        let account = Subject { policy: LOGIN_ACCOUNT, key: &key };
        let settle_account = async {
            match &signed_in {
                Ok(_) => counters.clear(account, self.settings.limits.login_window, &self.clock).await,
                Err(_) => counters.uncount(account).await,
            }
        };
        tokio::join!(settle_account, counters.uncount(Subject { policy: LOGIN_ADDRESS, key: &network }));
        signed_in
    }

    async fn sign_in(&self, key: &str, login: Login) -> Result<Session, AppError> {
        let known = self.db.account_by_login(key.to_owned()).await?;
        let stored = known.as_ref().and_then(|record| record.password_hash.clone());
        let password = login.password.expose_secret();
        if password.chars().count() > PASSWORD_MAX {
            return Err(AppError::Unauthenticated("Incorrect email or password"));
        }
        let verdict = self.passwords.verify(password.as_bytes().to_vec(), stored).await?;
        let (Some(record), Verdict::Right(better)) = (known, verdict) else {
            return Err(AppError::Unauthenticated("Incorrect email or password"));
        };
        if !record.account.is_active {
            return Err(AppError::Unauthenticated("Incorrect email or password"));
        }
        if self.settings.security.require_verified_email && record.account.role != AccountRole::Admin {
            let profile = self.db.profile_of_owner(record.account.id).await?.unwrap_or_default();
            // Whoever made an admin had the run of the server; everybody else proves who they are.
            profile.email_verified_at.ok_or(AppError::Forbidden("Verify your email address first"))?;
        }
        self.db.note_login(record.account.id, better, self.clock.now()).await?;
        self.open_session(record.account, new_family()).await
    }

    async fn limit_login(&self, key: &str, address: IpAddr) -> Result<(), AppError> {
        let settings = &self.settings.limits;
        let (window, network) = (settings.login_window, network_of(address));
        let limits = [
            Limit {
                subject: Subject { policy: LOGIN_ADDRESS, key: &network },
                limit: settings.login_attempts_per_address,
                window,
            },
            Limit {
                subject: Subject { policy: LOGIN_ACCOUNT, key },
                limit: settings.login_attempts_per_account,
                window,
            },
        ];
        let counted = self.shared.counters.count(&limits, &self.clock).await;
        counted.map(drop).map_err(|Refused { index, retry_after }| {
            let (policy, quota) = ([LOGIN_ADDRESS, LOGIN_ACCOUNT][index], limits[index].limit);
            metrics::counter!("parlor_login_limited_total", "policy" => policy).increment(1);
            AppError::TooMany(Limited { policy, quota, window, retry_after })
        })
    }

    pub(super) async fn open_session(&self, account: Account, family: String) -> Result<Session, AppError> {
        let now = self.clock.now();
        let (refresh_token, token_hash) = tokens::new_refresh_token();
        let expires_at = now.plus(self.settings.security.refresh_token_ttl);
        let new = NewRefreshToken { account_id: account.id, family: family.clone(), token_hash, expires_at };
        self.db.insert_refresh_token(new, now).await?;
        self.session(account, &family, refresh_token)
    }

    fn session(&self, account: Account, family: &str, refresh_token: String) -> Result<Session, AppError> {
        Ok(Session {
            access_token: self.tokens.issue(&account, family, self.clock.now())?,
            expires_in: self.tokens.ttl_seconds(),
            refresh_token: refresh_token.into(),
            account,
        })
    }

    /// Exchanges a refresh token for a new pair, once. A token that comes again ends its whole family: either its owner or a thief holds
    /// the successor.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`].
    pub async fn refresh(&self, refresh_token: &SecretString) -> Result<Session, AppError> {
        const REFUSED: AppError = AppError::Unauthenticated("Invalid or expired refresh token");
        let now = self.clock.now();
        let old_hash = tokens::hash_of(refresh_token.expose_secret());
        let record = self.db.refresh_token(old_hash.clone()).await?.ok_or(REFUSED)?;
        if record.revoked_at.is_some() || record.expires_at <= now {
            return Err(REFUSED);
        }
        let account = self.db.account_by_id(record.account_id).await?.ok_or(REFUSED)?.account;
        if !account.is_active {
            return Err(REFUSED);
        }
        let (successor, token_hash) = tokens::new_refresh_token();
        let new = NewRefreshToken {
            account_id: account.id,
            family: record.family.clone(),
            token_hash,
            expires_at: now.plus(self.settings.security.refresh_token_ttl),
        };
        let rotated = record.used_at.is_none()
            && self.db.rotate_refresh_token(old_hash.clone(), new.clone(), now).await?
            // Used before, or by another request just now.
            || self.is_in_grace(&old_hash).await? && self.db.replace_unused_successor(old_hash, new, now).await?;
        if !rotated {
            tracing::warn!(account = %account.id, "a refresh token came twice: its family is revoked");
            let session = session_number(&record.family);
            self.db.revoke_refresh_family(record.family, now).await?;
            self.revoke(Revoked::Session(account.id, session)).await;
            return Err(REFUSED);
        }
        self.session(account, &record.family, successor)
    }

    async fn is_in_grace(&self, token_hash: &str) -> Result<bool, AppError> {
        let used_at = self.db.refresh_token(token_hash.to_owned()).await?.and_then(|record| record.used_at);
        Ok(used_at.is_some_and(|used| self.clock.now().since(used) <= REFRESH_GRACE))
    }

    /// Ends the session that a refresh token belongs to, its access tokens too; an unknown one is no error.
    ///
    /// # Errors
    /// Only ours.
    pub async fn logout(&self, refresh_token: &SecretString) -> Result<(), AppError> {
        let hash = tokens::hash_of(refresh_token.expose_secret());
        if let Some(record) = self.db.refresh_token(hash).await? {
            let session = session_number(&record.family);
            self.db.revoke_refresh_family(record.family, self.clock.now()).await?;
            self.revoke(Revoked::Session(record.account_id, session)).await;
        }
        Ok(())
    }

    /// Tells who calls with that bearer token: an access token, or an API key, whose scopes the caller then has. The account is looked at every time: what
    /// has changed bites at once.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`].
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller, AppError> {
        const REFUSED: AppError = AppError::Unauthenticated("Could not validate credentials");
        if tokens::is_api_key(bearer) {
            return self.holder_of_api_key(bearer).await?.ok_or(REFUSED);
        }
        let token = self.tokens.read(bearer, self.clock.now()).ok_or(REFUSED)?;
        let family = token.family.clone();
        let account = self.db.account_in_session(token.account_id, family).await?.ok_or(REFUSED)?.account;
        if !account.is_active || account.token_version != token.token_version {
            return Err(REFUSED);
        }
        Ok(Caller::in_session(account, token.family.as_deref()))
    }

    /// The guest of that name, made when there is none.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] when guests are off or this one is deactivated.
    pub async fn guest(&self, realm: GuestRealm, key: &str) -> Result<Caller, AppError> {
        let key = self.guest_key(key)?;
        let account = match self.db.guest(realm, key.clone()).await? {
            Some(account) => account,
            None => self.db.guest_or_insert(realm, key, self.clock.now()).await?,
        };
        active_guest(account)
    }

    /// The guest of that name, if there is one.
    ///
    /// # Errors
    /// As [`App::guest`].
    pub async fn known_guest(&self, realm: GuestRealm, key: &str) -> Result<Option<Caller>, AppError> {
        let key = self.guest_key(key)?;
        self.db.guest(realm, key).await?.map(active_guest).transpose()
    }

    /// The guest whose conversation this is. On the surfaces without a login, the conversation's id is what proves the right to it.
    ///
    /// # Errors
    /// [`AppError::NotFound`], and as [`App::guest`].
    pub async fn guest_of_conversation(&self, realm: GuestRealm, id: ConversationId) -> Result<Caller, AppError> {
        self.guests_allowed()?;
        let not_found = AppError::NotFound(Noun::Conversation);
        let Some(account_id) = self.db.guest_of_conversation(id, realm).await? else { return Err(not_found) };
        let record = self.db.account_by_id(account_id).await?.ok_or(not_found)?;
        active_guest(record.account)
    }

    fn guest_key(&self, key: &str) -> Result<GuestKey, AppError> {
        self.guests_allowed()?;
        Ok(GuestKey::parse(key)?)
    }

    fn guests_allowed(&self) -> Result<(), AppError> {
        if self.settings.guests_allowed() { Ok(()) } else { Err(AppError::Unauthenticated("Not authenticated")) }
    }
}

fn active_guest(account: Account) -> Result<Caller, AppError> {
    if account.is_active { Ok(Caller::new(account)) } else { Err(AppError::Unauthenticated("Not authenticated")) }
}

pub(super) fn new_family() -> String {
    let bytes: [u8; 16] = rand::rng().random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The network that counts as one caller: an IPv4 address, or an IPv6 /64, which one household has to itself.
pub(super) fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_ipv6_household_counts_as_one() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
