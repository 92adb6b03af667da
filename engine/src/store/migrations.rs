//! Migrations: embedded, numbered, checked by hash, applied under the database's own write lock.

use sha2::{Digest, Sha256};

use super::dialect::Dialect;
use super::server::{MYSQL, Mysql, POSTGRES, Postgres, check_mysql, check_postgres, meaning};
use super::sqlite::Sqlite;
use super::{Backend, Db, Kind, Reader, StoreError, Value, Values};
use crate::config::{DatabaseSettings, DatabaseUrl};
use crate::domain::Timestamp;

struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "foundation", sql: include_str!("migrations/0001_foundation.sql") },
    Migration { version: 2, name: "seeds", sql: include_str!("migrations/0002_seeds.sql") },
    Migration { version: 3, name: "accounts", sql: include_str!("migrations/0003_accounts.sql") },
    Migration { version: 4, name: "conversations", sql: include_str!("migrations/0004_conversations.sql") },
    Migration { version: 5, name: "files", sql: include_str!("migrations/0005_files.sql") },
    Migration { version: 6, name: "metering", sql: include_str!("migrations/0006_metering.sql") },
    Migration { version: 7, name: "moderation", sql: include_str!("migrations/0007_moderation.sql") },
    Migration { version: 8, name: "tools", sql: include_str!("migrations/0008_tools.sql") },
    Migration { version: 9, name: "servers", sql: include_str!("migrations/0009_servers.sql") },
    Migration { version: 10, name: "jobs", sql: include_str!("migrations/0010_jobs.sql") },
    Migration { version: 11, name: "leases", sql: include_str!("migrations/0011_leases.sql") },
    Migration { version: 12, name: "gateway threads", sql: include_str!("migrations/0012_gateway_threads.sql") },
    Migration { version: 13, name: "imports", sql: include_str!("migrations/0013_imports.sql") },
    Migration { version: 14, name: "search", sql: include_str!("migrations/0014_search.sql") },
];

impl Migration {
    fn state(&self, applied: &[(i64, String)]) -> MigrationState {
        let applied_now = !applied.iter().any(|(version, _)| *version == self.version);
        MigrationState { version: self.version, name: self.name, applied_now }
    }
}

/// The table of the migrations.
pub(super) const STANDING: &str = "schema_migrations";
/// Stands for a transfer into this database that has not come to its end; its hash is that of the source.
pub(super) const UNDER_WAY: i64 = 0;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (\
    version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, applied_at BIGINT NOT NULL)";

/// One migration as it stands before anything is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMigration {
    /// Its number, counting from 1.
    pub version: i64,
    /// What it is about.
    pub name: &'static str,
    /// Whether the database has it already.
    pub is_there: bool,
    /// What it says, as this database has it.
    pub sql: String,
}

/// One migration and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationState {
    /// Its number, counting from 1.
    pub version: i64,
    /// What it is about.
    pub name: &'static str,
    /// Whether this call applied it; false when it was there.
    pub applied_now: bool,
}

impl Db {
    /// What [`Db::migrate`] would do to the database that the settings name. Changes nothing, and makes no file where there is none.
    ///
    /// # Errors
    /// When the database cannot be read, or holds a migration that this program does not know or knows otherwise.
    pub async fn plan_migrations(settings: &DatabaseSettings) -> Result<Vec<PlannedMigration>, StoreError> {
        let planned = |applied: &[(i64, String)], ddl: &dyn Fn(&str) -> String| {
            MIGRATIONS
                .iter()
                .map(|migration| PlannedMigration {
                    version: migration.version,
                    name: migration.name,
                    is_there: !migration.state(applied).applied_now,
                    sql: ddl(migration.sql),
                })
                .collect()
        };
        if matches!(&settings.url, DatabaseUrl::Sqlite(path) if !path.exists()) {
            return Ok(planned(&[], &|sql| Dialect::Sqlite.ddl(sql)));
        }
        let mut reader = Reader::open(settings).await?;
        let applied = recorded(&mut reader).await?;
        check(&applied)?;
        Ok(planned(&applied, &|sql| reader.ddl(sql)))
    }

