//! Section 9 of `advanced`'s document: the Python program as it stands.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Setup;

const PROGRAM: &str = include_str!("example.py");

/// A folder of Python packages that has `requests`, kept between test runs.
fn packages() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-requests");
    let done = folder.join("complete");
    if done.exists() {
        return folder;
    }
    // Made aside and moved into place, so that two test runs do not meet half-way.
    let aside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let venv = aside.path().join("venv");
    let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).output().unwrap();
    let python = if made.status.success() { venv.join("bin/python3") } else { PathBuf::from("python3") };
    let target = aside.path().join("packages");
    let installed = Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
        .arg(&target)
        .arg("requests")
        .output()
        .unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    std::fs::write(target.join("complete"), "").unwrap();
    // Another run may have been quicker; its folder is as good.
    let _ = std::fs::rename(&target, &folder);
    assert!(done.exists());
    folder
}

#[tokio::test]
async fn section_9_registers_signs_in_and_chats_in_python() {
    let server = Setup::new().start();
    let program = PROGRAM.replace("http://127.0.0.1:8000", &server.url(""));
    let output = Command::new("python3").args(["-c", &program]).env("PYTHONPATH", packages()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    for part in ["'message_id': ", "'session_id': ", "'reply': ", "Hello, how are you?", "'usage': {'tokens': "] {
        assert!(printed.contains(part), "no {part} in {printed}");
    }
}
