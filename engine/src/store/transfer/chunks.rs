//! A table piece by piece, in the order of its key; and its hash, which is the same whatever the database.

use sha2::{Digest, Sha256};

use super::plan::Table;
use crate::store::dialect::Dialect;
use crate::store::{Reader, StoreError, Value, Values};

/// Rows of a piece at most.
const ROWS: usize = 5_000;
/// Bytes of a piece, its last row left out: well below what database servers take at once.
const BYTES: usize = 4 << 20;

/// The next rows after those with the key `after`; none when there are no more.
pub(super) async fn next(
    reader: &mut Reader,
    table: &Table,
    after: Option<&[Value]>,
) -> Result<Vec<Values>, StoreError> {
    let dialect = reader.dialect();
    let (condition, params) = match after {
        None => (String::new(), Vec::new()),
        Some(after) => beyond(dialect, table, after),
    };
    let key = names(dialect, table).join(", ");
    let (list, name) = (table.list(dialect), dialect.quoted(&table.name));
    let sql = format!("SELECT {list} FROM {name}{condition} ORDER BY {key} LIMIT {ROWS}");
    let mut rows = Vec::new();
    reader.each(sql, params, &table.kinds, BYTES, |row| rows.push(row)).await?;
    Ok(rows)
}

/// The key of a row.
pub(super) fn key_of(table: &Table, row: &Values) -> Vec<Value> {
    table.key.iter().filter_map(|at| row.get(*at).cloned()).collect()
}

fn names(dialect: Dialect, table: &Table) -> Vec<String> {
    table.key.iter().map(|at| dialect.quoted(&table.columns[*at])).collect()
}

/// The condition for what comes after a key. MySQL uses an index only when the comparison is written out; the others only when it is not.
fn beyond(dialect: Dialect, table: &Table, after: &[Value]) -> (String, Vec<Value>) {
    let names = names(dialect, table);
    if names.len() == 1 || dialect != Dialect::Mysql {
        let places: Vec<String> = (1..=after.len())
            .map(|number| if dialect == Dialect::Postgres { format!("${number}") } else { "?".to_owned() })
            .collect();
        return (format!(" WHERE ({}) > ({})", names.join(", "), places.join(", ")), after.to_vec());
    }
    let mut params = Vec::new();
    let mut cases = Vec::new();
    for at in 0..names.len() {
        let mut parts: Vec<String> = names[..at].iter().map(|name| format!("{name} = ?")).collect();
        parts.push(format!("{} > ?", names[at]));
        cases.push(format!("({})", parts.join(" AND ")));
        params.extend_from_slice(&after[..=at]);
    }
    (format!(" WHERE {}", cases.join(" OR ")), params)
}

/// Counts and hashes rows.
#[derive(Clone, Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    hash: Sha256,
}

impl Tally {
    /// Takes a row in: each value as a letter for its kind, texts and bytes with their length before them.
    pub(super) fn add(&mut self, row: &Values) {
        self.rows += 1;
        for value in row {
            match value {
                Value::Null => self.hash.update(b"n"),
                Value::Int(value) => {
                    self.hash.update(b"i");
                    self.hash.update(value.to_be_bytes());
                }
                Value::Text(text) => self.sized(b"t", text.as_bytes()),
                Value::Bytes(bytes) => self.sized(b"b", bytes),
            }
        }
    }

    fn sized(&mut self, kind: &[u8], bytes: &[u8]) {
        self.hash.update(kind);
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }

    /// The SHA-256 of all rows so far, in hexadecimal.
    pub(super) fn hex(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Counts and hashes a whole table; `on_rows` hears how many more rows were read.
pub(super) async fn tally(
    reader: &mut Reader,
    table: &Table,
    mut on_rows: impl FnMut(u64) + Send,
) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let mut after: Option<Vec<Value>> = None;
    loop {
        let rows = next(reader, table, after.as_deref()).await?;
        let Some(last) = rows.last() else { return Ok(tally) };
        after = Some(key_of(table, last));
        rows.iter().for_each(|row| tally.add(row));
        on_rows(rows.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;

    fn pairs() -> Table {
        Table {
            name: "pairs".to_owned(),
            columns: vec!["n".to_owned(), "b".to_owned(), "a".to_owned()],
            kinds: vec![Kind::Int, Kind::Text, Kind::Int],
            key: vec![2, 1],
            counts_up: false,
        }
    }

    #[test]
    fn what_follows_a_key_is_asked_for_as_each_database_finds_it_by_its_index() {
        let after = [Value::Int(7), Value::Text("x".to_owned())];
        let (sqlite, _) = beyond(Dialect::Sqlite, &pairs(), &after);
        assert_eq!(sqlite, " WHERE (\"a\", \"b\") > (?, ?)");
        let (postgres, _) = beyond(Dialect::Postgres, &pairs(), &after);
        assert_eq!(postgres, " WHERE (\"a\", \"b\") > ($1, $2)");
        let (mysql, params) = beyond(Dialect::Mysql, &pairs(), &after);
        assert_eq!(mysql, " WHERE (`a` > ?) OR (`a` = ? AND `b` > ?)");
        assert_eq!(params, [Value::Int(7), Value::Int(7), Value::Text("x".to_owned())]);
    }

    #[test]
    fn rows_that_differ_in_anything_have_another_hash() {
        let hash = |rows: &[Values]| {
            let mut tally = Tally::default();
            rows.iter().for_each(|row| tally.add(row));
            tally.hex()
        };
        let text = |text: &str| Value::Text(text.to_owned());
        let all = [
            hash(&[]),
            hash(&[vec![Value::Null]]),
            hash(&[vec![Value::Int(0)]]),
            hash(&[vec![text("")]]),
            hash(&[vec![Value::Bytes(Vec::new())]]),
            hash(&[vec![text("a"), text("bc")]]),
            hash(&[vec![text("ab"), text("c")]]),
            hash(&[vec![text("1")]]),
            hash(&[vec![Value::Int(1)]]),
        ];
        let mut different = all.to_vec();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), all.len());
    }
}
