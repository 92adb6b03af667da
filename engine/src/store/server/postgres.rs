//! PostgreSQL.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};

use super::{Again, CONNECT_PATIENCE, POSTGRES, check_certificate, meaning, pool, run};
use crate::config::DatabaseSettings;
use crate::store::StoreError;
use crate::store::dialect::{Dialect, Statements};
use crate::store::tx::{Said, Tx};

/// The number of the lock that one server holds.
const CLAIM: i64 = 7_019_267_318_400_212;

#[derive(Debug, Clone)]
pub(in crate::store) struct Postgres {
    pub(in crate::store) pool: PgPool,
    statements: Arc<Statements>,
    /// Holds what [`Self::claim`] has locked.
    claim: Arc<Mutex<Option<PgConnection>>>,
}

impl Postgres {
    /// Reads the URL; connects with the first transaction.
    pub(in crate::store) fn open(url: &SecretString, settings: &DatabaseSettings) -> Result<Self, StoreError> {
        check_certificate(url, None)?;
        let unusable = |_| StoreError::Open("the PostgreSQL URL cannot be used".to_owned());
        let milliseconds = settings.busy_timeout.as_millis().to_string();
        let options = PgConnectOptions::from_str(url.expose_secret())
            .map_err(unusable)?
            .application_name("parlor")
            .options([("lock_timeout", milliseconds.as_str()), ("statement_timeout", "60000")])
            .disable_statement_logging();
        let statements = Arc::new(Statements::new(Dialect::Postgres));
        Ok(Self { pool: pool(settings).connect_lazy_with(options), statements, claim: Arc::default() })
    }

    pub(in crate::store) async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        let mut again = Again::default();
        loop {
            let outcome = self.once("BEGIN ISOLATION LEVEL READ COMMITTED", true, job.clone()).await;
            if !again.after(&outcome).await {
                return outcome;
            }
        }
    }

    pub(in crate::store) async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        self.once("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", false, job).await
    }

    /// Locks the database for this server, until it is closed or the connection that holds the lock is lost; false when another has it.
    pub(in crate::store) async fn claim(&self) -> Result<bool, StoreError> {
        let failed = |error: sqlx::Error| meaning(&error, &POSTGRES);
        // Not out of the pool, which would wait and wait for a server that is not there.
        let options = self.pool.connect_options();
        let connecting = tokio::time::timeout(CONNECT_PATIENCE, PgConnection::connect_with(&options)).await;
        let mut connection = connecting.map_err(|_| StoreError::Unreachable("it does not answer"))?.map_err(failed)?;
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(CLAIM);
        let locked: bool = locked.fetch_one(&mut connection).await.map_err(failed)?;
        if locked {
            *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        }
        Ok(locked)
    }

    pub(in crate::store) async fn close(&self) {
        let claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connection) = claim {
            // Gone in one way or the other; the lock goes with it.
            let _ = connection.close().await;
        }
        self.pool.close().await;
    }

    async fn once<T, F>(&self, begin: &'static str, commits: bool, job: F) -> Result<T, StoreError>
    where
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send,
    {
        let failed = |error: sqlx::Error| meaning(&error, &POSTGRES);
        let mut transaction = self.pool.begin_with(begin).await.map_err(failed)?;
        let outcome = run(job(&mut Tx::Postgres(&mut transaction, Said(&self.statements)))).await;
        match outcome {
            Ok(value) if commits => {
                transaction.commit().await.map_err(|error| match failed(error) {
                    StoreError::Clash => StoreError::Clash,
                    other => StoreError::Commit(other.to_string()),
                })?;
                Ok(value)
            }
            outcome => {
                // Dropped or rolled back, it is undone either way; a connection that is gone is the pool's to notice.
                let _ = transaction.rollback().await;
                outcome
            }
        }
    }
}
