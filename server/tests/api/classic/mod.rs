//! `/chat` and `/conversations…`: the surface whose callers name themselves.

mod chat;
mod conversations;
mod guests;
mod walls;

use serde_json::{Value, json};

use crate::kit::{assert_number_id, send};
use crate::support::TestServer;

/// Sends a guest's message, in a new conversation. Returns its id.
async fn begin(server: &TestServer, user: &str, message: &str) -> i64 {
    let answer = send(server.post("/chat", &json!({"message": message, "user_id": user}))).await.expect(200);
    assert_number_id(&answer["conversation_id"])
}

/// A guest's conversations.
async fn list(server: &TestServer, user: &str) -> Vec<Value> {
    let listed = send(server.get(&format!("/conversations/user/{user}"))).await.expect(200);
    listed.as_array().unwrap().clone()
}

/// A conversation's messages as role and content.
async fn said(server: &TestServer, id: i64) -> Vec<(String, String)> {
    let messages = send(server.get(&format!("/conversations/{id}/messages"))).await.expect(200);
    let pair = |message: &Value| {
        (message["role"].as_str().unwrap().to_owned(), message["content"].as_str().unwrap().to_owned())
    };
    messages.as_array().unwrap().iter().map(pair).collect()
}
