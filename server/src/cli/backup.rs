//! `parlor backup` and `parlor restore`

use std::path::{Path, PathBuf};

use clap::Args;
use parlor_engine::config::{DatabaseUrl, Settings};
use parlor_engine::store;

use super::settings::{self, Secret};
use super::{CliError, Options, say};

/// Copy the SQLite database into a new file, beside the running server or without it, and check the copy. Attached files are not in it: copy
/// their folder afterwards.
#[derive(Args)]
pub(super) struct Backup {
    /// The file to make; readable by its owner alone
    file: PathBuf,
}

/// Put a copy that `parlor backup` made into the place of the SQLite database. Stop the server first.
#[derive(Args)]
pub(super) struct Restore {
    /// The copy
    file: PathBuf,
}

impl Backup {
    pub(super) fn run(self, options: &Options) -> Result<(), CliError> {
        let (settings, _) = settings::load(options, Secret::NotNeeded)?;
        let path = sqlite_file(&settings, "Back it up", |url| match url {
            DatabaseUrl::Postgres(_) => {
                format!("pg_dump --format=custom --file={} {}", self.file.display(), place_of(url))
            }
            _ => format!("mysqldump --single-transaction --no-tablespaces {} > {}", place_of(url), self.file.display()),
        })?;
        let bytes = store::back_up(path, &self.file).map_err(|error| CliError::Failed(error.to_string()))?;
        say(&format!("{}: {bytes} bytes, checked.", self.file.display()))?;
        match &settings.files.bucket {
            Some(_) => say("Attached files are not in it: they lie in their bucket."),
            None if settings.files.folder.exists() => {
                say(&format!("Attached files are not in it: copy {} now, too.", settings.files.folder.display()))
            }
            None => Ok(()),
        }
    }
}

impl Restore {
    pub(super) fn run(self, options: &Options) -> Result<(), CliError> {
        let (settings, _) = settings::load(options, Secret::NotNeeded)?;
        let path = sqlite_file(&settings, "Restore it", |url| match url {
            DatabaseUrl::Postgres(_) => {
                let place = place_of(url);
                let (server, name) = place.rsplit_once(' ').unwrap_or_default();
                format!("pg_restore --clean --if-exists {server} --dbname={name} {}", self.file.display())
            }
            _ => format!("mysql {} < {}", place_of(url), self.file.display()),
        })?;
        store::restore(&self.file, path).map_err(|error| CliError::Failed(error.to_string()))?;
        say(&format!("{} is in the place of {}.", self.file.display(), path.display()))
    }
}

/// The SQLite file of the settings, or a word of what to do with the database server's own tools.
fn sqlite_file<'s>(
    settings: &'s Settings,
    what: &str,
    command: impl FnOnce(&DatabaseUrl) -> String,
) -> Result<&'s Path, CliError> {
    match &settings.database.url {
        DatabaseUrl::Sqlite(path) => Ok(path),
        url => {
            let refused =
                format!("the database is a server's, not a SQLite file. {what} with its own tool: {}", command(url));
            Err(CliError::Failed(refused))
        }
    }
}

/// Where a server's database is, as its client programs are told: without user and password, which they ask for or know.
fn place_of(url: &DatabaseUrl) -> String {
    let redacted = url.redacted();
    let Ok(url) = url::Url::parse(&redacted) else { return redacted };
    let port = url.port().map(|port| format!(" --port={port}")).unwrap_or_default();
    format!("--host={}{port} {}", url.host_str().unwrap_or("localhost"), url.path().trim_start_matches('/'))
}
