//! All rows of one database into another, whatever kind of database they are.
//!
//! The target keeps how far it has come: a row in the list of migrations, under the number 0 and with the source's hash, says that a transfer
//! is under way, so that no server takes a half for a whole; a table holds for each table the key of the last row that has arrived.

mod chunks;
mod claim;
mod plan;
mod writer;

use std::collections::HashMap;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest, Sha256};

use self::chunks::Tally;
use self::plan::Table;
use self::writer::{Statement, Writer};
use super::dialect::Dialect;
use super::{Db, Kind, OpenAs, Reader, StoreError, Value, migrations, sqlite};
use crate::config::{DatabaseSettings, DatabaseUrl};
use crate::domain::Timestamp;

/// Where the target keeps how far each table has come.
const PROGRESS: &str = "transfer_progress";
const PROGRESS_TABLE: &str = "CREATE TABLE IF NOT EXISTS transfer_progress (\
    table_name @key NOT NULL PRIMARY KEY, last_key @text NOT NULL, row_count BIGINT NOT NULL)";

/// What a transfer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferEvent<'a> {
    /// A table begins, or goes on where an earlier run ended.
    Table {
        /// Its name.
        name: &'a str,
        /// How many rows the source has.
        rows: u64,
        /// How many the target has already.
        done: u64,
    },
    /// So many more rows have been stored.
    Copied(u64),
    /// A table is compared.
    Check {
        /// Its name.
        name: &'a str,
        /// How many rows there are.
        rows: u64,
    },
    /// So many more rows have been compared.
    Checked(u64),
}

/// What a transfer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferReport {
    /// Each table, in the order in which they were carried.
    pub tables: Vec<TransferredTable>,
    /// Rows stored by this run.
    pub copied: u64,
    /// Whether it went on with what an earlier run had begun.
    pub continued: bool,
}

/// A table, equal on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferredTable {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
    /// The SHA-256 of its rows in the order of their keys, in hexadecimal.
    pub hash: String,
}

/// Why a transfer did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Source and target are one.
    #[error("source and target are the same database")]
    Same,
    /// The source cannot be read.
    #[error("the source: {0}")]
    Source(#[source] StoreError),
    /// The source's schema is older than this program.
    #[error("the source lacks migration {0}: run `parlor migrate` on it first")]
    Behind(i64),
    /// The target cannot be written.
    #[error("the target: {0}")]
    Target(#[source] StoreError),
    /// The target has rows of its own.
    #[error("the target holds data already, in the table {0}: a transfer needs an empty database")]
    HoldsData(String),
    /// Another transfer runs at this moment.
    #[error("another transfer into the target is under way: wait for its end, or stop it")]
    UnderWay,
    /// Another transfer was begun into the target.
    #[error("a transfer from another source was begun into the target: go on with that one, or empty the target")]
    Another,
    /// The part of an earlier run was made by another version of this program.
    #[error("the transfer was begun by another version of Parlor: go on with that one, or empty the target")]
    OtherVersion,
    /// The rows of a table cannot be carried.
    #[error("the table {table}: {problem}")]
    Rows {
        /// Which table.
        table: String,
        /// What is wrong.
        #[source]
        problem: StoreError,
    },
    /// The sides are not equal.
    #[error(
        "the table {table} differs: {source_rows} rows in the source, {target_rows} in the target, hashes {hashes}. Something has \
         written to one of them meanwhile: empty the target and begin again"
    )]
    Differs {
        /// Which table.
        table: String,
        /// Rows of the source.
        source_rows: u64,
        /// Rows of the target.
        target_rows: u64,
        /// Whether the hashes are equal.
        hashes: &'static str,
    },
}

