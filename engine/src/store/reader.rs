//! Reading any database as it is, row by row: one consistent state, nothing changed. For what looks at schemas and copies whole tables, where
//! statements are made from a catalogue; all else goes through [`Tx`](super::Tx).

use std::path::Path;

use futures_util::TryStreamExt as _;
use rusqlite::OpenFlags;
use rusqlite::types::ValueRef;
use sqlx::{Connection as _, MySqlConnection, PgConnection, Row as _};
use tokio::sync::mpsc;

use super::StoreError;
use super::dialect::Dialect;
use super::server::{CONNECT_PATIENCE, MYSQL, Mysql, POSTGRES, Postgres, meaning};
use crate::config::{DatabaseSettings, DatabaseUrl};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An integer.
    Int,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// Text, or bytes where somebody else has stored what is none.
    TextOrBytes,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// NULL.
    Null,
    /// An integer.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// How many bytes it takes, roughly.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Null | Self::Int(_) => 16,
            Self::Text(text) => 24 + text.len(),
            Self::Bytes(bytes) => 24 + bytes.len(),
        }
    }

    /// The text, where it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The values of one row, as the query lists them.
pub type Values = Vec<Value>;

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, Value as Owned};
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Owned::Null),
            Self::Int(value) => ToSqlOutput::Owned(Owned::Integer(*value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Self::Bytes(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
        })
    }
}

/// A connection in a transaction that reads.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    is_mariadb: bool,
}

