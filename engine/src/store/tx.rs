//! One transaction on whichever database: what store functions are written against.

use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::{MySqlConnection, PgConnection, Row as _};

use std::sync::Arc;

use super::StoreError;
use super::dialect::{Dialect, Statements};
use super::quotas::Held;
use super::server::{MYSQL, POSTGRES, meaning};
use super::sqlite::Session;

/// A value given to a query.
#[derive(Debug, Clone, Copy)]
pub enum Param<'a> {
    /// NULL in a column of integers.
    NoInt,
    /// NULL in a column of texts.
    NoText,
    /// NULL in a column of bytes.
    NoBytes,
    /// An integer, a truth value (0 or 1), or a time in microseconds.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Param<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

/// What may be NULL: servers want to know what kind of NULL it is.
pub trait Nullable<'a>: Into<Param<'a>> {
    /// Its NULL.
    const NULL: Param<'a>;
}

impl<'a> Nullable<'a> for i64 {
    const NULL: Param<'a> = Param::NoInt;
}

impl<'a> Nullable<'a> for &'a str {
    const NULL: Param<'a> = Param::NoText;
}

impl<'a> Nullable<'a> for &'a String {
    const NULL: Param<'a> = Param::NoText;
}

impl<'a> Nullable<'a> for &'a [u8] {
    const NULL: Param<'a> = Param::NoBytes;
}

impl<'a, T: Nullable<'a>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(T::NULL, Into::into)
    }
}

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, Value, ValueRef};
        Ok(match self {
            Self::NoInt | Self::NoText | Self::NoBytes => ToSqlOutput::Owned(Value::Null),
            Self::Int(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Self::Bytes(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
        })
    }
}

/// Writes a list of [`Param`]s out of anything that becomes one.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::store::Param::from($value)),*] };
}
pub(super) use params;

/// A row of an answer. Columns are numbered from 0, as the query lists them.
#[derive(Debug)]
pub enum Row<'r> {
    /// A row of SQLite's.
    Sqlite(&'r rusqlite::Row<'r>),
    /// A row of PostgreSQL's.
    Postgres(&'r PgRow),
    /// A row of MySQL's.
    Mysql(&'r MySqlRow),
}

/// What a column can be read as.
pub trait Column: Sized {
    /// Reads column `index`.
    ///
    /// # Errors
    /// When the column holds something else.
    fn read(row: &Row<'_>, index: usize) -> Result<Self, StoreError>;
}

macro_rules! column {
    ($($kind:ty),*) => { $(
        impl Column for $kind {
            fn read(row: &Row<'_>, index: usize) -> Result<Self, StoreError> {
                match row {
                    Row::Sqlite(row) => Ok(row.get(index)?),
                    Row::Postgres(row) => row.try_get(index).map_err(|error| meaning(&error, &POSTGRES)),
                    Row::Mysql(row) => row.try_get(index).map_err(|error| meaning(&error, &MYSQL)),
                }
            }
        }
    )* };
}
column!(i64, Option<i64>, String, Option<String>, Vec<u8>, Option<Vec<u8>>);

impl Row<'_> {
    /// Reads column `index`.
    ///
    /// # Errors
    /// When the column holds something else.
    pub fn get<T: Column>(&self, index: usize) -> Result<T, StoreError> {
        T::read(self, index)
    }

    /// Reads column `index` and gives it its meaning.
    ///
    /// # Errors
    /// When the column holds something else, or something without that meaning.
    pub fn decode<C: Column, T>(
        &self,
        index: usize,
        expected: &'static str,
        meaning: impl FnOnce(C) -> Option<T>,
    ) -> Result<T, StoreError> {
        meaning(self.get(index)?).ok_or(StoreError::Corrupt { column: index, expected })
    }
}

/// A transaction. Everything done through it is kept together or not at all.
///
/// Its functions are async for the databases that are reached over a socket; on SQLite each of them is ready at once, and a job that awaits
/// anything else is refused (see `sqlite.rs`).
#[derive(Debug)]
pub enum Tx<'c> {
    /// On SQLite: the connection that the job's thread owns.
    Sqlite(&'c mut Session),
    /// On PostgreSQL: a connection of the pool.
    Postgres(&'c mut PgConnection, Said<'c>),
    /// On MySQL and MariaDB: a connection of the pool.
    Mysql(&'c mut MySqlConnection, Said<'c>),
}

/// How the database says statements.
#[derive(Debug, Clone, Copy)]
pub struct Said<'c>(pub(super) &'c Statements);

