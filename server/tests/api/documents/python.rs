//! Section 9 of `advanced`'s document: the Python program as it stands.

use std::process::Command;

use crate::kit::python::packages;
use crate::support::Setup;

const PROGRAM: &str = include_str!("example.py");

#[tokio::test]
async fn section_9_registers_signs_in_and_chats_in_python() {
    let server = Setup::new().start();
    let program = PROGRAM.replace("http://127.0.0.1:8000", &server.url(""));
    let output = Command::new("python3")
        .args(["-c", &program])
        .env("PYTHONPATH", packages("requests", &["requests"]))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    for part in ["'message_id': ", "'session_id': ", "'reply': ", "Hello, how are you?", "'usage': {'tokens': "] {
        assert!(printed.contains(part), "no {part} in {printed}");
    }
}
