//! `parlor db setup` and `parlor db show`

use std::fmt::Write;

use clap::Subcommand;
use parlor_engine::store::TableInfo;

use super::{CliError, Options, migrate, open_database, say};

/// The database's schema.
#[derive(Subcommand)]
pub(super) enum DbCommand {
    /// Make the schema, then show it
    Setup,
    /// Show the tables and their columns
    Show,
}

impl DbCommand {
    pub(super) async fn run(self, options: &Options) -> Result<(), CliError> {
        if matches!(self, Self::Setup) {
            migrate::migrate(options).await?;
        }
        let (_, db) = open_database(options).await?;
        let tables = db.tables().await?;
        db.close().await;
        if tables.is_empty() {
            return Err(CliError::Failed("the database is empty: run `parlor db setup`".to_owned()));
        }
        say(&render(&tables))
    }
}

fn render(tables: &[TableInfo]) -> String {
    let mut text = String::new();
    for table in tables {
        let rows = if table.rows == 1 { "1 row".to_owned() } else { format!("{} rows", table.rows) };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} ({rows})", table.name);
        let width = table.columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
        for column in &table.columns {
            let null = if column.nullable { "" } else { " NOT NULL" };
            let _ = writeln!(text, "  {:width$}  {}{null}", column.name, column.kind);
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use parlor_engine::store::ColumnInfo;

    use super::*;

    #[test]
    fn a_table_is_shown_with_its_columns() {
        let column = |name: &str, nullable| ColumnInfo { name: name.into(), kind: "TEXT".into(), nullable };
        let table =
            TableInfo { name: "notes".into(), columns: vec![column("id", false), column("note", true)], rows: 1 };
        assert_eq!(render(&[table]), "notes (1 row)\n  id    TEXT NOT NULL\n  note  TEXT");
    }
}