    /// Brings the schema up to what this program knows. All of it happens or nothing; on MySQL, where the making of a table cannot be undone,
    /// each migration for itself. Of several servers that start at once one does it, and the others wait.
    ///
    /// # Errors
    /// When the database holds a migration that this program does not know or knows otherwise, or when one fails.
    pub async fn migrate(&self, now: Timestamp) -> Result<Vec<MigrationState>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => migrate_sqlite(sqlite, now).await,
            Backend::Postgres(postgres) => migrate_postgres(postgres, now).await,
            Backend::Mysql(mysql) => migrate_mysql(mysql, now).await,
        }
    }
}

async fn migrate_sqlite(sqlite: &Sqlite, now: Timestamp) -> Result<Vec<MigrationState>, StoreError> {
    sqlite
        .write(move |tx| {
            Box::pin(async move {
                let super::Tx::Sqlite(connection) = tx else { return Err(StoreError::Closed) };
                connection.execute_batch(TABLE)?;
                let applied = connection
                    .prepare("SELECT version, hash FROM schema_migrations ORDER BY version")?
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<Result<Vec<(i64, String)>, _>>()?;
                check(&applied)?;
                let mut states = Vec::new();
                for migration in MIGRATIONS {
                    let state = migration.state(&applied);
                    if state.applied_now {
                        connection.execute_batch(&Dialect::Sqlite.ddl(migration.sql))?;
                        connection.execute(
                            "INSERT INTO schema_migrations (version, name, hash, applied_at) VALUES (?, ?, ?, ?)",
                            (migration.version, migration.name, hash(migration.sql), now.micros()),
                        )?;
                    }
                    states.push(state);
                }
                Ok(states)
            })
        })
        .await
}

const RECORDED: &str = "SELECT version, hash FROM schema_migrations ORDER BY version";
/// What the lock of the migrations is called, in letters and as a number.
const LOCK: &str = "parlor_migrations_";
const LOCK_NUMBER: i64 = 7_019_267_318_400_211;
/// How long one that came second waits, in seconds.
const LOCK_SECONDS: i64 = 600;
/// Stands for the hash of a migration that was begun and has not ended.
const BEGUN: &str = "begun";

async fn migrate_postgres(postgres: &Postgres, now: Timestamp) -> Result<Vec<MigrationState>, StoreError> {
    let work = async {
        let mut tx = postgres.pool.begin().await?;
        sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
        sqlx::query("SET LOCAL lock_timeout = 0").execute(&mut *tx).await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK_NUMBER).execute(&mut *tx).await?;
        let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut *tx).await?;
        if let Err(refused) = check_postgres(&version) {
            return Ok(Err(refused));
        }
        sqlx::raw_sql(TABLE).execute(&mut *tx).await?;
        let applied: Vec<(i64, String)> = sqlx::query_as(RECORDED).fetch_all(&mut *tx).await?;
        if let Err(refused) = check(&applied) {
            return Ok(Err(refused));
        }
        let mut states = Vec::new();
        for migration in MIGRATIONS {
            let state = migration.state(&applied);
            if state.applied_now {
                sqlx::raw_sql(sqlx::AssertSqlSafe(Dialect::Postgres.ddl(migration.sql))).execute(&mut *tx).await?;
                sqlx::query("INSERT INTO schema_migrations (version, name, hash, applied_at) VALUES ($1, $2, $3, $4)")
                    .bind(migration.version)
                    .bind(migration.name)
                    .bind(hash(migration.sql))
                    .bind(now.micros())
                    .execute(&mut *tx)
                    .await?;
            }
            states.push(state);
        }
        tx.commit().await?;
        Ok(Ok(states))
    };
    work.await.unwrap_or_else(|error: sqlx::Error| Err(meaning(&error, &POSTGRES)))
}

