//! What the schema looks like, for `parlor db show`.

use super::server::{MYSQL, Mysql, POSTGRES, Postgres, meaning};
use super::{Backend, Db, StoreError, Tx};

/// A table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<ColumnInfo>,
    /// How many rows it has.
    pub rows: i64,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// The type that the schema declares.
    pub kind: String,
    /// Whether NULL may stand in it.
    pub nullable: bool,
}

impl Db {
    /// All tables and views, by name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tables(&self) -> Result<Vec<TableInfo>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => {
                sqlite
                    .read(|tx| {
                        Box::pin(async move {
                            let Tx::Sqlite(connection) = tx else { return Err(StoreError::Closed) };
                            sqlite_tables(connection)
                        })
                    })
                    .await
            }
            Backend::Postgres(postgres) => postgres_tables(postgres).await.map_err(|error| meaning(&error, &POSTGRES)),
            Backend::Mysql(mysql) => mysql_tables(mysql).await.map_err(|error| meaning(&error, &MYSQL)),
        }
    }
}

/// A column as the servers' catalogues list it: table, name, type, whether NULL may stand in it (1 or 0).
type Listed = (String, String, String, i64);

async fn postgres_tables(postgres: &Postgres) -> sqlx::Result<Vec<TableInfo>> {
    let listed: Vec<Listed> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, data_type::text, CASE is_nullable WHEN 'YES' THEN 1::bigint ELSE 0::bigint END \
         FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position",
    )
    .fetch_all(&postgres.pool)
    .await?;
    let mut tables = gathered(listed);
    for table in &mut tables {
        // The name comes from the catalogue itself; quotes in it are doubled all the same.
        let count = format!("SELECT COUNT(*) FROM \"{}\"", table.name.replace('"', "\"\""));
        table.rows = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&postgres.pool).await?;
    }
    Ok(tables)
}

async fn mysql_tables(mysql: &Mysql) -> sqlx::Result<Vec<TableInfo>> {
    let listed: Vec<Listed> = sqlx::query_as(
        "SELECT CAST(TABLE_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR), CAST(COLUMN_TYPE AS CHAR), CAST(IS_NULLABLE = 'YES' AS SIGNED) \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, ORDINAL_POSITION",
    )
    .fetch_all(&mysql.pool)
    .await?;
    let mut tables = gathered(listed);
    for table in &mut tables {
        let count = format!("SELECT COUNT(*) FROM `{}`", table.name.replace('`', "``"));
        table.rows = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mysql.pool).await?;
    }
    Ok(tables)
}

fn gathered(listed: Vec<Listed>) -> Vec<TableInfo> {
    let mut tables: Vec<TableInfo> = Vec::new();
    for (table, name, kind, nullable) in listed {
        let column = ColumnInfo { name, kind, nullable: nullable == 1 };
        match tables.last_mut() {
            Some(last) if last.name == table => last.columns.push(column),
            _ => tables.push(TableInfo { name: table, columns: vec![column], rows: 0 }),
        }
    }
    tables
}

fn sqlite_tables(connection: &rusqlite::Connection) -> Result<Vec<TableInfo>, StoreError> {
    let names = connection
        .prepare(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let columns = connection
            .prepare("SELECT name, type, \"notnull\" FROM pragma_table_info(?)")?
            .query_map([&name], |row| {
                Ok(ColumnInfo { name: row.get(0)?, kind: row.get(1)?, nullable: row.get::<_, i64>(2)? == 0 })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        // The name comes from the schema itself; quotes in it are doubled all the same.
        let quoted = name.replace('"', "\"\"");
        let rows = connection.query_row(&format!("SELECT COUNT(*) FROM \"{quoted}\""), [], |row| row.get(0))?;
        tables.push(TableInfo { name, columns, rows });
    }
    Ok(tables)
}
