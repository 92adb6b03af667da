//! `GET /chat/history/{conversation_id}`

use serde_json::json;

use super::{say, sign_up};
use crate::kit::{assert_fields, assert_time, send};
use crate::support::Setup;

#[tokio::test]
async fn what_was_said_is_shown_in_its_order() {
    let server = Setup::new().start();
    let token = sign_up(&server, "ada").await;
    let answer = say(&server, &token, &json!({"message": "Hello!"})).await.expect(200);
    let path = format!("/chat/history/{}", answer["conversation_id"].as_str().unwrap());
    let shown = send(server.get(&path).bearer_auth(&token)).await.expect(200);
    assert_fields(&shown, &["conversation_id", "messages"]);
    assert_eq!(shown["conversation_id"], answer["conversation_id"]);
    let messages = shown["messages"].as_array().unwrap();
    for message in messages {
        assert_fields(message, &["role", "content", "attachments", "created_at"]);
        assert_time(&message["created_at"]);
    }
    let said: Vec<_> = messages.iter().map(|message| (&message["role"], &message["content"])).collect();
    assert_eq!(said, [(&json!("user"), &json!("Hello!")), (&json!("assistant"), &answer["message"]["content"])]);
}

#[tokio::test]
async fn anothers_conversation_is_as_unknown_as_none() {
    let server = Setup::new().start();
    let (ada, bob) = (sign_up(&server, "ada").await, sign_up(&server, "bob").await);
    let answer = say(&server, &ada, &json!({"message": "Hello!"})).await.expect(200);
    let theirs = answer["conversation_id"].as_str().unwrap();
    let mut answers = Vec::new();
    for id in [theirs, "1234567890123456", "abc", "0"] {
        answers.push(send(server.get(&format!("/chat/history/{id}")).bearer_auth(&bob)).await);
    }
    for answer in &answers {
        assert_eq!(answer.status, 404);
        assert_eq!(answer.comparable(), answers[1].comparable());
    }
    send(server.get(&format!("/chat/history/{theirs}"))).await.expect(401);
}
