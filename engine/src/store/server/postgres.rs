//! PostgreSQL.

use std::str::FromStr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};

use super::{Again, CONNECT_PATIENCE, POSTGRES, check_certificate, meaning, pool, run};
use crate::config::DatabaseSettings;
use crate::store::StoreError;
use crate::store::dialect::{Dialect, Statements};
use crate::store::tx::{Said, Tx};

#[derive(Debug, Clone)]
pub(in crate::store) struct Postgres {
    pub(in crate::store) pool: PgPool,
    /// One connection.
    apart: PgPool,
    statements: Arc<Statements>,
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
        let apart = pool(settings).max_connections(1).connect_lazy_with(options.clone());
        Ok(Self { pool: pool(settings).connect_lazy_with(options), apart, statements })
    }

    pub(in crate::store) async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        self.write_through(&self.pool, job).await
    }

    /// As [`Self::write`], over a connection that is kept for what must not wait behind everything else.
    pub(in crate::store) async fn write_apart<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        self.write_through(&self.apart, job).await
    }

    async fn write_through<T, F>(&self, pool: &PgPool, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        let mut again = Again::default();
        loop {
            let outcome = self.once(pool, "BEGIN ISOLATION LEVEL READ COMMITTED", true, job.clone()).await;
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
        self.once(&self.pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", false, job).await
    }

    /// Connects once, without the patience that the pool has with a server that is not there.
    pub(in crate::store) async fn reach(&self) -> Result<(), StoreError> {
        let failed = |error: sqlx::Error| meaning(&error, &POSTGRES);
        let options = self.pool.connect_options();
        let connecting = tokio::time::timeout(CONNECT_PATIENCE, PgConnection::connect_with(&options)).await;
        let connection = connecting.map_err(|_| StoreError::Unreachable("it does not answer"))?.map_err(failed)?;
        connection.close().await.map_err(failed)
    }

    pub(in crate::store) async fn close(&self) {
        self.apart.close().await;
        self.pool.close().await;
    }

    async fn once<T, F>(&self, pool: &PgPool, begin: &'static str, commits: bool, job: F) -> Result<T, StoreError>
    where
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send,
    {
        let failed = |error: sqlx::Error| meaning(&error, &POSTGRES);
        let mut transaction = pool.begin_with(begin).await.map_err(failed)?;
        let outcome = run(job(&mut Tx::Postgres(&mut transaction, Said(&self.statements)))).await;
        match outcome {
            Ok(value) if commits => {
                transaction.commit().await.map_err(|error| match failed(error) {
                    known @ (StoreError::Clash | StoreError::Unreachable(_)) => known,
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
