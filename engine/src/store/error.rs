//! What can go wrong with the database.

/// A failure of the store. Its text is for the log: it may name tables and files, never a person's data.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or server cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Open(String),
    /// Another server, worker, transfer or restore has the same file.
    #[error("the database {0} is in use by another Parlor process")]
    InUse(String),
    /// The schema is not what this program knows.
    #[error("migration {version} {problem}")]
    Migration {
        /// The migration's number.
        version: i64,
        /// What is wrong with it.
        problem: String,
    },
    /// A transfer into it was interrupted: it is not whole.
    #[error("a transfer into it has not come to its end: run the same `parlor transfer` again, or empty the database")]
    HalfTransferred,
    /// Too many writes or reads wait already, or this one waited too long.
    #[error("the database is overloaded")]
    Overloaded,
    /// The database has been closed: the server is stopping.
    #[error("the database is closed")]
    Closed,
    /// A text holds a NUL. PostgreSQL stores none, so no database does.
    #[error("a text holds a NUL character")]
    Nul,
    /// Somebody else's row has the same unique value.
    #[error("a unique value is taken already")]
    Duplicate,
    /// A row does not hold what the schema promises.
    #[error("column {column} does not hold {expected}")]
    Corrupt {
        /// The column's position in the query.
        column: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// The work on a connection panicked; its changes were undone.
    #[error("a database job panicked")]
    Panicked,
    /// The commit failed, and with it every change of its group.
    #[error("the commit failed: {0}")]
    Commit(String),
    /// Another transaction was at the same rows, time and again.
    #[error("the transaction clashed with others")]
    Clash,
    /// The database server does not answer.
    #[error("the database server cannot be reached: {0}")]
    Unreachable(&'static str),
    /// The database server said no. Its words may hold people's data, so only their code is kept.
    #[error("{database}: {meaning} (error {code})")]
    Server {
        /// Which one.
        database: &'static str,
        /// What that code means, where an operator can do something about it.
        meaning: &'static str,
        /// Its code.
        code: String,
    },
    /// SQLite said no.
    #[error("sqlite: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error().map(|e| e.extended_code) {
            Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
                Self::Duplicate
            }
            _ => Self::Sqlite(error),
        }
    }
}
