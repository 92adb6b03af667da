//! API keys: making, listing and deleting one's own, and telling who calls with one.

use std::time::Duration;

use secrecy::SecretString;

use super::revocation::Revoked;
use super::{App, AppError, Caller, Noun, tokens};
use crate::domain::{ApiKey, ApiKeyId, ApiKeyName, Invalid, Scope, Scopes, Timestamp};
use crate::store::NewApiKey;

/// Keys that one account has at most.
const KEYS_AT_MOST: i64 = 50;
/// How often a key's last use is written down at most.
const USE_NOTED_EVERY: Duration = Duration::from_secs(60);

/// What making a key takes.
#[derive(Debug, Clone)]
pub struct ApiKeyRequest {
    /// What its owner calls it.
    pub name: String,
    /// The words of its scopes.
    pub scopes: Vec<String>,
    /// When it stops working, in RFC 3339; `None`: never.
    pub expires_at: Option<String>,
}

/// A key that has just been made.
#[derive(Debug)]
pub struct IssuedApiKey {
    /// What is known of it from now on.
    pub key: ApiKey,
    /// The key itself: nobody can tell it again.
    pub secret: SecretString,
}

impl App {
    /// Makes a key of the caller's.
    ///
    /// # Errors
    /// [`AppError::Invalid`]; [`AppError::Conflict`] when the account has 50 keys; [`AppError::Forbidden`] for an API key without the scope
    /// `account`, or one that asks for more than it may itself.
    pub async fn create_api_key(&self, caller: &Caller, request: ApiKeyRequest) -> Result<IssuedApiKey, AppError> {
        caller.allow(Scope::Account)?;
        let now = self.clock.now();
        let name = ApiKeyName::parse(&request.name)?;
        let scopes = Scopes::parse(request.scopes.iter().map(String::as_str))?;
        let expires_at = request.expires_at.as_deref().map(|text| expiry(text, now)).transpose()?;
        if !caller.may_give(scopes) {
            return Err(AppError::Forbidden("An API key cannot make one that may do more than itself"));
        }
        let (secret, key_hash, prefix) = tokens::new_api_key();
        let new = NewApiKey { name, prefix, key_hash, scopes, expires_at };
        let stored = self.db.insert_api_key_of_owner(caller.id(), new, KEYS_AT_MOST, now).await?;
        let key = stored.ok_or(AppError::Conflict("An account has at most 50 API keys: delete one first"))?;
        Ok(IssuedApiKey { key, secret: secret.into() })
    }

    /// The caller's keys, oldest first.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for an API key without the scope `account`.
    pub async fn list_api_keys(&self, caller: &Caller) -> Result<Vec<ApiKey>, AppError> {
        caller.allow(Scope::Account)?;
        Ok(self.db.api_keys_of_owner(caller.id(), KEYS_AT_MOST).await?)
    }

    /// Deletes a key of the caller's; it stops working at once.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::Forbidden`] for an API key without the scope `account`.
    pub async fn delete_api_key(&self, caller: &Caller, id: ApiKeyId) -> Result<(), AppError> {
        caller.allow(Scope::Account)?;
        if self.db.delete_api_key_of_owner(id, caller.id()).await? {
            self.revoke(Revoked::Key(caller.id(), id)).await;
            Ok(())
        } else {
            Err(AppError::NotFound(Noun::ApiKey))
        }
    }

    /// Who holds that key, while both it and the account are good.
    pub(super) async fn holder_of_api_key(&self, secret: &str) -> Result<Option<Caller>, AppError> {
        let now = self.clock.now();
        let Some(record) = self.db.api_key_by_hash(tokens::hash_of(secret)).await? else { return Ok(None) };
        let (key, account) = (record.key, record.account);
        if !account.is_active || key.expires_at.is_some_and(|end| end <= now) {
            return Ok(None);
        }
        if key.last_used_at.is_none_or(|last| now.since(last) >= USE_NOTED_EVERY)
            && let Err(error) = self.db.note_api_key_use(key.id, now).await
        {
            tracing::warn!(%error, "an API key's use was not noted");
        }
        Ok(Some(Caller::with_key(account, key.id, key.scopes)))
    }
}

fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, AppError> {
    match Timestamp::from_rfc3339(text) {
        Some(end) if end > now => Ok(end),
        Some(_) => Err(Invalid::new("expires_at", "expires_at must lie in the future").into()),
        None => Err(Invalid::new("expires_at", "expires_at must be a time such as 2030-01-31T12:00:00Z").into()),
    }
}
