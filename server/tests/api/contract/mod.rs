//! The wire contract, line by line: one short test for each line, named as the line reads. How a line holds in all its cases is
//! tested in the folder of its surface, and what each database does in `engine/tests/store`.
//!
//! Lines to come with what they describe:
//!
//! - the FAQ passages in a message's context, and `sources` that are not empty;
//! - `/api/v1/faqs…` and the roles that may write there;
//! - `/api/v1/analytics/…`, `/api/v1/audit-logs`.

mod advanced;
mod callers;
mod classic;
mod common;
mod configuration;
mod full_chatbot;
mod messages;
mod mvp;
mod native;
mod native_account;
mod native_conversations;
mod openai;
mod streams;

use parlor_bench::fake::FakeUpstream;
use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::{Answer, assert_fields, send};
use crate::support::{Setup, TestServer};

/// The address of the account that calls.
const EMAIL: &str = "user@example.com";
/// A conversation that nobody has.
const NOBODYS: &str = "1234567890123456";

/// A server, and an account on it.
struct Client {
    server: TestServer,
    token: String,
}

impl Client {
    async fn start() -> Self {
        Self::of(Setup::new()).await
    }

    async fn of(setup: Setup) -> Self {
        let server = setup.start();
        let token = server.sign_up(EMAIL).await;
        Self { server, token }
    }

    /// With the account's token; without a body where it is null.
    async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.server.request(method, path).bearer_auth(&self.token);
        send(if body.is_null() { request } else { request.json(&body) }).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    /// Sends a message over the native surface.
    async fn say(&self, message: &str) -> Value {
        self.post("/api/v1/chat/send", json!({"message": message})).await.expect(200)
    }
}

/// An account on a server whose provider is a fake; `model` says how that behaves.
async fn with_provider(model: &str) -> (FakeUpstream, Client) {
    let upstream = FakeUpstream::start().await;
    let client = Client::of(Setup::new().upstream(&upstream, model)).await;
    (upstream, client)
}

/// Asserts the usage that names all three counts.
fn assert_usage(usage: &Value) {
    assert_fields(usage, &["prompt_tokens", "completion_tokens", "total_tokens"]);
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(count("total_tokens"), count("prompt_tokens") + count("completion_tokens"));
}

/// The one field of an object that differs from call to call, taken out.
fn without(value: &Value, field: &str) -> Value {
    let mut rest = value.clone();
    assert!(rest.as_object_mut().unwrap().remove(field).is_some(), "no {field} in {value}");
    rest
}