async fn migrate_mysql(mysql: &Mysql, now: Timestamp) -> Result<Vec<MigrationState>, StoreError> {
    let work = async {
        // The lock is the connection's: it goes with it, whatever happens.
        let mut connection = mysql.pool.acquire().await?.detach();
        // The server's locks are for all of its databases: the name says which this is.
        let lock = "SELECT CAST(GET_LOCK(LEFT(CONCAT(?, DATABASE()), 64), ?) AS SIGNED)";
        let locked: Option<i64> =
            sqlx::query_scalar(lock).bind(LOCK).bind(LOCK_SECONDS).fetch_one(&mut connection).await?;
        if locked != Some(1) {
            return Ok(Err(StoreError::Overloaded));
        }
        let version: String = sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut connection).await?;
        if let Err(refused) = check_mysql(&version) {
            return Ok(Err(refused));
        }
        let is_mariadb = version.contains("MariaDB");
        sqlx::raw_sql(TABLE).execute(&mut connection).await?;
        let applied: Vec<(i64, String)> = sqlx::query_as(RECORDED).fetch_all(&mut connection).await?;
        if let Err(refused) = check(&applied) {
            return Ok(Err(refused));
        }
        let mut states = Vec::new();
        for migration in MIGRATIONS {
            let state = migration.state(&applied);
            if state.applied_now {
                sqlx::query("INSERT INTO schema_migrations (version, name, hash, applied_at) VALUES (?, ?, ?, ?)")
                    .bind(migration.version)
                    .bind(migration.name)
                    .bind(BEGUN)
                    .bind(now.micros())
                    .execute(&mut connection)
                    .await?;
                let sql = Dialect::mysql_ddl(migration.sql, is_mariadb);
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await?;
                sqlx::query("UPDATE schema_migrations SET hash = ? WHERE version = ?")
                    .bind(hash(migration.sql))
                    .bind(migration.version)
                    .execute(&mut connection)
                    .await?;
            }
            states.push(state);
        }
        sqlx::Connection::close(connection).await?;
        Ok(Ok(states))
    };
    work.await.unwrap_or_else(|error: sqlx::Error| Err(meaning(&error, &MYSQL)))
}

/// The recorded migrations with their hashes; none where the schema has not been made.
pub(super) async fn recorded(reader: &mut Reader) -> Result<Vec<(i64, String)>, StoreError> {
    if reader.columns("schema_migrations").await?.is_empty() {
        return Ok(Vec::new());
    }
    let rows = reader.fetch(RECORDED.to_owned(), Vec::new(), &[Kind::Int, Kind::Text]).await?;
    let pair = |row: Values| match <[Value; 2]>::try_from(row) {
        Ok([Value::Int(version), Value::Text(hash)]) => Ok((version, hash)),
        _ => Err(StoreError::Corrupt { column: 0, expected: "a migration" }),
    };
    rows.into_iter().map(pair).collect()
}

fn hash(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What all migrations make, in memory.
pub(super) fn in_memory() -> Result<rusqlite::Connection, StoreError> {
    let connection = rusqlite::Connection::open_in_memory()?;
    connection.execute_batch(TABLE)?;
    for migration in MIGRATIONS {
        connection.execute_batch(&Dialect::Sqlite.ddl(migration.sql))?;
    }
    Ok(connection)
}

/// The first migration that is not among those.
pub(super) fn first_missing(applied: &[(i64, String)]) -> Option<i64> {
    MIGRATIONS.iter().find(|migration| migration.state(applied).applied_now).map(|migration| migration.version)
}

pub(super) fn check(applied: &[(i64, String)]) -> Result<(), StoreError> {
    for (version, recorded) in applied {
        if *version == UNDER_WAY {
            return Err(StoreError::HalfTransferred);
        }
        let problem = match MIGRATIONS.iter().find(|migration| migration.version == *version) {
            None => "is newer than this program: upgrade Parlor".to_owned(),
            Some(known) if recorded == BEGUN => {
                format!(
                    "({}) was begun and broke off: restore the database from a backup, or drop what it made",
                    known.name
                )
            }
            Some(known) if hash(known.sql) != *recorded => {
                format!(
                    "({}) is not the one this program knows: the schema was changed by hand or by a fork",
                    known.name
                )
            }
            Some(_) => continue,
        };
        return Err(StoreError::Migration { version: *version, problem });
    }
    Ok(())
}
