//! What a transfer carries: read from the schema that the migrations make, so that no table has to be named twice.

use rusqlite::Connection;

use crate::store::dialect::Dialect;
use crate::store::migrations::{self, STANDING};
use crate::store::{Kind, StoreError};

/// What is made out of other tables, and made anew in the target.
const DERIVED: [&str; 4] = ["message_words", "search_cursor", "deleted_messages", "search_leftovers"];

/// A table with what reading and writing it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) kinds: Vec<Kind>,
    /// The columns of its primary key, by their places, most significant first.
    pub(super) key: Vec<usize>,
    /// Whether the database counts its ids up.
    pub(super) counts_up: bool,
}

impl Table {
    /// Its columns as a list for `dialect`.
    pub(super) fn list(&self, dialect: Dialect) -> String {
        self.columns.iter().map(|column| dialect.quoted(column)).collect::<Vec<_>>().join(", ")
    }
}

/// All tables but those that say how far the schema is and those that are [`DERIVED`]; each comes after those that it refers to.
pub(super) fn tables() -> Result<Vec<Table>, StoreError> {
    let schema = migrations::in_memory()?;
    let names = column(
        &schema,
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        "",
    )?;
    let mut waiting = Vec::new();
    for name in names.into_iter().filter(|name| name != STANDING && !DERIVED.contains(&name.as_str())) {
        let mut parents = column(&schema, "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1)", &name)?;
        parents.retain(|parent| *parent != name);
        waiting.push((table(&schema, name)?, parents));
    }
    ordered(waiting)
}

fn ordered(mut waiting: Vec<(Table, Vec<String>)>) -> Result<Vec<Table>, StoreError> {
    let mut tables: Vec<Table> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_known = |parent: &String| tables.iter().any(|table| table.name == *parent);
        let (ready, rest): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, parents)| parents.iter().all(is_known));
        if ready.is_empty() {
            return Err(unfit(&rest[0].0.name, "refers to itself in a circle"));
        }
        tables.extend(ready.into_iter().map(|(table, _)| table));
        waiting = rest;
    }
    Ok(tables)
}

fn table(schema: &Connection, name: String) -> Result<Table, StoreError> {
    let mut statement = schema.prepare("SELECT name, type, pk FROM pragma_table_info(?)")?;
    let listed = statement
        .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<(String, String, i64)>, _>>()?;
    let mut key: Vec<(i64, usize)> = listed
        .iter()
        .enumerate()
        .filter(|(_, (_, _, place))| *place > 0)
        .map(|(at, (_, _, place))| (*place, at))
        .collect();
    key.sort_unstable();
    if key.is_empty() {
        return Err(unfit(&name, "has no primary key"));
    }
    // Of the words that make integer keys, those that count up are spelt so on SQLite.
    let counts_up = listed.iter().any(|(_, kind, place)| *place == 1 && kind == "INTEGER");
    let mut kinds = Vec::with_capacity(listed.len());
    for (_, kind, _) in &listed {
        kinds.push(match kind.as_str() {
            "INTEGER" | "BIGINT" => Kind::Int,
            "TEXT" => Kind::Text,
            "BLOB" => Kind::Bytes,
            _ => return Err(unfit(&name, "has a column of a type that the migrations' words do not make")),
        });
    }
    Ok(Table {
        name,
        columns: listed.into_iter().map(|(column, ..)| column).collect(),
        kinds,
        key: key.into_iter().map(|(_, at)| at).collect(),
        counts_up,
    })
}

fn column(schema: &Connection, sql: &str, param: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = schema.prepare(sql)?;
    let count = statement.parameter_count();
    let params = [param];
    let values = statement.query_map(rusqlite::params_from_iter(&params[..count]), |row| row.get(0))?;
    Ok(values.collect::<Result<_, _>>()?)
}

fn unfit(table: &str, problem: &str) -> StoreError {
    StoreError::Open(format!("the table {table} {problem}, so no transfer can carry it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_schema_can_be_carried_after_those_it_refers_to() {
        let tables = tables().unwrap();
        let place = |name: &str| tables.iter().position(|table| table.name == name).unwrap();
        assert!(place("accounts") < place("conversations"));
        assert!(place("conversations") < place("messages"));
        assert!(place("messages") < place("turns"));
        assert!(!tables.iter().any(|table| ["schema_migrations", "message_store"].contains(&table.name.as_str())));
    }

    #[test]
    fn a_key_is_known_with_its_order_and_whether_it_counts_up() {
        let tables = tables().unwrap();
        let table = |name: &str| tables.iter().find(|table| table.name == name).unwrap();
        let counters = table("quota_counters");
        let key: Vec<_> = counters.key.iter().map(|at| counters.columns[*at].as_str()).collect();
        assert_eq!(key, ["scope", "subject_id", "period", "starts_at"]);
        assert!(table("messages").counts_up && table("usage_ledger").counts_up && !table("conversations").counts_up);
        let turns = table("turns");
        let kind = |name: &str| turns.kinds[turns.columns.iter().position(|column| column == name).unwrap()];
        assert_eq!((kind("id"), kind("state"), kind("chunk_ends")), (Kind::Int, Kind::Text, Kind::Bytes));
    }

    #[test]
    fn the_migrations_store_no_rows() {
        // A target is new when its tables are empty.
        let schema = migrations::in_memory().unwrap();
        for table in tables().unwrap() {
            let count: i64 =
                schema.query_row(&format!("SELECT COUNT(*) FROM {}", table.name), [], |row| row.get(0)).unwrap();
            assert_eq!(count, 0, "{}", table.name);
        }
    }
}
