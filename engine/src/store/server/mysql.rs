//! MySQL and MariaDB.

use std::path::Path;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlSslMode};
use sqlx::pool::PoolOptions;
use sqlx::{ConnectOptions as _, MySqlConnection};

use super::transactions::{Kind, Server};
use super::{Codes, MYSQL, check_certificate, pool};
use crate::config::DatabaseSettings;
use crate::store::StoreError;
use crate::store::dialect::Dialect;
use crate::store::tx::{Said, Tx};

pub(in crate::store) type Mysql = Server<IsMysql>;

/// MariaDB is one too.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct IsMysql;

impl Kind for IsMysql {
    type Database = MySql;

    const DIALECT: Dialect = Dialect::Mysql;
    const CODES: &'static Codes = &MYSQL;
    const BEGIN_WRITE: &'static str = "START TRANSACTION";
    const BEGIN_READ: &'static str = "START TRANSACTION READ ONLY";

    async fn before_read(connection: &mut MySqlConnection) -> sqlx::Result<()> {
        let snapshot = sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
        snapshot.execute(connection).await.map(drop)
    }

    fn tx<'c>(connection: &'c mut MySqlConnection, said: Said<'c>) -> Tx<'c> {
        Tx::Mysql(connection, said)
    }
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
        let apart = prepared(pool(settings).max_connections(1)).connect_lazy_with(options.clone());
        Ok(Self::new(prepared(pool(settings)).connect_lazy_with(options), apart))
    }
}

fn says_ssl_mode(url: &SecretString) -> bool {
    let url = url::Url::parse(url.expose_secret());
    url.is_ok_and(|url| url.query_pairs().any(|(name, _)| name == "ssl-mode" || name == "sslmode"))
}
