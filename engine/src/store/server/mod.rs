//! The database servers, PostgreSQL and MySQL or MariaDB: pools of connections, and transactions that are tried again where two got into
//! each other's way.

mod mysql;
mod postgres;
mod transactions;
mod version;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::mysql::MySqlDatabaseError;
use sqlx::pool::PoolOptions;

use super::StoreError;
use crate::config::{DatabaseSettings, read_certificates};

pub(super) use mysql::Mysql;
pub(super) use postgres::Postgres;
pub(super) use version::{check_mysql, check_postgres};

/// How often a transaction is tried whose changes clash with another's.
const TRIES: u32 = 8;
/// How long a caller waits for its transaction.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a caller waits for a connection, and how long the first one may take. A server that is restarted is back before it is over.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// The wait before the second try, doubled before each further one; half of it is left to chance.
const FIRST_WAIT: Duration = Duration::from_millis(4);

fn pool<D: sqlx::Database>(settings: &DatabaseSettings) -> PoolOptions<D> {
    PoolOptions::new()
        .max_connections(settings.pool_size.saturating_add(settings.max_overflow))
        .acquire_timeout(CONNECT_PATIENCE)
        // What is above `pool_size` goes again when it has nothing to do.
        .min_connections(0)
        .idle_timeout(Duration::from_secs(600))
        .max_lifetime(Duration::from_secs(1800))
}

/// Makes sure that the certificate, by which the server shall be known, is one: the driver would only say that there is no connection.
fn check_certificate(url: &SecretString, setting: Option<&Path>) -> Result<(), StoreError> {
    let parsed = url::Url::parse(url.expose_secret()).ok();
    let named = parsed.iter().flat_map(|url| url.query_pairs());
    let named = named.filter(|(name, _)| ["sslrootcert", "ssl-root-cert", "sslca", "ssl-ca"].contains(&name.as_ref()));
    for path in named.map(|(_, path)| PathBuf::from(path.as_ref())).chain(setting.map(Path::to_owned)) {
        read_certificates(&path).map_err(|problem| StoreError::Open(format!("its certificate: {problem}")))?;
    }
    Ok(())
}

/// Decides whether a transaction is run again.
#[derive(Default)]
struct Again {
    clashes: u32,
    was_taken: bool,
}

impl Again {
    /// Whether it shall be, after the wait that this may need.
    async fn after<T>(&mut self, outcome: &Result<T, StoreError>) -> bool {
        match outcome {
            Err(StoreError::Clash) if self.clashes + 1 < TRIES => {
                let full = FIRST_WAIT.saturating_mul(1 << self.clashes.min(6));
                tokio::time::sleep(full.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
                self.clashes += 1;
                true
            }
            // Somebody stored the same at the same moment: a second look finds it, where the job looks before it stores.
            Err(StoreError::Duplicate) if !self.was_taken => {
                self.was_taken = true;
                true
            }
            _ => false,
        }
    }
}

/// Runs a job within its time, and takes its panic as a failure: whatever it did is undone with its transaction.
async fn run<T>(job: BoxFuture<'_, Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, AssertUnwindSafe(job).catch_unwind()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            tracing::error!("a database job panicked");
            Err(StoreError::Panicked)
        }
        Err(_) => Err(StoreError::Overloaded),
    }
}

/// What a driver's error means. The texts of a server's errors may hold values of rows: only their code is kept.
pub(super) fn meaning(error: &sqlx::Error, codes: &Codes) -> StoreError {
    match error {
        sqlx::Error::Database(refused) if refused.is_unique_violation() => StoreError::Duplicate,
        sqlx::Error::Database(refused) => {
            let code = (codes.of)(refused.as_ref());
            if codes.clash.contains(&code.as_str()) {
                StoreError::Clash
            } else if codes.busy.contains(&code.as_str()) {
                StoreError::Overloaded
            } else if codes.absent.contains(&code.as_str()) {
                StoreError::Unreachable("it is stopping or starting")
            } else {
                let known = codes.meanings.iter().find(|(known, _)| *known == code);
                let meaning = known.map_or("it refuses a statement", |(_, meaning)| meaning);
                StoreError::Server { database: codes.database, meaning, code }
            }
        }
        sqlx::Error::PoolTimedOut => StoreError::Overloaded,
        sqlx::Error::PoolClosed => StoreError::Closed,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            StoreError::Corrupt { column: 0, expected: "the schema's type" }
        }
        sqlx::Error::Io(failed) => StoreError::Unreachable(io_meaning(failed)),
        sqlx::Error::Tls(_) => StoreError::Unreachable("no TLS connection came about"),
        // Without TLS it would be encrypted with the server's key by RSA, which the driver is built without: see deny.toml.
        sqlx::Error::Configuration(problem) if problem.to_string().contains("RSA") => StoreError::Unreachable(
            "the user's password (caching_sha2_password) goes over TLS alone, and this connection has none",
        ),
        _ => StoreError::Unreachable("there is no connection"),
    }
}