/// A statement with its parameters, as sqlx takes them.
macro_rules! bound {
    ($sql:expr, $params:expr) => {{
        let mut query = sqlx::query(sqlx::AssertSqlSafe($sql));
        for param in $params {
            query = match param {
                Param::NoInt => query.bind(None::<i64>),
                Param::NoText => query.bind(None::<&str>),
                Param::NoBytes => query.bind(None::<&[u8]>),
                Param::Int(value) => query.bind(*value),
                Param::Text(value) => query.bind(*value),
                Param::Bytes(value) => query.bind(*value),
            };
        }
        query
    }};
}

/// Refuses on every database what one of them cannot store.
fn check(params: &[Param<'_>]) -> Result<(), StoreError> {
    let holds_nul =
        |param: &Param<'_>| matches!(param, Param::Text(text) if memchr::memchr(0, text.as_bytes()).is_some());
    if params.iter().any(holds_nul) { Err(StoreError::Nul) } else { Ok(()) }
}

impl Tx<'_> {
    /// The memory of what calls hold of their quotas, where one server has the database.
    pub(super) fn held(&self) -> Option<Arc<Held>> {
        match self {
            Self::Sqlite(session) => Some(session.held()),
            Self::Postgres(..) | Self::Mysql(..) => None,
        }
    }

    /// Which way of saying things the database has.
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(..) => Dialect::Postgres,
            Self::Mysql(..) => Dialect::Mysql,
        }
    }

    /// Runs a statement. Returns how many rows it changed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        check(params)?;
        match self {
            Self::Sqlite(connection) => {
                let changed = connection.prepare_cached(sql)?.execute(rusqlite::params_from_iter(params))?;
                Ok(changed as u64)
            }
            Self::Postgres(connection, said) => {
                let done = bound!(said.0.get(sql), params).execute(&mut **connection).await;
                done.map(|done| done.rows_affected()).map_err(|error| meaning(&error, &POSTGRES))
            }
            Self::Mysql(connection, said) => {
                let done = bound!(said.0.get(sql), params).execute(&mut **connection).await;
                done.map(|done| done.rows_affected()).map_err(|error| meaning(&error, &MYSQL))
            }
        }
    }

    /// Inserts one row into a table whose `id` counts up. Returns that id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<i64, StoreError> {
        check(params)?;
        match self {
            Self::Sqlite(connection) => {
                Ok(connection.prepare_cached(sql)?.insert(rusqlite::params_from_iter(params))?)
            }
            Self::Postgres(connection, said) => {
                let row = bound!(said.0.insertion(sql), params).fetch_one(&mut **connection).await;
                row.and_then(|row| row.try_get(0)).map_err(|error| meaning(&error, &POSTGRES))
            }
            Self::Mysql(connection, said) => {
                let done = bound!(said.0.get(sql), params).execute(&mut **connection).await;
                let id = done.map(|done| done.last_insert_id()).map_err(|error| meaning(&error, &MYSQL))?;
                i64::try_from(id).map_err(|_| StoreError::Corrupt { column: 0, expected: "an id" })
            }
        }
    }

    /// Runs a query and makes each row into a value.
    ///
    /// # Errors
    /// What the database says, or what `read` says of a row.
    pub async fn fetch<T>(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<Vec<T>, StoreError> {
        check(params)?;
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(params))?;
                let mut values = Vec::new();
                while let Some(row) = rows.next()? {
                    values.push(read(&Row::Sqlite(row))?);
                }
                Ok(values)
            }
            Self::Postgres(connection, said) => {
                let rows = bound!(said.0.get(sql), params).fetch_all(&mut **connection).await;
                let rows = rows.map_err(|error| meaning(&error, &POSTGRES))?;
                rows.iter().map(|row| read(&Row::Postgres(row))).collect()
            }
            Self::Mysql(connection, said) => {
                let rows = bound!(said.0.get(sql), params).fetch_all(&mut **connection).await;
                let rows = rows.map_err(|error| meaning(&error, &MYSQL))?;
                rows.iter().map(|row| read(&Row::Mysql(row))).collect()
            }
        }
    }

    /// Runs a query and makes its first row, if there is one, into a value.
    ///
    /// # Errors
    /// What the database says, or what `read` says of the row.
    pub async fn fetch_optional<T>(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<Option<T>, StoreError> {
        check(params)?;
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(params))?;
                rows.next()?.map(|row| read(&Row::Sqlite(row))).transpose()
            }
            Self::Postgres(connection, said) => {
                let row = bound!(said.0.get(sql), params).fetch_optional(&mut **connection).await;
                row.map_err(|error| meaning(&error, &POSTGRES))?.map(|row| read(&Row::Postgres(&row))).transpose()
            }
            Self::Mysql(connection, said) => {
                let row = bound!(said.0.get(sql), params).fetch_optional(&mut **connection).await;
                row.map_err(|error| meaning(&error, &MYSQL))?.map(|row| read(&Row::Mysql(&row))).transpose()
            }
        }
    }
}
