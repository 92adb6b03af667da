//! The clients that people use, as they are published: nothing but the base URL and the key is Parlor's.
//!
//! Their programs are in `server/tests/sdk`; `scripts/need sdks` installs what they need.

use std::path::Path;
use std::process::Command;

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use super::{mock, signed_up};
use crate::kit::send;
use crate::support::{Setup, TestServer};

/// Runs a program against the server; `models` says what it asks for.
async fn run(server: &TestServer, token: &str, program: &[&str], models: &str) {
    let request = json!({"name": "sdk", "scopes": ["chat"]});
    let key = send(server.post("/api/v1/api-keys", &request).bearer_auth(token)).await.expect(201);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    let mut command = Command::new(program[0]);
    command
        .args(&program[1..])
        .current_dir(folder)
        .env("OPENAI_BASE_URL", server.url("/v1"))
        .env("OPENAI_API_KEY", key["key"].as_str().unwrap())
        .env("MODELS", models)
        // LangChain would look for its makers' tracing.
        .env("LANGSMITH_TRACING", "false")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with("ok\n"), "{program:?}\n{out}\n{error}");
}

async fn upstream_and_mock(program: &[&str]) {
    let upstream = FakeUpstream::start().await;
    let (server, token) = signed_up(Setup::new().upstream(&upstream, "mock-full").start()).await;
    run(&server, &token, program, "upstream").await;
    let (server, token) = mock().await;
    run(&server, &token, program, "mock").await;
}

#[tokio::test]
async fn openais_own_package_for_python_works() {
    upstream_and_mock(&["python3", "openai_python.py"]).await;
}

#[tokio::test]
async fn openais_own_package_for_javascript_works() {
    upstream_and_mock(&["node", "openai_javascript.mjs"]).await;
}

#[tokio::test]
async fn langchain_works() {
    upstream_and_mock(&["python3", "langchain.py"]).await;
}

#[tokio::test]
async fn vercels_ai_sdk_works() {
    upstream_and_mock(&["node", "vercel.mjs"]).await;
}
