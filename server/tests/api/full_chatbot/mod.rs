//! `/chat-message` and `/get-conversation-history/{id}`.

mod chat;
mod guests;
mod history;
mod query;
mod store;

use serde_json::{Value, json};

use crate::kit::{Answer, assert_fields, assert_text_id, send};
use crate::support::TestServer;

/// A message as the document has it.
pub fn message(user: i64, id: &str, text: &str) -> Value {
    json!({"message": text, "user_id": user, "message_id": id, "message_count": 1, "conversation_id": ""})
}

/// The same, in a conversation.
pub fn message_in(conversation: &str, user: i64, id: &str, text: &str) -> Value {
    let mut body = message(user, id, text);
    body["conversation_id"] = conversation.into();
    body
}

pub async fn say(server: &TestServer, body: &Value) -> Answer {
    send(server.post("/chat-message", body)).await
}

/// Begins a conversation. Returns its id.
pub async fn begin(server: &TestServer, user: i64, id: &str, text: &str) -> String {
    let answer = say(server, &message(user, id, text)).await.expect(200);
    assert_fields(&answer, &["message", "conversation_id"]);
    assert_text_id(&answer["conversation_id"])
}

pub async fn history(server: &TestServer, conversation: &str) -> Value {
    send(server.get(&format!("/get-conversation-history/{conversation}"))).await.expect(200)
}
