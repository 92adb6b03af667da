//! What a database holds, table by table.

use std::collections::BTreeMap;

use crate::support::TestServer;

/// How many rows each table has. What the indexer of searches keeps for itself comes and goes with its steps, and is left out.
pub fn rows(server: &TestServer) -> BTreeMap<String, i64> {
    let database = server.database();
    let mut tables = database
        .prepare(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' \
             AND name NOT IN ('search_cursor', 'deleted_messages', 'search_leftovers', 'leases')",
        )
        .unwrap();
    let names: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let count = |name: &str| database.query_row(&format!("SELECT COUNT(*) FROM \"{name}\""), [], |row| row.get(0));
    names
        .into_iter()
        .map(|name| {
            let rows = count(&name).unwrap();
            (name, rows)
        })
        .collect()
}

/// One text out of the database.
pub fn text(server: &TestServer, sql: &str) -> String {
    server.database().query_row(sql, [], |row| row.get(0)).unwrap()
}
