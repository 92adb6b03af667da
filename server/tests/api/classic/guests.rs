//! `GUEST_ACCESS`: who may call without a login.

use reqwest::Method;
use serde_json::json;

use super::{begin, list, said};
use crate::kit::{Answer, send};
use crate::support::{Setup, TestServer};

/// Every call of this surface, without a token.
async fn all_calls(server: &TestServer) -> Vec<(String, Answer)> {
    let calls = [
        (Method::POST, "/chat", json!({"message": "Hi", "user_id": "anna"})),
        (Method::POST, "/chat", json!({"message": "Hi"})),
        (Method::POST, "/chat", json!({"message": "Hi", "conversation_id": 1_234_567_890_123_456_i64})),
        (Method::POST, "/conversations", json!({"user_id": "anna"})),
        (Method::GET, "/conversations/1234567890123456/messages", json!(null)),
        (Method::GET, "/conversations/1234567890123456/full", json!(null)),
        (Method::GET, "/conversations/user/anna", json!(null)),
        (Method::DELETE, "/conversations/1234567890123456", json!(null)),
    ];
    let mut answers = Vec::new();
    for (method, path, body) in calls {
        let request = server.request(method.clone(), path);
        let request = if body.is_null() { request } else { request.json(&body) };
        answers.push((format!("{method} {path}"), send(request).await));
    }
    answers
}

#[tokio::test]
async fn without_guests_every_call_needs_a_token() {
    let server = Setup::new().env("GUEST_ACCESS", "off").start();
    for (call, answer) in all_calls(&server).await {
        assert_eq!(answer.status, 401, "{call}");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{call}");
        assert_eq!(answer.json(), json!({"detail": "Not authenticated"}), "{call}");
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
}

#[tokio::test]
async fn guests_are_served_on_a_loopback_address_by_default() {
    let server = Setup::new().without("GUEST_ACCESS").start();
    begin(&server, "anna", "Hi").await;
}

#[tokio::test]
async fn guests_are_refused_by_default_when_the_server_listens_beyond_this_machine() {
    let server = Setup::new().without("GUEST_ACCESS").env("HOST", "0.0.0.0").start();
    for (call, answer) in all_calls(&server).await {
        assert_eq!(answer.status, 401, "{call}");
    }
}

#[tokio::test]
async fn guests_can_be_allowed_beyond_this_machine() {
    let server = Setup::new().env("GUEST_ACCESS", "on").env("HOST", "0.0.0.0").start();
    begin(&server, "anna", "Hi").await;
}

#[tokio::test]
async fn without_guests_the_tokens_account_is_the_user() {
    let server = Setup::new().env("GUEST_ACCESS", "off").start();
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/chat", &json!({"message": "Hi", "user_id": "anna"})).bearer_auth(&token);
    let id = send(request).await.expect(200)["conversation_id"].as_i64().unwrap();
    let me = send(server.get("/api/users/me").bearer_auth(&token)).await.expect(200)["id"].to_string();
    let listed = send(server.get("/conversations/user/anna").bearer_auth(&token)).await.expect(200);
    assert_eq!((&listed[0]["id"], &listed[0]["user_id"]), (&json!(id), &json!(me)));
    let full = send(server.get(&format!("/conversations/{id}/full")).bearer_auth(&token)).await.expect(200);
    assert_eq!(full["user_id"], json!(me));
    let made = send(server.post("/conversations", &json!({"user_id": "anna"})).bearer_auth(&token)).await.expect(200);
    assert_eq!(made["user_id"], json!(me));
    send(server.delete(&format!("/conversations/{id}")).bearer_auth(&token)).await.expect(200);
}

#[tokio::test]
async fn with_a_token_the_bodys_user_never_wins() {
    let server = Setup::new().start();
    let annas = begin(&server, "anna", "Hi").await;
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/chat", &json!({"message": "Mine", "user_id": "anna"})).bearer_auth(&token);
    let mine = send(request).await.expect(200)["conversation_id"].as_i64().unwrap();
    assert_eq!(list(&server, "anna").await.len(), 1);
    let listed = send(server.get("/conversations/user/anna").bearer_auth(&token)).await.expect(200);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["id"], mine);
    let body = json!({"message": "x", "user_id": "anna", "conversation_id": annas});
    send(server.post("/chat", &body).bearer_auth(&token)).await.expect(404);
    assert_eq!(said(&server, annas).await.len(), 2);
}

#[tokio::test]
async fn a_bad_token_makes_nobody_a_guest() {
    let server = Setup::new().start();
    for value in ["Bearer garbage", "Basic YTpi", "Bearer", "Token x"] {
        let request = server.post("/chat", &json!({"message": "Hi", "user_id": "anna"})).header("authorization", value);
        let refused = send(request).await;
        assert_eq!(refused.status, 401, "{value}");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
}

#[tokio::test]
async fn a_deactivated_guest_is_refused() {
    let server = Setup::new().start();
    let id = begin(&server, "anna", "Hi").await;
    server.database().execute("UPDATE accounts SET is_active = 0", []).unwrap();
    send(server.post("/chat", &json!({"message": "Hi", "user_id": "anna"}))).await.expect(401);
    send(server.get(&format!("/conversations/{id}/full"))).await.expect(401);
    send(server.get("/conversations/user/anna")).await.expect(401);
}

#[tokio::test]
async fn a_page_that_had_its_own_name_looked_up_as_this_machine_is_no_guest() {
    let server = Setup::new().env("GUEST_ACCESS", "loopback").start();
    let call = |host: &str| server.post("/chat", &json!({"message": "Hi"})).header("host", host);
    let port = server.authority().rsplit(':').next().unwrap().to_owned();
    send(call(&format!("localhost:{port}"))).await.expect(200);
    let refused = send(call(&format!("evil.example:{port}"))).await;
    assert_eq!(refused.status, 401);
    assert_eq!(server.count("SELECT COUNT(*) FROM turns"), 1);
}

#[tokio::test]
async fn a_page_sends_no_message_that_it_need_not_ask_for() {
    let server = Setup::new().start();
    let call = || server.request(Method::POST, "/chat").body(r#"{"message": "Hi"}"#);
    let refused = send(call().header("origin", "https://evil.example")).await;
    assert_eq!(refused.status, 422);
    send(call()).await.expect(200);
}
