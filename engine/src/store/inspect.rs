//! What the schema looks like, for `parlor db show`.

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
                            let Tx::Sqlite(connection) = tx;
                            sqlite_tables(connection)
                        })
                    })
                    .await
            }
        }
    }
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
