//! One transfer at a time into one target. The lock is of the connection that writes: with that it goes, whatever ends it.

use std::time::Duration;

use super::writer::Writer;
use crate::store::StoreError;
use crate::store::server::{MYSQL, POSTGRES, meaning};

/// How often the lock is asked for, and the wait in between: a server may take a moment to notice that its holder was killed.
const TRIES: u32 = 50;
const WAIT: Duration = Duration::from_millis(100);

/// What the lock is called, as a number, on PostgreSQL, where it is the database's.
const LOCK_NUMBER: i64 = 7_019_267_318_400_212;
/// On MySQL it is the server's: its name says of which database, in 64 characters at most.
const MYSQL_LOCK: &str =
    "SELECT CAST(GET_LOCK(CONCAT('parlor_transfer_', LEFT(SHA2(DATABASE(), 256), 40)), 0) AS SIGNED)";

/// Keeps other transfers out of the target, for as long as the writer is there; `false` when one is under way. A SQLite file is locked already.
pub(super) async fn claim(writer: &mut Writer) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        if is_given(writer).await? {
            return Ok(true);
        }
        tokio::time::sleep(WAIT).await;
    }
    Ok(false)
}

async fn is_given(writer: &mut Writer) -> Result<bool, StoreError> {
    match writer {
        Writer::Sqlite(_) => Ok(true),
        Writer::Postgres(connection) => {
            let asking = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK_NUMBER);
            asking.fetch_one(connection).await.map_err(|error| meaning(&error, &POSTGRES))
        }
        Writer::Mysql(connection) => {
            let given: Option<i64> =
                sqlx::query_scalar(MYSQL_LOCK).fetch_one(connection).await.map_err(|error| meaning(&error, &MYSQL))?;
            Ok(given == Some(1))
        }
    }
}