#[derive(Debug)]
enum Connection {
    /// `None` while a thread has it.
    Sqlite(Option<rusqlite::Connection>),
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

/// A statement with its parameters, as sqlx takes them.
macro_rules! bound {
    ($sql:expr, $params:expr) => {{
        let mut query = sqlx::query(sqlx::AssertSqlSafe($sql));
        for param in $params {
            query = match param {
                Value::Null => query.bind(None::<i64>),
                Value::Int(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.as_str()),
                Value::Bytes(value) => query.bind(value.as_slice()),
            };
        }
        query
    }};
}
pub(super) use bound;

/// A row of a server's as values of those kinds.
macro_rules! values {
    ($row:expr, $kinds:expr) => {{
        let mut values = Vec::with_capacity($kinds.len());
        for (at, kind) in $kinds.iter().enumerate() {
            values.push(match kind {
                Kind::Int => $row.try_get::<Option<i64>, _>(at)?.map_or(Value::Null, Value::Int),
                Kind::Text => $row.try_get::<Option<String>, _>(at)?.map_or(Value::Null, Value::Text),
                Kind::Bytes => $row.try_get::<Option<Vec<u8>>, _>(at)?.map_or(Value::Null, Value::Bytes),
                Kind::TextOrBytes => {
                    $row.try_get_unchecked::<Option<Vec<u8>>, _>(at)?.map_or(Value::Null, text_or_bytes)
                }
            });
        }
        values
    }};
}

impl Reader {
    /// Opens a database that is there.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub async fn open(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        match &settings.url {
            DatabaseUrl::Sqlite(path) => Self::file(path, settings.busy_timeout),
            DatabaseUrl::Postgres(url) => Self::postgres(&Postgres::open(url, settings)?).await,
            DatabaseUrl::Mysql { url, ssl_ca } => Self::mysql(&Mysql::open(url, ssl_ca.as_deref(), settings)?).await,
        }
    }

    fn file(path: &Path, busy_timeout: std::time::Duration) -> Result<Self, StoreError> {
        let failed = |error: rusqlite::Error| StoreError::Open(format!("{}: {error}", path.display()));
        if !path.is_file() {
            return Err(StoreError::Open(format!("{}: there is no such file", path.display())));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(busy_timeout).map_err(failed)?;
        connection.pragma_update(None, "trusted_schema", false).map_err(failed)?;
        connection.execute_batch("BEGIN").map_err(failed)?;
        Ok(Self { connection: Connection::Sqlite(Some(connection)), is_mariadb: false })
    }

    pub(super) async fn postgres(postgres: &Postgres) -> Result<Self, StoreError> {
        let failed = |error: sqlx::Error| meaning(&error, &POSTGRES);
        let options = postgres.pool.connect_options();
        let connecting = tokio::time::timeout(CONNECT_PATIENCE, PgConnection::connect_with(&options)).await;
        let mut connection = connecting.map_err(|_| StoreError::Unreachable("it does not answer"))?.map_err(failed)?;
        for statement in [
            "SET statement_timeout = 0",
            "SET TIME ZONE 'UTC'",
            // A database that knows no encoding would refuse each query that meets what is not UTF-8: let it come as it is stored.
            "SELECT set_config('client_encoding', 'SQL_ASCII', false) WHERE current_setting('server_encoding') = 'SQL_ASCII'",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        ] {
            sqlx::raw_sql(statement).execute(&mut connection).await.map_err(failed)?;
        }
        Ok(Self { connection: Connection::Postgres(connection), is_mariadb: false })
    }

    pub(super) async fn mysql(mysql: &Mysql) -> Result<Self, StoreError> {
        let failed = |error: sqlx::Error| meaning(&error, &MYSQL);
        let options = mysql.pool.connect_options();
        let connecting = tokio::time::timeout(CONNECT_PATIENCE, MySqlConnection::connect_with(&options)).await;
        let mut connection = connecting.map_err(|_| StoreError::Unreachable("it does not answer"))?.map_err(failed)?;
        for statement in [
            // It waits for a reader that is busy storing what it has read.
            "SET SESSION net_write_timeout = 3600",
            "SET SESSION time_zone = '+00:00'",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ] {
            sqlx::raw_sql(statement).execute(&mut connection).await.map_err(failed)?;
        }
        let version: String =
            sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut connection).await.map_err(failed)?;
        Ok(Self { connection: Connection::Mysql(connection), is_mariadb: version.contains("MariaDB") })
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.connection {
            Connection::Sqlite(_) => Dialect::Sqlite,
            Connection::Postgres(_) => Dialect::Postgres,
            Connection::Mysql(_) => Dialect::Mysql,
        }
    }

    /// A migration as this database has it.
    pub(super) fn ddl(&self, migration: &str) -> String {
        match self.dialect() {
            Dialect::Mysql => Dialect::mysql_ddl(migration, self.is_mariadb),
            dialect => dialect.ddl(migration),
        }
    }

    /// Quotes a name, and says a column as text, as this database does.
    #[must_use]
    pub fn as_text(&self, column: &str) -> String {
        let column = self.dialect().quoted(column);
        match self.dialect() {
            Dialect::Sqlite | Dialect::Postgres => format!("CAST({column} AS TEXT)"),
            Dialect::Mysql => format!("CAST({column} AS CHAR CHARACTER SET utf8mb4)"),
        }
    }

    /// Quotes a name.
    #[must_use]
    pub fn quoted(&self, name: &str) -> String {
        self.dialect().quoted(name)
    }

    /// The tables, without views, by name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tables(&mut self) -> Result<Vec<String>, StoreError> {
        let sql = match self.dialect() {
            Dialect::Sqlite => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            }
            Dialect::Postgres => {
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' \
                 ORDER BY table_name"
            }
            Dialect::Mysql => {
                "SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
                 AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME"
            }
        };
        let rows = self.fetch(sql.to_owned(), Vec::new(), &[Kind::Text]).await?;
        Ok(rows.iter().filter_map(|row| row.first()?.text().map(str::to_owned)).collect())
    }

    /// The columns of the table or view of that name, in order; none when there is no such thing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn columns(&mut self, table: &str) -> Result<Vec<String>, StoreError> {
        let sql = match self.dialect() {
            Dialect::Sqlite => "SELECT name FROM pragma_table_info(?)",
            Dialect::Postgres => {
                "SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 \
                 ORDER BY ordinal_position"
            }
            Dialect::Mysql => {
                "SELECT CAST(COLUMN_NAME AS CHAR) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? \
                 ORDER BY ORDINAL_POSITION"
            }
        };
        let rows = self.fetch(sql.to_owned(), vec![Value::Text(table.to_owned())], &[Kind::Text]).await?;
        Ok(rows.iter().filter_map(|row| row.first()?.text().map(str::to_owned)).collect())
    }

    /// All rows of a query's answer. Parameters are said as the database says them: `$1` on PostgreSQL, else `?`.
    ///
    /// # Errors
    /// What the database says, or when a column holds another kind.
    pub async fn fetch(&mut self, sql: String, params: Vec<Value>, kinds: &[Kind]) -> Result<Vec<Values>, StoreError> {
        let mut rows = Vec::new();
        self.each(sql, params, kinds, usize::MAX, |row| rows.push(row)).await?;
        Ok(rows)
    }

    /// The first rows of a query's answer, until they are `bytes` large; one in any case, if there is one.
    pub(super) async fn each(
        &mut self,
        sql: String,
        params: Vec<Value>,
        kinds: &[Kind],
        bytes: usize,
        mut take: impl FnMut(Values) + Send,
    ) -> Result<(), StoreError> {
        let mut size = 0_usize;
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let kinds = kinds.to_vec();
                let work = move |connection: &rusqlite::Connection| {
                    let mut rows = Vec::new();
                    read(connection, &sql, &params, &kinds, |row| {
                        size += row.iter().map(Value::size).sum::<usize>();
                        rows.push(row);
                        size < bytes
                    })?;
                    Ok(rows)
                };
                on_a_thread(connection, work).await?.into_iter().for_each(take);
                Ok(())
            }
            Connection::Postgres(connection) => {
                let reading = async {
                    let mut rows = bound!(sql, &params).fetch(connection);
                    while let Some(row) = rows.try_next().await? {
                        let values: Values = values!(row, kinds);
                        size += values.iter().map(Value::size).sum::<usize>();
                        take(values);
                        if size >= bytes {
                            break;
                        }
                    }
                    Ok(())
                };
                reading.await.map_err(|error: sqlx::Error| meaning(&error, &POSTGRES))
            }
            Connection::Mysql(connection) => {
                let reading = async {
                    let mut rows = bound!(sql, &params).fetch(connection);
                    while let Some(row) = rows.try_next().await? {
                        let values: Values = values!(row, kinds);
                        size += values.iter().map(Value::size).sum::<usize>();
                        take(values);
                        if size >= bytes {
                            break;
                        }
                    }
                    Ok(())
                };
                reading.await.map_err(|error: sqlx::Error| meaning(&error, &MYSQL))
            }
        }
    }

    /// All rows of a query's answer into `rows`, as fast as they are taken out there; ends early when nobody takes them.
    ///
    /// # Errors
    /// What the database says, or when a column holds another kind.
    pub async fn send(&mut self, sql: String, kinds: &[Kind], rows: mpsc::Sender<Values>) -> Result<(), StoreError> {
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let kinds = kinds.to_vec();
                let work = move |connection: &rusqlite::Connection| {
                    read(connection, &sql, &[], &kinds, |row| rows.blocking_send(row).is_ok())
                };
                on_a_thread(connection, work).await
            }
            Connection::Postgres(connection) => {
                let reading = async {
                    let mut found = bound!(sql, &[] as &[Value]).fetch(connection);
                    while let Some(row) = found.try_next().await? {
                        if rows.send(values!(row, kinds)).await.is_err() {
                            break;
                        }
                    }
                    Ok(())
                };
                reading.await.map_err(|error: sqlx::Error| meaning(&error, &POSTGRES))
            }
            Connection::Mysql(connection) => {
                let reading = async {
                    let mut found = bound!(sql, &[] as &[Value]).fetch(connection);
                    while let Some(row) = found.try_next().await? {
                        if rows.send(values!(row, kinds)).await.is_err() {
                            break;
                        }
                    }
                    Ok(())
                };
                reading.await.map_err(|error: sqlx::Error| meaning(&error, &MYSQL))
            }
        }
    }
}