/// What kept a connection from coming about. A certificate that is not accepted comes as an error of the socket's.
fn io_meaning(error: &std::io::Error) -> &'static str {
    use rustls::{CertificateError, Error};
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        None => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "nothing listens at its address",
            std::io::ErrorKind::TimedOut => "it does not answer",
            // The resolver's errors have no kind of their own.
            _ if error.to_string().contains("failed to lookup address") => "its host's name has no address",
            _ => "there is no connection",
        },
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "its certificate is not signed by the authority that it is checked against"
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "its certificate is for another host name",
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "its certificate has expired"
        }
        Some(Error::InvalidCertificate(_)) => "its certificate is not accepted",
        Some(_) => "no TLS connection came about",
    }
}

/// What a server calls what.
pub(super) struct Codes {
    database: &'static str,
    /// The code of a refusal.
    of: fn(&dyn sqlx::error::DatabaseError) -> String,
    /// Undone because of another transaction: worth another try.
    clash: &'static [&'static str],
    /// Refused because there is too much to do.
    busy: &'static [&'static str],
    /// Refused because it comes or goes.
    absent: &'static [&'static str],
    /// Refused for what an operator can mend.
    meanings: &'static [(&'static str, &'static str)],
}

const NO_ENTRY: &str = "it does not let this user in: its name, its password, or from where it comes";
const NO_DATABASE: &str = "it has no such database, or this user may not use it";
const NOT_ALLOWED: &str = "this user may not do what Parlor needs: give it all rights on its database";
const NO_DISK: &str = "its disk is full";
const READ_ONLY: &str = "it takes no changes: it may be a standby";

/// SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub(super) const POSTGRES: Codes = Codes {
    database: "PostgreSQL",
    of: |refused| refused.code().unwrap_or_default().into_owned(),
    // serialization_failure, deadlock_detected
    clash: &["40001", "40P01"],
    // too_many_connections, lock_not_available, query_canceled (by its timeout)
    busy: &["53300", "55P03", "57014"],
    // admin_shutdown, crash_shutdown, cannot_connect_now
    absent: &["57P01", "57P02", "57P03"],
    meanings: &[
        // invalid_authorization_specification, invalid_password
        ("28000", NO_ENTRY),
        ("28P01", NO_ENTRY),
        // invalid_catalog_name
        ("3D000", NO_DATABASE),
        // insufficient_privilege
        ("42501", NOT_ALLOWED),
        // disk_full
        ("53100", NO_DISK),
        // read_only_sql_transaction
        ("25006", READ_ONLY),
    ],
};

/// Error numbers, which are finer than its SQLSTATE: <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>
pub(super) const MYSQL: Codes = Codes {
    database: "MySQL",
    of: |refused| {
        refused.try_downcast_ref::<MySqlDatabaseError>().map(|refused| refused.number().to_string()).unwrap_or_default()
    },
    // ER_LOCK_DEADLOCK
    clash: &["1213"],
    // ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_LOCK_WAIT_TIMEOUT
    busy: &["1040", "1203", "1205"],
    // ER_SERVER_SHUTDOWN, ER_QUERY_INTERRUPTED
    absent: &["1053", "1317"],
    meanings: &[
        // ER_ACCESS_DENIED_ERROR, ER_DBACCESS_DENIED_ERROR, ER_BAD_DB_ERROR
        ("1045", NO_ENTRY),
        ("1044", NO_DATABASE),
        ("1049", NO_DATABASE),
        // ER_TABLEACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR
        ("1142", NOT_ALLOWED),
        ("1227", NOT_ALLOWED),
        // ER_DISK_FULL, ER_RECORD_FILE_FULL
        ("1021", NO_DISK),
        ("1114", NO_DISK),
        // ER_OPTION_PREVENTS_STATEMENT, ER_READ_ONLY_MODE
        ("1290", READ_ONLY),
        ("1836", READ_ONLY),
        // ER_NET_PACKET_TOO_LARGE
        ("1153", "a value is longer than its max_allowed_packet"),
        // ER_SECURE_TRANSPORT_REQUIRED
        ("3159", "it takes connections with TLS alone: set ssl-mode=REQUIRED in the URL"),
    ],
};
