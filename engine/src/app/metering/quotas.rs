//! Quotas: which hold for whom, where one stands, and what admins change.

use super::Payer;
use crate::app::{App, AppError, Caller, Noun};
use crate::domain::{
    AccountId, AccountQuota, AccountRole, ApiKeyId, Invalid, Quota, QuotaScope, QuotaWindow, Timestamp,
};
use crate::store::{QuotaCount, StoreError};

/// Where one stands with one quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaStatus {
    /// The quota.
    pub quota: Quota,
    /// What is spent and reserved of it.
    pub count: QuotaCount,
    /// When it begins anew.
    pub resets_at: Timestamp,
}

impl App {
    /// Who pays for what a caller asks for, and the quotas that hold.
    pub(in crate::app) fn payer(&self, caller: &Caller) -> Payer {
        let account = caller.account();
        let quotas = self.quotas_for(account.role, &account.quotas, caller.api_key());
        Payer { account_id: account.id, api_key_id: caller.api_key(), quotas }
    }

    /// Of each window the nearest: the account's own quota, else that of its role, else that of all accounts; and those of the key besides.
    fn quotas_for(&self, role: AccountRole, own: &[AccountQuota], key: Option<ApiKeyId>) -> Vec<Quota> {
        let set = &self.settings.metering.quotas;
        if set.is_empty() && own.is_empty() {
            return Vec::new();
        }
        let of = |scope, window| set.iter().find(|quota| quota.scope == scope && quota.window == window).copied();
        let of_account = QuotaWindow::ALL.into_iter().filter_map(|window| {
            let own = own.iter().find(|quota| quota.window == window);
            own.map(|own| Quota { scope: QuotaScope::Account, window, limits: own.limits })
                .or_else(|| of(QuotaScope::Role(role), window))
                .or_else(|| of(QuotaScope::Account, window))
        });
        let of_key = QuotaWindow::ALL.into_iter().filter_map(|window| key.and(of(QuotaScope::ApiKey, window)));
        of_account.chain(of_key).collect()
    }

    /// Where the caller stands with each quota that holds for the call.
    ///
    /// # Errors
    /// Only ours.
    pub async fn quota_status(&self, caller: &Caller) -> Result<Vec<QuotaStatus>, AppError> {
        let payer = self.payer(caller);
        self.status(payer.account_id, payer.api_key_id, payer.quotas).await
    }

    /// Where an account stands.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::NotFound`].
    pub async fn account_quota(&self, caller: &Caller, id: AccountId) -> Result<Vec<QuotaStatus>, AppError> {
        let account = self.read_account(caller, id).await?;
        self.status(id, None, self.quotas_for(account.role, &account.quotas, None)).await
    }

    /// Allows an account something else than the settings do, in the windows that are named; in the others they hold.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::NotFound`]; [`AppError::Invalid`] when a window is named twice.
    pub async fn set_account_quota(
        &self,
        caller: &Caller,
        id: AccountId,
        quotas: Vec<AccountQuota>,
    ) -> Result<Vec<QuotaStatus>, AppError> {
        caller.require(AccountRole::Admin)?;
        let twice =
            QuotaWindow::ALL.into_iter().any(|window| quotas.iter().filter(|quota| quota.window == window).count() > 1);
        if twice {
            return Err(Invalid::new("quotas", "each window can have one quota").into());
        }
        let there = self.db.set_account_quotas(id, quotas, self.clock.now()).await?;
        if !there {
            return Err(AppError::NotFound(Noun::Account));
        }
        tracing::info!(account = %id, by = %caller.id(), "an account's quota was changed");
        self.account_quota(caller, id).await
    }

    /// Begins an account's running windows anew: that window, or all of them.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::NotFound`].
    pub async fn reset_account_quota(
        &self,
        caller: &Caller,
        id: AccountId,
        window: Option<QuotaWindow>,
    ) -> Result<Vec<QuotaStatus>, AppError> {
        self.read_account(caller, id).await?;
        let windows = window.map_or(QuotaWindow::ALL.to_vec(), |window| vec![window]);
        for _ in 0..super::ATTEMPTS {
            match self.db.reset_quota_counters(id, windows.clone(), self.clock.now()).await {
                Err(StoreError::Duplicate) => {}
                outcome => {
                    outcome?;
                    tracing::info!(account = %id, by = %caller.id(), "an account's quota was reset");
                    return self.account_quota(caller, id).await;
                }
            }
        }
        Err(AppError::Overloaded)
    }

    async fn status(
        &self,
        account: AccountId,
        key: Option<ApiKeyId>,
        quotas: Vec<Quota>,
    ) -> Result<Vec<QuotaStatus>, AppError> {
        if quotas.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let counts = self.db.quota_counts(account, key, quotas, now).await?;
        let status =
            |(quota, count): (Quota, QuotaCount)| QuotaStatus { quota, count, resets_at: quota.window.bounds(now).1 };
        Ok(counts.into_iter().map(status).collect())
    }
}
