//! The side that is written to: a piece and how far it brings its table are stored together.

use std::fmt::Write as _;

use futures_util::future::BoxFuture;
use sqlx::{Connection as _, MySqlConnection, PgConnection};

use super::plan::Table;
use crate::store::dialect::Dialect;
use crate::store::reader::bound;
use crate::store::server::{CONNECT_PATIENCE, MYSQL, POSTGRES, meaning};
use crate::store::sqlite::Sqlite;
use crate::store::{Backend, Db, StoreError, Tx, Value, Values};

/// Rows of one INSERT on MySQL; it takes 65,535 values at most.
const MYSQL_ROWS: usize = 500;

pub(super) enum Writer {
    Sqlite(Sqlite),
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

/// What is stored beside the rows: a statement with its parameters, for each dialect with `?`.
pub(super) type Statement = (String, Vec<Value>);

impl Writer {
    pub(super) async fn open(db: &Db) -> Result<Self, StoreError> {
        let opening = tokio::time::timeout(CONNECT_PATIENCE, Self::connect(db));
        opening.await.map_err(|_| StoreError::Unreachable("it does not answer"))?
    }

    async fn connect(db: &Db) -> Result<Self, StoreError> {
        Ok(match &db.backend {
            Backend::Sqlite(sqlite) => Self::Sqlite(sqlite.clone()),
            Backend::Postgres(postgres) => {
                let options = postgres.pool.connect_options();
                let connection = PgConnection::connect_with(&options).await;
                let mut connection = connection.map_err(|error| meaning(&error, &POSTGRES))?;
                let set = sqlx::raw_sql("SET statement_timeout = 0").execute(&mut connection).await;
                set.map_err(|error| meaning(&error, &POSTGRES))?;
                Self::Postgres(connection)
            }
            Backend::Mysql(mysql) => {
                let options = mysql.pool.connect_options();
                let connection = MySqlConnection::connect_with(&options).await;
                Self::Mysql(connection.map_err(|error| meaning(&error, &MYSQL))?)
            }
        })
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
        }
    }

    /// Runs statements, in one transaction as far as the database does that for them.
    pub(super) async fn run(&mut self, statements: Vec<Statement>) -> Result<(), StoreError> {
        self.store(None, Vec::new(), statements).await
    }

    /// Stores rows of a table, and runs the statements with them: all or nothing.
    pub(super) async fn store(
        &mut self,
        table: Option<&Table>,
        rows: Vec<Values>,
        statements: Vec<Statement>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => {
                let insertion = table.map(|table| {
                    let (list, name) = (table.list(Dialect::Sqlite), Dialect::Sqlite.quoted(&table.name));
                    format!("INSERT INTO {name} ({list}) VALUES ({})", places(table.columns.len()))
                });
                let work = move |tx: &mut Tx<'_>| store_sqlite(tx, insertion.as_deref(), &rows, &statements);
                sqlite
                    .write(move |tx| {
                        let done = work(tx);
                        Box::pin(std::future::ready(done)) as BoxFuture<'_, _>
                    })
                    .await
            }
            Self::Postgres(connection) => {
                store_postgres(connection, table, &rows, &statements).await.map_err(|error| meaning(&error, &POSTGRES))
            }
            Self::Mysql(connection) => {
                store_mysql(connection, table, &rows, &statements).await.map_err(|error| meaning(&error, &MYSQL))
            }
        }
    }

    /// Makes the next id that the database gives out in this table at least `next`.
    pub(super) async fn count_from(&mut self, table: &Table, next: i64) -> Result<(), StoreError> {
        let id = &table.columns[table.key[0]];
        let name = self.dialect().quoted(&table.name);
        let statements = match self {
            Self::Sqlite(_) => vec![
                (
                    // Only tables that never give an id out twice are in this list.
                    "UPDATE sqlite_sequence SET seq = ? WHERE name = ?".to_owned(),
                    vec![Value::Int(next - 1), Value::Text(table.name.clone())],
                ),
                (
                    "INSERT INTO sqlite_sequence (name, seq) SELECT name, ? FROM sqlite_schema WHERE type = 'table' AND name = ? \
                     AND sql LIKE '%AUTOINCREMENT%' AND NOT EXISTS (SELECT 1 FROM sqlite_sequence s WHERE s.name = sqlite_schema.name)"
                        .to_owned(),
                    vec![Value::Int(next - 1), Value::Text(table.name.clone())],
                ),
            ],
            Self::Postgres(_) => vec![(
                "SELECT setval(pg_get_serial_sequence($1, $2), $3, false)".to_owned(),
                vec![Value::Text(name), Value::Text(id.clone()), Value::Int(next)],
            )],
            Self::Mysql(_) => vec![(format!("ALTER TABLE {name} AUTO_INCREMENT = {next}"), Vec::new())],
        };
        self.run(statements).await
    }
}

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn store_sqlite(
    tx: &mut Tx<'_>,
    insertion: Option<&str>,
    rows: &[Values],
    statements: &[Statement],
) -> Result<(), StoreError> {
    let Tx::Sqlite(connection) = tx else { return Err(StoreError::Closed) };
    if let Some(insertion) = insertion {
        let mut insertion = connection.prepare_cached(insertion)?;
        for row in rows {
            insertion.execute(rusqlite::params_from_iter(row))?;
        }
    }
    for (sql, params) in statements {
        connection.prepare(sql)?.execute(rusqlite::params_from_iter(params))?;
    }
    Ok(())
}

