//! `openai`: `/v1`.

mod completions;
mod embeddings;
mod errors;
mod kept;
mod keys;
mod models;
mod moderations;
mod responses;
mod sdks;
mod streams;

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use crate::kit::{Answer, send};
use crate::support::{Setup, TestServer};

const COMPLETIONS: &str = "/v1/chat/completions";

/// A server in front of that provider, and an account's token.
async fn gateway(upstream: &FakeUpstream) -> (TestServer, String) {
    signed_up(Setup::new().upstream(upstream, "mock-echo").start()).await
}

/// A server on which the built-in mock answers, under any name.
async fn mock() -> (TestServer, String) {
    signed_up(Setup::new().env("CHAT__MODELS", "*").start()).await
}

async fn signed_up(server: TestServer) -> (TestServer, String) {
    let token = server.sign_up("user@example.com").await;
    (server, token)
}

async fn ask(server: &TestServer, token: &str, path: &str, body: &Value) -> Answer {
    send(server.post(path, body).bearer_auth(token)).await
}

/// A request that says hello.
fn hello(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello there"}]})
}

fn streamed(model: &str) -> Value {
    let mut body = hello(model);
    body["stream"] = true.into();
    body
}

/// The JSON of each event with data, without `[DONE]`.
fn chunks(body: &str) -> Vec<Value> {
    let data = body.split("\n\n").filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// What the ledger says: kind, provider, model, tokens read and written, whether estimated.
fn ledger(server: &TestServer) -> Vec<(String, String, String, i64, i64, bool)> {
    let database = server.database();
    let sql =
        "SELECT kind, provider, model, prompt_tokens, completion_tokens, is_estimated FROM usage_ledger ORDER BY id";
    let mut rows = database.prepare(sql).unwrap();
    let rows =
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// A line of the ledger, as [`ledger`] shows it.
fn line(kind: &str, model: &str, tokens: (i64, i64), is_estimated: bool) -> (String, String, String, i64, i64, bool) {
    (kind.to_owned(), "openai".to_owned(), model.to_owned(), tokens.0, tokens.1, is_estimated)
}
