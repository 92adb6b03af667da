//! What a key is, and how long it protects.

use serde_json::json;

use crate::kit::{Answer, rows, send};
use crate::support::{Setup, TestServer};

async fn chat(server: &TestServer, token: &str, key: &str) -> Answer {
    let request = server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(token);
    send(request.header("idempotency-key", key)).await
}

#[tokio::test]
async fn a_key_lives_a_day() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let first = chat(&server, &token, "key-1").await.expect(200);
    let day = 24 * 60 * 60 * 1_000_000_i64;
    let left = "SELECT expires_at - (SELECT started_at FROM turns) FROM idempotency_keys";
    assert_eq!(server.count(left), day);
    server.database().execute("UPDATE idempotency_keys SET expires_at = expires_at - ?1", [day]).unwrap();
    let second = chat(&server, &token, "key-1").await.expect(200);
    assert_ne!(first["message_id"], second["message_id"]);
}

#[tokio::test]
async fn a_key_is_the_same_with_and_without_quotes() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let first = chat(&server, &token, "8e03978e-40d5-43dd-bc93-6894a57f9324").await.expect(200);
    let second = chat(&server, &token, "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"").await.expect(200);
    assert_eq!(first, second);
}

#[tokio::test]
async fn keys_are_compared_to_the_letter() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let first = chat(&server, &token, "key").await.expect(200);
    for other in ["KEY", "key1", "ke"] {
        assert_ne!(chat(&server, &token, other).await.expect(200)["message_id"], first["message_id"], "{other}");
    }
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let before = rows::rows(&server);
    for key in ["", "\"\"", &"k".repeat(256), "schlüssel"] {
        let refused = chat(&server, &token, key).await;
        assert_eq!(refused.status, 400, "{key:?}");
        assert!(refused.detail().starts_with("Idempotency-Key must be"));
    }
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn a_refused_message_uses_up_no_key() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let say = |body: serde_json::Value| {
        send(server.post("/api/chat", &body).bearer_auth(&token).header("idempotency-key", "key-1"))
    };
    say(json!({"message": ""})).await.expect(400);
    say(json!({"message": "Hi", "session_id": "1"})).await.expect(404);
    say(json!({})).await.expect(422);
    say(json!({"message": "Hi"})).await.expect(200);
}

#[tokio::test]
async fn a_key_holds_when_the_servers_own_model_changes() {
    let mut server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let first = chat(&server, &token, "key").await.expect(200);
    server.restart_with(|setup| setup.env("CHAT__MODEL", "another-model"));
    assert_eq!(chat(&server, &token, "key").await.expect(200), first);
}

#[tokio::test]
async fn a_key_holds_when_its_conversation_is_gone() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let first = chat(&server, &token, "key").await.expect(200);
    let path = format!("/conversations/{}", first["session_id"].as_str().unwrap());
    send(server.delete(&path).bearer_auth(&token)).await.expect(200);
    chat(&server, &token, "key").await.expect(404);
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 0);
}
