//! Who calls: the first argument of everything that concerns a person's data.

use crate::domain::{Account, AccountId, AccountRole};

/// The account behind a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    account: Account,
}

impl Caller {
    pub(super) const fn new(account: Account) -> Self {
        Self { account }
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Its id: what owns things.
    #[must_use]
    pub const fn id(&self) -> AccountId {
        self.account.id
    }

    /// What it may do.
    #[must_use]
    pub const fn role(&self) -> AccountRole {
        self.account.role
    }
}
