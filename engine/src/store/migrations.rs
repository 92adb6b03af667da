//! Migrations: embedded, numbered, checked by hash, applied under the database's own write lock.

use sha2::{Digest, Sha256};

use super::{Backend, Db, StoreError, dialect, sqlite::Sqlite};
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
    Migration { version: 8, name: "moderation", sql: include_str!("migrations/0008_moderation.sql") },
    Migration { version: 18, name: "tools", sql: include_str!("migrations/0018_tools.sql") },
];

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (\
    version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, applied_at BIGINT NOT NULL)";

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
    /// Brings the schema up to what this program knows. All of it happens or nothing.
    ///
    /// # Errors
    /// When the database holds a migration that this program does not know or knows otherwise, or when one fails.
    pub async fn migrate(&self, now: Timestamp) -> Result<Vec<MigrationState>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => migrate_sqlite(sqlite, now).await,
        }
    }
}

async fn migrate_sqlite(sqlite: &Sqlite, now: Timestamp) -> Result<Vec<MigrationState>, StoreError> {
    sqlite
        .write(move |tx| {
            Box::pin(async move {
                let super::Tx::Sqlite(connection) = tx;
                connection.execute_batch(TABLE)?;
                let applied = connection
                    .prepare("SELECT version, hash FROM schema_migrations ORDER BY version")?
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<Result<Vec<(i64, String)>, _>>()?;
                check(&applied)?;
                let mut states = Vec::new();
                for migration in MIGRATIONS {
                    let applied_now = !applied.iter().any(|(version, _)| *version == migration.version);
                    if applied_now {
                        connection.execute_batch(&dialect::sqlite_ddl(migration.sql))?;
                        connection.execute(
                            "INSERT INTO schema_migrations (version, name, hash, applied_at) VALUES (?, ?, ?, ?)",
                            (migration.version, migration.name, hash(migration.sql), now.micros()),
                        )?;
                    }
                    states.push(MigrationState { version: migration.version, name: migration.name, applied_now });
                }
                Ok(states)
            })
        })
        .await
}

fn hash(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(applied: &[(i64, String)]) -> Result<(), StoreError> {
    for (version, recorded) in applied {
        let problem = match MIGRATIONS.iter().find(|migration| migration.version == *version) {
            None => "is newer than this program: upgrade Parlor".to_owned(),
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
