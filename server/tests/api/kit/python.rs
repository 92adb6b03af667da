//! Python's packages, for tests that need a program written in it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that has these packages, kept between test runs under `name`.
pub fn packages(name: &str, wanted: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
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
        .args(wanted)
        .output()
        .unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    std::fs::write(target.join("complete"), "").unwrap();
    // Another run may have been quicker; its folder is as good.
    let _ = std::fs::rename(&target, &folder);
    assert!(done.exists());
    folder
}