fn text_or_bytes(bytes: Vec<u8>) -> Value {
    String::from_utf8(bytes).map_or_else(|error| Value::Bytes(error.into_bytes()), Value::Text)
}

/// Lends the connection to a thread for `work`.
#[allow(clippy::disallowed_methods, reason = "one at a time, of a command that does nothing else")]
async fn on_a_thread<T: Send + 'static>(
    connection: &mut Option<rusqlite::Connection>,
    work: impl FnOnce(&rusqlite::Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let lent = connection.take().ok_or(StoreError::Closed)?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work(&lent);
        (lent, done)
    });
    let (lent, done) = done.await.map_err(|_| StoreError::Panicked)?;
    *connection = Some(lent);
    done
}

/// Reads rows as long as `take` wants them.
fn read(
    connection: &rusqlite::Connection,
    sql: &str,
    params: &[Value],
    kinds: &[Kind],
    mut take: impl FnMut(Values) -> bool,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(params))?;
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(kinds.len());
        for (at, kind) in kinds.iter().enumerate() {
            values.push(match (kind, row.get_ref(at)?) {
                (_, ValueRef::Null) => Value::Null,
                (Kind::Int, ValueRef::Integer(value)) => Value::Int(value),
                (Kind::Text, ValueRef::Text(bytes)) => {
                    let text = std::str::from_utf8(bytes);
                    Value::Text(text.map_err(|_| StoreError::Corrupt { column: at, expected: "UTF-8" })?.to_owned())
                }
                (Kind::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(bytes.to_owned()),
                (Kind::TextOrBytes, ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => text_or_bytes(bytes.to_owned()),
                (Kind::Int, _) => return Err(StoreError::Corrupt { column: at, expected: "an integer" }),
                (Kind::Text | Kind::TextOrBytes, _) => {
                    return Err(StoreError::Corrupt { column: at, expected: "text" });
                }
                (Kind::Bytes, _) => return Err(StoreError::Corrupt { column: at, expected: "bytes" }),
            });
        }
        if !take(values) {
            break;
        }
    }
    Ok(())
}
