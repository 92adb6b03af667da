//! Copies of a SQLite database while it is in use, and putting one back.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, backup::Backup};

use super::migrations::{self, STANDING};
use super::{StoreError, sqlite};

/// What is put after a database's name while its successor takes its place.
const ASIDE: &str = ".before-restore";
/// What is put after the name of a copy that is not whole yet.
const UNFINISHED: &str = ".unfinished";

/// Why there is no copy, or why it was not put back. Either way the database is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is something of that name.
    #[error("{0} is there already: name a new file")]
    Exists(String),
    /// What should be copied is not there.
    #[error("{0}: there is no such file")]
    Absent(String),
    /// What should be copied is a folder, or another thing that is no file.
    #[error("{0} is not a file")]
    NoFile(String),
    /// What should be copied is no database of Parlor's.
    #[error("{0} is no database of Parlor's")]
    Foreign(String),
    /// What should be copied is damaged.
    #[error("{file} is damaged: {problem}")]
    Damaged {
        /// The file.
        file: String,
        /// What SQLite's check says first.
        problem: String,
    },
    /// An earlier run was interrupted.
    #[error(
        "{0} is left from a restore that was interrupted: look which of the two is wanted, and move the other away"
    )]
    Aside(String),
    /// A file cannot be read or written.
    #[error("{file}: {problem}")]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        #[source]
        problem: std::io::Error,
    },
    /// The database cannot be used.
    #[error("database: {0}")]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Copies the database at `path` into the new file `to`, readable by its owner alone: its state of one moment, whatever is written to it
/// meanwhile. The copy has been checked when this returns. Gives its size in bytes. Blocks.
///
/// # Errors
/// When there is no such database, or its copy cannot be made or is not sound.
pub fn back_up(path: &Path, to: &Path) -> Result<u64, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.display().to_string()));
    }
    let unfinished = beside(to, UNFINISHED);
    copy(path, &unfinished).and_then(|()| rename(&unfinished, to)).inspect_err(|_| remove(&unfinished))?;
    let size = std::fs::metadata(to).map_err(|problem| io(to, problem))?;
    Ok(size.len())
}

/// Puts a copy into the place of the database at `path`, which stands aside until that has come about. Refused while a server has the
/// database, and for a copy that is damaged or newer than this program. Blocks.
///
/// # Errors
/// When the copy is not sound, or cannot be put there.
pub fn restore(copy_path: &Path, path: &Path) -> Result<(), BackupError> {
    // Before a folder is made for it.
    drop(open(copy_path)?);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|problem| io(folder, problem))?;
    }
    let _locked = sqlite::lock(path)?;
    let aside = beside(path, ASIDE);
    if aside.exists() {
        return Err(BackupError::Aside(aside.display().to_string()));
    }
    check_standing(copy_path)?;
    let unfinished = beside(path, UNFINISHED);
    remove(&unfinished);
    copy(copy_path, &unfinished).inspect_err(|_| remove(&unfinished))?;
    let there = path.exists();
    if there {
        move_database(path, &aside)?;
    }
    if let Err(error) = rename(&unfinished, path).and_then(|()| check(path)) {
        if there {
            remove(path);
            move_database(&aside, path)?;
        }
        return Err(error);
    }
    for end in ["", "-wal", "-shm"] {
        remove(&beside(&aside, end));
    }
    Ok(())
}

/// A checked copy of one moment's state, in one file.
fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let source = open(from)?;
    check_kind(&source, from)?;
    remove(to);
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    drop(created.map_err(|problem| io(to, problem))?);
    let mut target =
        Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // All at once: in steps, it would begin anew with each write of a server.
    Backup::new(&source, &mut target)?.step(-1)?;
    // A log beside it would be no part of the copy.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    sound(&target, to)?;
    drop(target);
    let synced = File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|problem| io(to, problem))
}

fn open(path: &Path) -> Result<Connection, BackupError> {
    let file = path.display().to_string();
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(BackupError::NoFile(file)),
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Err(BackupError::Absent(file)),
        Err(problem) => return Err(BackupError::Io { file, problem }),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(connection)
}

/// Refuses what is no database of Parlor's.
fn check_kind(connection: &Connection, path: &Path) -> Result<(), BackupError> {
    let file = path.display().to_string();
    let found = "SELECT COUNT(*) FROM sqlite_schema WHERE name = ?";
    match connection.query_row(found, [STANDING], |row| row.get::<_, i64>(0)) {
        Ok(0) => Err(BackupError::Foreign(file)),
        Ok(_) => Ok(()),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Err(BackupError::Foreign(file)),
            Some(ErrorCode::DatabaseCorrupt) => Err(BackupError::Damaged { file, problem: error.to_string() }),
            _ => Err(error.into()),
        },
    }
}

/// Refuses a copy that is damaged, or whose schema this program does not know.
fn check_standing(path: &Path) -> Result<(), BackupError> {
    let connection = open(path)?;
    check_kind(&connection, path)?;
    sound(&connection, path)?;
    let applied = connection
        .prepare("SELECT version, hash FROM schema_migrations ORDER BY version")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(i64, String)>, _>>()?;
    migrations::check(&applied)?;
    Ok(())
}

fn check(path: &Path) -> Result<(), BackupError> {
    sound(&open(path)?, path)
}

fn sound(connection: &Connection, path: &Path) -> Result<(), BackupError> {
    let damaged = |problem: String| BackupError::Damaged { file: path.display().to_string(), problem };
    let says = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match says {
        Ok(word) if word == "ok" => Ok(()),
        Ok(problem) => Err(damaged(problem)),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Moves a database with what belongs to it.
fn move_database(from: &Path, to: &Path) -> Result<(), BackupError> {
    for end in ["-shm", "-wal", ""] {
        let part = beside(from, end);
        if part.exists() {
            rename(&part, &beside(to, end))?;
        }
    }
    Ok(())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::rename(from, to).and_then(|()| File::open(folder)?.sync_all()).map_err(|problem| io(to, problem))
}

/// Removes what may be there.
fn remove(path: &Path) {
    // What is left over is in nobody's way: its name is taken by none but the next run.
    let _ = std::fs::remove_file(path);
}

fn io(file: &Path, problem: std::io::Error) -> BackupError {
    BackupError::Io { file: file.display().to_string(), problem }
}
