//! `parlor …`: the command line, as its user sees it.

mod backups;
mod config;
mod database;
mod database_tls;
mod imports;
mod imports_odd;
mod pipes;
mod replicas;
mod secrets;

mod transfers;
mod usage;
mod users;

use std::path::Path;
use std::process::Output;

use crate::support::Setup;

/// Runs a command over that folder.
fn run(setup: &Setup, data: &Path, arguments: &[&str]) -> Output {
    setup.command(data, arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
