//! `WS /api/chat/ws`: who may open one.

use serde_json::json;

use crate::kit::signing::bad_tokens;
use crate::kit::socket::{Socket, said};
use crate::support::{PASSWORD, SECRET, Setup, TestServer};

/// Opens a socket and has one message answered.
async fn talk(server: &TestServer, path: &str, headers: &[(&'static str, &str)]) -> Socket {
    let mut socket = Socket::open(server, path, headers).await.unwrap();
    socket.send(&json!({"message": "Hi", "session_id": null})).await;
    assert!(said(&socket.answer().await).contains("built-in mock"));
    socket
}

#[tokio::test]
async fn the_token_comes_in_the_query() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    talk(&server, &format!("/api/chat/ws?token={token}"), &[]).await;
}

#[tokio::test]
async fn the_token_comes_in_the_authorization_header() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    talk(&server, "/api/chat/ws", &[("authorization", &format!("Bearer {token}"))]).await;
}

#[tokio::test]
async fn the_token_comes_in_the_protocol_list_and_a_protocol_is_agreed_on() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    for (list, agreed) in [(format!("bearer, {token}"), "bearer"), (format!("chat, bearer, {token}"), "chat")] {
        let socket = talk(&server, "/api/chat/ws", &[("sec-websocket-protocol", &list)]).await;
        assert_eq!(socket.response.headers()["sec-websocket-protocol"], agreed, "{list}");
    }
}

#[tokio::test]
async fn without_a_good_token_no_socket_opens() {
    let server = Setup::new().start();
    let good = server.sign_up("user@example.com").await;
    assert_eq!(Socket::open(&server, "/api/chat/ws", &[]).await.err(), Some(401));
    assert_eq!(Socket::open(&server, "/api/chat/ws?token=", &[]).await.err(), Some(401));
    for (what, token) in bad_tokens(&good, SECRET) {
        let path = format!("/api/chat/ws?token={token}");
        assert_eq!(Socket::open(&server, &path, &[]).await.err(), Some(401), "a token {what}");
        let header = format!("Bearer {token}");
        let opened = Socket::open(&server, "/api/chat/ws", &[("authorization", &header)]).await;
        assert_eq!(opened.err(), Some(401), "a token {what}");
    }
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_opens_no_socket() {
    let server = Setup::new().env("CORS_ORIGINS", "http://localhost:3000,https://app.example.com").start();
    let token = server.sign_up("user@example.com").await;
    let path = format!("/api/chat/ws?token={token}");
    let own = format!("http://{}", server.authority());
    for origin in ["http://localhost:3000", "https://app.example.com", &own] {
        talk(&server, &path, &[("origin", origin)]).await;
    }
    for origin in ["https://evil.example", "null", "http://localhost:3001", "https://app.example.com.evil.example"] {
        let opened = Socket::open(&server, &path, &[("origin", origin)]).await;
        assert_eq!(opened.err(), Some(403), "{origin}");
    }
}

#[tokio::test]
async fn what_is_no_websocket_request_is_refused() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let refused = crate::kit::send(server.get(&format!("/api/chat/ws?token={token}"))).await;
    assert_eq!(refused.status, 400);
    assert!(!refused.detail().is_empty());
}

#[tokio::test]
async fn a_socket_of_a_deactivated_account_closes_at_its_next_message() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = talk(&server, &format!("/api/chat/ws?token={token}"), &[]).await;
    server.database().execute("UPDATE accounts SET is_active = 0", []).unwrap();
    socket.send(&json!({"message": "Hi"})).await;
    let frame = socket.frame().await;
    assert_eq!((&frame["type"], &frame["code"]), (&json!("error"), &json!("unauthenticated")));
    assert_eq!(u16::from(socket.closed().await.unwrap().code), 1008);
    assert_eq!(server.count("SELECT COUNT(*) FROM turns"), 1);
}

#[tokio::test]
async fn a_socket_of_a_deactivated_account_closes_by_itself() {
    let server = Setup::new().env("SERVER__KEEP_ALIVE_SECONDS", "1").start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = talk(&server, &format!("/api/chat/ws?token={token}"), &[]).await;
    server.database().execute("UPDATE accounts SET is_active = 0", []).unwrap();
    assert_eq!(u16::from(socket.closed().await.unwrap().code), 1008);
}

#[tokio::test]
async fn a_token_in_the_query_is_not_logged() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    talk(&server, &format!("/api/chat/ws?token={token}"), &[]).await;
    server.wait_for_log("/api/chat/ws");
    let log = server.log().join("\n");
    assert!(!log.contains(&token) && !log.contains(PASSWORD), "{log}");
}