/// Carries everything from one database to another, or goes on where an earlier run was interrupted, and compares both sides. Makes the
/// target's schema first. On SQLite both files are locked against servers meanwhile; on servers the target is locked against other transfers.
///
/// # Errors
/// What keeps it from its end; a run that was interrupted can be begun again.
pub async fn transfer(
    from: &DatabaseSettings,
    to: &DatabaseSettings,
    now: Timestamp,
    on_event: &mut (dyn FnMut(TransferEvent<'_>) + Send),
) -> Result<TransferReport, TransferError> {
    let name = identity(&from.url);
    if name == identity(&to.url) {
        return Err(TransferError::Same);
    }
    let tables = plan::tables().map_err(TransferError::Source)?;
    let _locked = match &from.url {
        DatabaseUrl::Sqlite(path) if path.is_file() => Some(sqlite::lock(path).map_err(TransferError::Source)?),
        _ => None,
    };
    let mut source = Reader::open(from).await.map_err(TransferError::Source)?;
    let applied = migrations::recorded(&mut source).await.map_err(TransferError::Source)?;
    migrations::check(&applied).map_err(TransferError::Source)?;
    if let Some(version) = migrations::first_missing(&applied) {
        return Err(TransferError::Behind(version));
    }
    let db = Db::open(to, OpenAs::Server).map_err(TransferError::Target)?;
    let run = Run { tables, source, to, now, mark: hex(name.as_bytes()) };
    let done = Box::pin(run.carry(&db, on_event)).await;
    db.close().await;
    done
}

struct Run<'s> {
    tables: Vec<Table>,
    source: Reader,
    to: &'s DatabaseSettings,
    now: Timestamp,
    /// What the target's mark says of the source.
    mark: String,
}

/// How far a table has come.
#[derive(Clone, Default)]
struct Progress {
    last_key: Option<Vec<Value>>,
    rows: u64,
}

impl Run<'_> {
    async fn carry(
        mut self,
        db: &Db,
        on_event: &mut (dyn FnMut(TransferEvent<'_>) + Send),
    ) -> Result<TransferReport, TransferError> {
        let (mut writer, mut progress, continued) = self.begin(db).await.map_err(|refused| *refused)?;
        let mut tallies = HashMap::new();
        let mut copied = 0;
        for table in &self.tables {
            let failed = |problem| TransferError::Rows { table: table.name.clone(), problem };
            let before = progress.remove(&table.name).unwrap_or_default();
            let rows = count(&mut self.source, table).await.map_err(failed)?;
            on_event(TransferEvent::Table { name: &table.name, rows, done: before.rows });
            let (tally, more) = copy(&mut self.source, &mut writer, table, before, on_event).await.map_err(failed)?;
            copied += more;
            if let Some(tally) = tally {
                tallies.insert(table.name.clone(), tally);
            }
            if table.counts_up {
                let next = next_id(&mut self.source, table).await.map_err(failed)?;
                writer.count_from(table, next).await.map_err(failed)?;
            }
        }
        let mut report = TransferReport { tables: Vec::new(), copied, continued };
        let mut target = Reader::open(self.to).await.map_err(TransferError::Target)?;
        for table in &self.tables {
            let failed = |problem| TransferError::Rows { table: table.name.clone(), problem };
            let known = tallies.remove(&table.name);
            let rows = known.as_ref().map_or(0, |tally: &Tally| tally.rows);
            on_event(TransferEvent::Check { name: &table.name, rows });
            let there = async {
                match known {
                    Some(known) => Ok(known),
                    None => chunks::tally(&mut self.source, table, |_| ()).await,
                }
            };
            let here = chunks::tally(&mut target, table, |rows| on_event(TransferEvent::Checked(rows)));
            let (there, here) = tokio::join!(there, here);
            let (there, here) = (there.map_err(failed)?, here.map_err(failed)?);
            if there.rows != here.rows || there.hex() != here.hex() {
                return Err(TransferError::Differs {
                    table: table.name.clone(),
                    source_rows: there.rows,
                    target_rows: here.rows,
                    hashes: if there.hex() == here.hex() { "equal" } else { "different" },
                });
            }
            report.tables.push(TransferredTable { name: table.name.clone(), rows: here.rows, hash: here.hex() });
        }
        drop(target);
        finish(&mut writer).await.map_err(TransferError::Target)?;
        Ok(report)
    }

    /// Makes the target ready, or finds where an earlier run ended.
    async fn begin(&self, db: &Db) -> Result<(Writer, HashMap<String, Progress>, bool), Box<TransferError>> {
        let failed = |error| Box::new(TransferError::Target(error));
        let mut writer = Writer::open(db).await.map_err(failed)?;
        if !claim::claim(&mut writer).await.map_err(failed)? {
            return Err(Box::new(TransferError::UnderWay));
        }
        let mut reader = Reader::open(self.to).await.map_err(failed)?;
        let mut applied = migrations::recorded(&mut reader).await.map_err(failed)?;
        let mark = applied.iter().position(|(version, _)| *version == migrations::UNDER_WAY);
        if let Some(mark) = mark.map(|at| applied.remove(at).1) {
            if mark != self.mark {
                return Err(Box::new(TransferError::Another));
            }
            migrations::check(&applied).map_err(failed)?;
            if migrations::first_missing(&applied).is_some() {
                return Err(Box::new(TransferError::OtherVersion));
            }
            let progress = progress(&mut reader, &self.tables).await.map_err(failed)?;
            return Ok((writer, progress, true));
        }
        let ddl = reader.ddl(PROGRESS_TABLE);
        drop(reader);
        db.migrate(self.now).await.map_err(failed)?;
        let mut reader = Reader::open(self.to).await.map_err(failed)?;
        for table in &self.tables {
            if count(&mut reader, table).await.map_err(failed)? > 0 {
                return Err(Box::new(TransferError::HoldsData(table.name.clone())));
            }
        }
        drop(reader);
        writer.run(vec![(ddl, Vec::new())]).await.map_err(failed)?;
        let mark = format!(
            "INSERT INTO schema_migrations (version, name, hash, applied_at) VALUES ({}, 'transfer', '{}', {})",
            migrations::UNDER_WAY,
            self.mark,
            self.now.micros()
        );
        let statements = vec![(format!("DELETE FROM {PROGRESS}"), Vec::new()), (mark, Vec::new())];
        writer.run(statements).await.map_err(failed)?;
        Ok((writer, HashMap::new(), false))
    }
}

/// Carries the rest of a table, storing one piece while the next is read. Gives the source's tally where this run has seen all of it, and how
/// many rows it stored.
async fn copy(
    source: &mut Reader,
    writer: &mut Writer,
    table: &Table,
    before: Progress,
    on_event: &mut (dyn FnMut(TransferEvent<'_>) + Send),
) -> Result<(Option<Tally>, u64), StoreError> {
    let mut tally = before.last_key.is_none().then(Tally::default);
    let mut total = before.rows;
    let mut rows = chunks::next(source, table, before.last_key.as_deref()).await?;
    while let Some(last) = rows.last() {
        let last_key = chunks::key_of(table, last);
        let count = rows.len() as u64;
        total += count;
        if let Some(tally) = &mut tally {
            rows.iter().for_each(|row| tally.add(row));
        }
        let noted = note(writer.dialect(), table, &last_key, total);
        let storing = writer.store(Some(table), rows, noted);
        let reading = chunks::next(source, table, Some(&last_key));
        let (stored, next) = tokio::join!(storing, reading);
        stored?;
        on_event(TransferEvent::Copied(count));
        rows = next?;
    }
    Ok((tally, total - before.rows))
}

/// Notes how far a table has come.
fn note(dialect: Dialect, table: &Table, last_key: &[Value], rows: u64) -> Vec<Statement> {
    let place = |number: usize| if dialect == Dialect::Postgres { format!("${number}") } else { "?".to_owned() };
    let name = Value::Text(table.name.clone());
    let insertion = format!(
        "INSERT INTO {PROGRESS} (table_name, last_key, row_count) VALUES ({}, {}, {})",
        place(1),
        place(2),
        place(3)
    );
    let rows = Value::Int(i64::try_from(rows).unwrap_or(i64::MAX));
    vec![
        (format!("DELETE FROM {PROGRESS} WHERE table_name = {}", place(1)), vec![name.clone()]),
        (insertion, vec![name, Value::Text(key_text(last_key)), rows]),
    ]
}

/// A key as JSON.
fn key_text(key: &[Value]) -> String {
    let values = key.iter().map(|value| match value {
        Value::Int(value) => serde_json::Value::from(*value),
        Value::Text(text) => serde_json::Value::from(text.as_str()),
        // No key has such a column.
        Value::Null | Value::Bytes(_) => serde_json::Value::Null,
    });
    serde_json::Value::Array(values.collect()).to_string()
}

fn key_of_text(text: &str) -> Option<Vec<Value>> {
    let values: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    let value = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => Some(Value::Text(text.clone())),
        number => number.as_i64().map(Value::Int),
    };
    values.iter().map(value).collect()
}

async fn progress(reader: &mut Reader, tables: &[Table]) -> Result<HashMap<String, Progress>, StoreError> {
    let sql = format!("SELECT table_name, last_key, row_count FROM {PROGRESS}");
    let mut progress = HashMap::new();
    for row in reader.fetch(sql, Vec::new(), &[Kind::Text, Kind::Text, Kind::Int]).await? {
        let [Value::Text(name), Value::Text(key), Value::Int(rows)] = row.as_slice() else { continue };
        let known = tables.iter().any(|table| table.name == *name);
        let (Some(last_key), Ok(rows), true) = (key_of_text(key), u64::try_from(*rows), known) else {
            return Err(StoreError::Corrupt { column: 1, expected: "a key" });
        };
        progress.insert(name.clone(), Progress { last_key: Some(last_key), rows });
    }
    Ok(progress)
}

async fn count(reader: &mut Reader, table: &Table) -> Result<u64, StoreError> {
    let sql = format!("SELECT COUNT(*) FROM {}", reader.quoted(&table.name));
    let rows = reader.fetch(sql, Vec::new(), &[Kind::Int]).await?;
    match rows.first().and_then(|row| row.first()) {
        Some(Value::Int(count)) => Ok(u64::try_from(*count).unwrap_or(0)),
        _ => Ok(0),
    }
}

/// The id that the source would give out next: above all that are there, and above those that were, where the source knows that.
async fn next_id(reader: &mut Reader, table: &Table) -> Result<i64, StoreError> {
    let id = reader.quoted(&table.columns[table.key[0]]);
    let name = reader.quoted(&table.name);
    let highest = format!("SELECT MAX({id}) FROM {name}");
    let counter = match reader.dialect() {
        Dialect::Sqlite => format!("SELECT seq + 1 FROM sqlite_sequence WHERE name = '{}'", table.name),
        Dialect::Postgres => {
            let sequence = "pg_sequences WHERE schemaname = current_schema() AND quote_ident(schemaname) || '.' || quote_ident(sequencename)";
            format!(
                "SELECT last_value + 1 FROM {sequence} = pg_get_serial_sequence('{name}', '{}')",
                table.columns[table.key[0]]
            )
        }
        Dialect::Mysql => format!(
            "SELECT CAST(AUTO_INCREMENT AS SIGNED) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{}'",
            table.name
        ),
    };
    let mut next = 1;
    for (sql, more) in [(highest, 1), (counter, 0)] {
        for row in reader.fetch(sql, Vec::new(), &[Kind::Int]).await? {
            if let Some(Value::Int(value)) = row.first() {
                next = next.max(value.saturating_add(more));
            }
        }
    }
    Ok(next)
}

/// Takes the mark off the target, which is whole now.
async fn finish(writer: &mut Writer) -> Result<(), StoreError> {
    let unmark = format!("DELETE FROM schema_migrations WHERE version = {}", migrations::UNDER_WAY);
    writer.run(vec![(unmark, Vec::new())]).await?;
    writer.run(vec![(format!("DROP TABLE {PROGRESS}"), Vec::new())]).await?;
    if writer.dialect() == Dialect::Postgres {
        // What it knows of the tables' sizes is from when they were empty.
        writer.run(vec![("ANALYZE".to_owned(), Vec::new())]).await?;
    }
    Ok(())
}

/// What tells a database from others, without the user and the password that it is reached by.
fn identity(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::Sqlite(path) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(std::path::Path::new(".")).canonicalize();
            let name = path.file_name().unwrap_or_default();
            format!("sqlite {}", folder.map_or_else(|_| path.clone(), |folder| folder.join(name)).display())
        }
        DatabaseUrl::Postgres(url) => place(url, 5432),
        DatabaseUrl::Mysql { url, .. } => place(url, 3306),
    }
}

fn place(url: &SecretString, port: u16) -> String {
    match url::Url::parse(url.expose_secret()) {
        Ok(url) => {
            let host = url.host_str().unwrap_or("localhost").to_ascii_lowercase();
            format!("{} {host}:{}{}", url.scheme(), url.port().unwrap_or(port), url.path())
        }
        // The settings have read it before.
        Err(_) => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
