//! Who calls: the first argument of everything that concerns a person's data.

use std::sync::Arc;

use super::AppError;
use crate::domain::{Account, AccountId, AccountRole, ApiKeyId, Scope, Scopes};
use crate::shared::Standing;

/// The account behind a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    account: Account,
    /// What the API key allows; `None`: no key stands between the caller and the account.
    scopes: Option<Scopes>,
    /// The API key that the call is made with.
    api_key: Option<ApiKeyId>,
    /// The session whose access token the call is made with, by its family.
    session: Option<Arc<str>>,
}

impl Caller {
    pub(super) const fn new(account: Account) -> Self {
        Self { account, scopes: None, api_key: None, session: None }
    }

    /// Somebody who signed in; `family` is the session's, unless their token is too old to name it.
    pub(super) fn in_session(account: Account, family: Option<&str>) -> Self {
        Self { session: family.map(Arc::from), ..Self::new(account) }
    }

    /// A program that holds a key of that account. Without the scope `admin` it is an ordinary user, whatever its owner is.
    pub(super) fn with_key(mut account: Account, key: ApiKeyId, scopes: Scopes) -> Self {
        if !scopes.allow(Scope::Admin) {
            account.role = account.role.min(AccountRole::User);
        }
        Self { account, scopes: Some(scopes), api_key: Some(key), session: None }
    }

    /// The account, with the role that the caller has.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Its id: what owns things.
    #[must_use]
    pub const fn id(&self) -> AccountId {
        self.account.id
    }

    /// The API key that the call is made with.
    #[must_use]
    pub const fn api_key(&self) -> Option<ApiKeyId> {
        self.api_key
    }

    /// What it may do.
    #[must_use]
    pub const fn role(&self) -> AccountRole {
        self.account.role
    }

    /// Refuses an API key that lacks `scope`.
    ///
    /// # Errors
    /// [`AppError::Forbidden`].
    pub const fn allow(&self, scope: Scope) -> Result<(), AppError> {
        match self.scopes {
            Some(scopes) if !scopes.allow(scope) => Err(AppError::Forbidden(match scope {
                Scope::Read => "This API key lacks the scope read",
                Scope::Chat => "This API key lacks the scope chat",
                Scope::Account => "This API key lacks the scope account",
                Scope::Admin => "This API key lacks the scope admin",
            })),
            _ => Ok(()),
        }
    }

    /// Whether it may hand out `scopes`: nobody gives more than they have.
    #[must_use]
    pub(super) fn may_give(&self, scopes: Scopes) -> bool {
        self.scopes.is_none_or(|own| own.cover(scopes))
    }

    /// The account, and what it proved itself with.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            account: self.account.id,
            token_version: self.account.token_version,
            api_key: self.api_key,
            session: self.session.clone(),
        }
    }

    /// Asks for a role: each may what the ones before it may.
    ///
    /// # Errors
    /// [`AppError::Forbidden`].
    pub fn require(&self, role: AccountRole) -> Result<(), AppError> {
        if self.account.role >= role { Ok(()) } else { Err(AppError::Forbidden("Not enough permissions")) }
    }
}
