//! What belongs to somebody else looks like what does not exist.

use serde_json::json;

use super::{begin, said};
use crate::kit::{assert_text_id, rows, send};
use crate::support::{Setup, TestServer};

const UNKNOWN: i64 = 1_234_567_890_123_456;

/// Compares every call on `theirs` with the same call on what does not exist, in the name of `token` or of the guest "ben".
async fn assert_invisible(server: &TestServer, theirs: i64, token: Option<&str>) {
    let before = rows::rows(server);
    let calls = |id: i64| {
        let chat = server.post("/chat", &json!({"message": "Hi", "conversation_id": id, "user_id": "ben"}));
        let mut calls = vec![chat];
        if token.is_some() {
            calls.push(server.get(&format!("/conversations/{id}/messages")));
            calls.push(server.get(&format!("/conversations/{id}/full")));
            calls.push(server.delete(&format!("/conversations/{id}")));
            calls.push(server.post("/api/chat", &json!({"message": "Hi", "session_id": id})));
            calls.push(server.post("/api/chat/stream", &json!({"message": "Hi", "session_id": id.to_string()})));
        }
        calls
    };
    for (foreign, unknown) in calls(theirs).into_iter().zip(calls(UNKNOWN)) {
        let with_token = |request: reqwest::RequestBuilder| match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let (foreign, unknown) = (send(with_token(foreign)).await, send(with_token(unknown)).await);
        assert_eq!(foreign.status, 404);
        assert_eq!(foreign.comparable(), unknown.comparable());
    }
    assert_eq!(rows::rows(server), before);
}

#[tokio::test]
async fn a_guest_does_not_see_another_guests_conversation() {
    let server = Setup::new().start();
    let annas = begin(&server, "anna", "Hi").await;
    begin(&server, "ben", "Hi").await;
    assert_invisible(&server, annas, None).await;
}

#[tokio::test]
async fn a_stranger_who_names_anothers_conversation_leaves_no_trace() {
    let server = Setup::new().start();
    let annas = begin(&server, "anna", "Hi").await;
    assert_invisible(&server, annas, None).await;
}

#[tokio::test]
async fn an_account_does_not_see_a_guests_conversation() {
    let server = Setup::new().start();
    let annas = begin(&server, "anna", "Hi").await;
    let token = server.sign_up("user@example.com").await;
    assert_invisible(&server, annas, Some(&token)).await;
    assert_eq!(said(&server, annas).await.len(), 2);
}

#[tokio::test]
async fn an_account_does_not_see_another_accounts_conversation() {
    let server = Setup::new().start();
    let (one, two) = (server.sign_up("one@example.com").await, server.sign_up("two@example.com").await);
    let theirs = send(server.post("/chat", &json!({"message": "Hi"})).bearer_auth(one)).await.expect(200);
    assert_invisible(&server, theirs["conversation_id"].as_i64().unwrap(), Some(&two)).await;
}

#[tokio::test]
async fn a_guest_does_not_see_an_accounts_conversation() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let theirs = send(server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&token)).await.expect(200);
    let theirs = assert_text_id(&theirs["session_id"]);
    for id in [theirs.clone(), UNKNOWN.to_string()] {
        let not_found = json!({"detail": "Conversation not found"});
        assert_eq!(send(server.get(&format!("/conversations/{id}/full"))).await.expect(404), not_found);
        assert_eq!(send(server.get(&format!("/conversations/{id}/messages"))).await.expect(404), not_found);
        assert_eq!(send(server.delete(&format!("/conversations/{id}"))).await.expect(404), not_found);
        assert_eq!(
            send(server.post("/chat", &json!({"message": "x", "conversation_id": id}))).await.expect(404),
            not_found
        );
    }
    let me = send(server.get("/api/users/me").bearer_auth(&token)).await.expect(200)["id"].to_string();
    let listed = send(server.get(&format!("/conversations/user/{me}"))).await.expect(200);
    assert_eq!(listed, json!([]));
    let listed = send(server.get("/conversations/user/user@example.com")).await.expect(200);
    assert_eq!(listed, json!([]));
}

#[tokio::test]
async fn a_conversation_goes_on_in_another_dialect_of_its_owner() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let begun = send(server.post("/api/chat", &json!({"message": "One"})).bearer_auth(&token)).await.expect(200);
    let id = assert_text_id(&begun["session_id"]);
    let body = json!({"message": "Two", "conversation_id": id});
    let gone_on = send(server.post("/chat", &body).bearer_auth(&token)).await.expect(200);
    assert_eq!(gone_on["conversation_id"].to_string(), id);
    let read = send(server.get(&format!("/conversations/{id}/full")).bearer_auth(&token)).await.expect(200);
    assert_eq!(read["messages"].as_array().unwrap().len(), 4);
}
