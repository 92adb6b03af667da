//! Sending something wrong, and what is true of every such request.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::kit::{Answer, rows, send};
use crate::support::{PASSWORD, SECRET, Setup, TestServer};

/// Part of every message sent here; no log may hold it.
pub const SECRET_TEXT: &str = "xyzzy-what-a-person-says";

/// The calls that take a message: path, and whether they need a token.
pub const MESSAGE_CALLS: [(&str, bool); 3] = [("/chat", false), ("/api/chat", true), ("/api/chat/stream", true)];

/// The calls that take a JSON body.
pub const JSON_CALLS: [(&str, bool); 14] = [
    ("/chat", false),
    ("/conversations", false),
    ("/api/chat", true),
    ("/api/chat/stream", true),
    ("/api/auth/register", false),
    ("/api/auth/login", false),
    ("/api/v1/auth/register", false),
    ("/api/v1/auth/login", false),
    ("/api/v1/auth/refresh", false),
    ("/api/v1/auth/logout", false),
    ("/chat-message", false),
    ("/auth/signup", false),
    ("/auth/login", false),
    ("/chat/send", true),
];

/// A server to send wrong things to.
pub struct Bench {
    pub server: TestServer,
    pub token: String,
}

impl Bench {
    pub async fn start() -> Self {
        let server = Setup::new().start();
        let token = server.sign_up("user@example.com").await;
        // A line may be written a moment after its answer; this one is the last so far.
        send(server.get("/health").header("x-request-id", "ready")).await;
        server.wait_for_log("ready");
        Self { server, token }
    }

    /// A POST with that body as it stands.
    pub fn raw(&self, path: &str, with_token: bool, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.server.request(Method::POST, path).header("content-type", "application/json").body(body);
        if with_token { request.bearer_auth(&self.token) } else { request }
    }

    /// Sends it: it is refused with `status` in its dialect's form, the database stays as it was, and the log gets one line that holds
    /// neither text nor token.
    pub async fn assert_refused(&self, what: &str, request: RequestBuilder, status: u16) -> Answer {
        let before = rows::rows(&self.server);
        let id = format!("bad-{}", self.server.log().len());
        let lines = self.server.log().len();
        let answer = send(request.header("x-request-id", &id)).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert!(answer.header("content-type").ends_with("json"), "{what}: {answer:?}");
        assert_eq!(rows::rows(&self.server), before, "{what}");
        self.server.wait_for_log(&id);
        let log = self.server.log();
        assert_eq!(log.len(), lines + 1, "{what}: {:#?}", &log[lines..]);
        for secret in [SECRET_TEXT, &self.token, SECRET, PASSWORD, "Bearer", "eyJ"] {
            assert!(!log[lines].contains(secret), "{what}: {}", log[lines]);
        }
        assert_tells_nothing(what, &answer);
        answer
    }
}

/// No error shows SQL, a stack, a path, a key, or what was sent.
fn assert_tells_nothing(what: &str, answer: &Answer) {
    for secret in ["SELECT ", "INSERT ", "sqlite", "panicked", "src/", "/rustc", SECRET, SECRET_TEXT, PASSWORD] {
        assert!(!answer.body.contains(secret), "{what}: {answer:?}");
    }
}

/// The types of all faults that a 422 tells, in either form.
pub fn kinds(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let faults = if body["errors"].is_array() { &body["errors"] } else { &body["detail"] };
    let faults: &Vec<Value> = faults.as_array().unwrap_or_else(|| panic!("no list in {body}"));
    faults.iter().map(|fault| fault["type"].as_str().unwrap().to_owned()).collect()
}
