//! MySQL and MariaDB.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlSslMode};
use sqlx::pool::PoolOptions;
use sqlx::{ConnectOptions as _, Connection as _, MySqlConnection, MySqlPool};

use super::{Again, CONNECT_PATIENCE, MYSQL, check_certificate, meaning, pool, run};
use crate::config::DatabaseSettings;
use crate::store::StoreError;
use crate::store::dialect::{Dialect, Statements};
use crate::store::tx::{Said, Tx};

#[derive(Debug, Clone)]
pub(in crate::store) struct Mysql {
    pub(in crate::store) pool: MySqlPool,
    /// One connection.
    apart: MySqlPool,
    statements: Arc<Statements>,
}

impl Mysql {
    /// Reads the URL; connects with the first transaction. With a certificate, the server's is checked against it, unless the URL says how far it
    /// shall be checked.
    pub(in crate::store) fn open(
        url: &SecretString,
        ssl_ca: Option<&Path>,
        settings: &DatabaseSettings,
    ) -> Result<Self, StoreError> {
        check_certificate(url, ssl_ca)?;
        let unusable = |_| StoreError::Open("the MySQL URL cannot be used".to_owned());
        let mut options = MySqlConnectOptions::from_str(url.expose_secret())
            .map_err(unusable)?
            .charset("utf8mb4")
            .collation("utf8mb4_bin")
            .disable_statement_logging();
        if let Some(ssl_ca) = ssl_ca {
            options = options.ssl_ca(ssl_ca);
            if !says_ssl_mode(url) {
                options = options.ssl_mode(MySqlSslMode::VerifyCa);
            }
        }
        let seconds = i64::try_from(settings.busy_timeout.as_secs().max(1)).unwrap_or(i64::MAX);
        let prepared = |pool: PoolOptions<MySql>| {
            pool.after_connect(move |connection, _| {
                Box::pin(async move {
                    // A row is locked when it is written or asked for with a lock, and gaps between rows are not.
                    sqlx::query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                        .execute(&mut *connection)
                        .await?;
                    sqlx::query("SET SESSION innodb_lock_wait_timeout = ?")
                        .bind(seconds)
                        .execute(&mut *connection)
                        .await?;
                    Ok(())
                })
            })
        };
        let statements = Arc::new(Statements::new(Dialect::Mysql));
        let apart = prepared(pool(settings).max_connections(1)).connect_lazy_with(options.clone());
        Ok(Self { pool: prepared(pool(settings)).connect_lazy_with(options), apart, statements })
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

    async fn write_through<T, F>(&self, pool: &MySqlPool, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        let mut again = Again::default();
        loop {
            let outcome = self.once(pool, "START TRANSACTION", true, job.clone()).await;
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
        self.once(&self.pool, "START TRANSACTION READ ONLY", false, job).await
    }

    /// Connects once, without the patience that the pool has with a server that is not there.
    pub(in crate::store) async fn reach(&self) -> Result<(), StoreError> {
        let failed = |error: sqlx::Error| meaning(&error, &MYSQL);
        let options = self.pool.connect_options();
        let connecting = tokio::time::timeout(CONNECT_PATIENCE, MySqlConnection::connect_with(&options)).await;
        let connection = connecting.map_err(|_| StoreError::Unreachable("it does not answer"))?.map_err(failed)?;
        connection.close().await.map_err(failed)
    }

    pub(in crate::store) async fn close(&self) {
        self.apart.close().await;
        self.pool.close().await;
    }

    async fn once<T, F>(&self, pool: &MySqlPool, begin: &'static str, commits: bool, job: F) -> Result<T, StoreError>
    where
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send,
    {
        let failed = |error: sqlx::Error| meaning(&error, &MYSQL);
        let mut connection = pool.acquire().await.map_err(failed)?;
        if !commits {
            // One state for all of a reader's queries.
            let snapshot = sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
            snapshot.execute(&mut *connection).await.map_err(failed)?;
        }
        let mut transaction = connection.begin_with(begin).await.map_err(failed)?;
        let outcome = run(job(&mut Tx::Mysql(&mut transaction, Said(&self.statements)))).await;
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

fn says_ssl_mode(url: &SecretString) -> bool {
    let url = url::Url::parse(url.expose_secret());
    url.is_ok_and(|url| url.query_pairs().any(|(name, _)| name == "ssl-mode" || name == "sslmode"))
}
