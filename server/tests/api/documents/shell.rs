//! Running a document's command.

use std::process::{Command, Output};

/// Runs it by bash.
pub fn bash(command: &str) -> Output {
    Command::new("bash").args(["-c", command]).output().unwrap()
}

/// Runs it; it succeeds. Gives what it prints.
pub fn printed(command: &str) -> String {
    let output = bash(command);
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