async fn store_postgres(
    connection: &mut PgConnection,
    table: Option<&Table>,
    rows: &[Values],
    statements: &[Statement],
) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    if let Some(table) = table {
        let (list, name) = (table.list(Dialect::Postgres), Dialect::Postgres.quoted(&table.name));
        let sql = format!("COPY {name} ({list}) FROM STDIN");
        let mut copy = transaction.copy_in_raw(&sql).await?;
        copy.send(copied(rows).as_slice()).await?;
        copy.finish().await?;
    }
    for (sql, params) in statements {
        bound!(sql.clone(), params).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// Rows as COPY reads them. <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>
fn copied(rows: &[Values]) -> Vec<u8> {
    let mut text = Vec::with_capacity(rows.len() * 128);
    for row in rows {
        for (at, value) in row.iter().enumerate() {
            if at > 0 {
                text.push(b'\t');
            }
            match value {
                Value::Null => text.extend_from_slice(b"\\N"),
                Value::Int(value) => text.extend_from_slice(value.to_string().as_bytes()),
                Value::Text(value) => {
                    for byte in value.bytes() {
                        match byte {
                            b'\\' => text.extend_from_slice(b"\\\\"),
                            b'\t' => text.extend_from_slice(b"\\t"),
                            b'\n' => text.extend_from_slice(b"\\n"),
                            b'\r' => text.extend_from_slice(b"\\r"),
                            byte => text.push(byte),
                        }
                    }
                }
                Value::Bytes(value) => {
                    let mut hex = String::with_capacity(value.len() * 2 + 3);
                    hex.push_str("\\\\x");
                    for byte in value {
                        // Writing to a string cannot fail.
                        let _ = write!(hex, "{byte:02x}");
                    }
                    text.extend_from_slice(hex.as_bytes());
                }
            }
        }
        text.push(b'\n');
    }
    text
}

async fn store_mysql(
    connection: &mut MySqlConnection,
    table: Option<&Table>,
    rows: &[Values],
    statements: &[Statement],
) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    if let Some(table) = table {
        let (list, name) = (table.list(Dialect::Mysql), Dialect::Mysql.quoted(&table.name));
        let row = format!("({})", places(table.columns.len()));
        for rows in rows.chunks(MYSQL_ROWS) {
            let sql = format!("INSERT INTO {name} ({list}) VALUES {}", vec![row.as_str(); rows.len()].join(", "));
            // The last one of a table has a length of its own.
            let is_whole = rows.len() == MYSQL_ROWS;
            bound!(sql, rows.iter().flatten()).persistent(is_whole).execute(&mut *transaction).await?;
        }
    }
    for (sql, params) in statements {
        bound!(sql.clone(), params).persistent(false).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_as_copy_reads_them() {
        let row = vec![
            Value::Null,
            Value::Int(-7),
            Value::Text("a\tb\\N\r\n🙂".to_owned()),
            Value::Bytes(vec![0, 255]),
            Value::Text(String::new()),
        ];
        assert_eq!(String::from_utf8(copied(&[row])).unwrap(), "\\N\t-7\ta\\tb\\\\N\\r\\n🙂\t\\\\x00ff\t\n");
    }
}
