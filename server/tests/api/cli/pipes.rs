//! Commands whose reader goes away, or whose answer cannot be written.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::process::{Output, Stdio};

use super::err;
use crate::support::Setup;

/// What a shell tells of a program that SIGPIPE ended.
const UNHEARD: i32 = 141;

const COMMANDS: [&[&str]; 6] = [
    &["openapi"],
    &["config", "show"],
    &["migrate", "--dry-run", "--sql"],
    &["db", "setup"],
    &["user", "list"],
    &["backup", "copy.db"],
];

/// Runs a command whose standard output nobody reads any longer.
fn unheard(arguments: &[&str]) -> Output {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new();
    if matches!(arguments[0], "user" | "backup") {
        assert!(setup.command(data.path(), &["migrate"]).output().unwrap().status.success());
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    setup.command(data.path(), arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap()
}

#[test]
fn a_command_whose_reader_has_gone_ends_quietly() {
    for arguments in COMMANDS {
        let ended = unheard(arguments);
        assert_eq!(ended.status.code(), Some(UNHEARD), "{arguments:?}");
        assert_eq!(err(&ended), "", "{arguments:?}");
    }
}

#[test]
fn what_is_longer_than_a_pipe_ends_when_its_first_line_was_enough() {
    let data = tempfile::tempdir().unwrap();
    let mut command = Setup::new().command(data.path(), &["openapi"]);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "{\n");
    let ended = process.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), err(&ended)), (Some(UNHEARD), String::new()));
}

#[test]
fn an_error_that_nobody_can_read_is_told_by_the_exit_code() {
    let data = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Setup::new().command(data.path(), &["db", "show", "--set", "no.such=1"]);
    assert_eq!(command.stderr(writer).output().unwrap().status.code(), Some(2));
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let data = tempfile::tempdir().unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Setup::new().command(data.path(), &["config", "show"]);
    let refused = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = err(&refused);
    assert!(told.starts_with("parlor: standard output: ") && told.lines().count() == 1, "{told}");
}
