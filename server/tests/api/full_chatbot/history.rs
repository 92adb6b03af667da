//! `GET /get-conversation-history/{id}`

use serde_json::json;

use super::{begin, history};
use crate::kit::{assert_fields, send};
use crate::support::Setup;

#[tokio::test]
async fn what_was_said_is_shown_in_its_order() {
    let server = Setup::new().start();
    let id = begin(&server, 1, "m-1", "Hello!").await;
    let shown = history(&server, &id).await;
    assert_fields(&shown, &["conversation_id", "message_count", "messages"]);
    assert_eq!((&shown["conversation_id"], &shown["message_count"]), (&json!(id), &json!(2)));
    assert_eq!(shown["messages"][0], json!({"role": "user", "message": "Hello!"}));
    assert_fields(&shown["messages"][1], &["role", "message"]);
    assert_eq!(shown["messages"][1]["role"], "assistant");
}

#[tokio::test]
async fn an_unknown_conversation_is_404() {
    let server = Setup::new().start();
    for id in ["1234567890123456", "abc", "0", "-1", "conversation-id"] {
        let refused = send(server.get(&format!("/get-conversation-history/{id}"))).await;
        assert_eq!(refused.expect(404), json!({"detail": "Conversation not found"}), "{id}");
    }
}
