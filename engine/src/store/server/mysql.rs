//! MySQL and MariaDB.

use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{ConnectOptions as _, Connection as _, MySqlConnection, MySqlPool};

use super::{Again, CONNECT_PATIENCE, MYSQL, check_certificate, meaning, pool, run};
use crate::config::DatabaseSettings;
use crate::store::StoreError;
use crate::store::dialect::{Dialect, Statements};
use crate::store::tx::{Said, Tx};

#[derive(Debug, Clone)]
pub(in crate::store) struct Mysql {
    pub(in crate::store) pool: MySqlPool,
    statements: Arc<Statements>,
    /// Holds what [`Self::claim`] has locked.
    claim: Arc<Mutex<Option<MySqlConnection>>>,
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
        let pool = pool(settings).after_connect(move |connection, _| {
            Box::pin(async move {
                // A row is locked when it is written or asked for with a lock, and gaps between rows are not.
                sqlx::query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").execute(&mut *connection).await?;
                sqlx::query("SET SESSION innodb_lock_wait_timeout = ?").bind(seconds).execute(&mut *connection).await?;
                Ok(())
            })
        });
        let statements = Arc::new(Statements::new(Dialect::Mysql));
        Ok(Self { pool: pool.connect_lazy_with(options), statements, claim: Arc::default() })
    }

    pub(in crate::store) async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        let mut again = Again::default();
        loop {
            let outcome = self.once("START TRANSACTION", true, job.clone()).await;
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
        self.once("START TRANSACTION READ ONLY", false, job).await
    }

    /// Locks the database for this server, until it is closed or the connection that holds the lock is lost; false when another has it.
    pub(in crate::store) async fn claim(&self) -> Result<bool, StoreError> {
        let failed = |error: sqlx::Error| meaning(&error, &MYSQL);
        // Not out of the pool, which would wait and wait for a server that is not there.
        let options = self.pool.connect_options();
        let connecting = tokio::time::timeout(CONNECT_PATIENCE, MySqlConnection::connect_with(&options)).await;
        let mut connection = connecting.map_err(|_| StoreError::Unreachable("it does not answer"))?.map_err(failed)?;
        // The server's locks are for all of its databases: the name says which this is.
        let locked = sqlx::query_scalar("SELECT CAST(GET_LOCK(LEFT(CONCAT('parlor_', DATABASE()), 64), 0) AS SIGNED)");
        let locked: Option<i64> = locked.fetch_one(&mut connection).await.map_err(failed)?;
        if locked != Some(1) {
            return Ok(false);
        }
        // An idle connection would be closed in the end, and the lock with it.
        sqlx::query("SET SESSION wait_timeout = 31536000").execute(&mut connection).await.map_err(failed)?;
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(true)
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
        let failed = |error: sqlx::Error| meaning(&error, &MYSQL);
        let mut connection = self.pool.acquire().await.map_err(failed)?;
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

fn says_ssl_mode(url: &SecretString) -> bool {
    let url = url::Url::parse(url.expose_secret());
    url.is_ok_and(|url| url.query_pairs().any(|(name, _)| name == "ssl-mode" || name == "sslmode"))
}
