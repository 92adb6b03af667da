//! `WS /api/v1/chat/ws/{user_id}`

use serde_json::json;

use crate::kit::send;
use crate::kit::signing::bad_tokens;
use crate::kit::socket::{Socket, said};
use crate::support::{SECRET, Setup, TestServer};

async fn id_of(server: &TestServer, token: &str) -> i64 {
    let me = send(server.get("/api/users/me").bearer_auth(token)).await.expect(200);
    me["id"].as_i64().unwrap()
}

#[tokio::test]
async fn ones_own_socket_opens_with_the_token_in_any_of_its_places() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let path = format!("/api/v1/chat/ws/{}", id_of(&server, &token).await);
    let (header, list) = (format!("Bearer {token}"), format!("bearer, {token}"));
    for (path, headers) in [
        (format!("{path}?token={token}"), vec![]),
        (path.clone(), vec![("authorization", header.as_str())]),
        (path.clone(), vec![("sec-websocket-protocol", list.as_str())]),
    ] {
        let mut socket = Socket::open(&server, &path, &headers).await.unwrap();
        socket.send(&json!({"message": "Hi"})).await;
        let frames = socket.answer().await;
        assert!(said(&frames).contains("built-in mock"));
        let conversation = &frames[0]["conversation_id"];
        socket.send(&json!({"message": "And?", "conversation_id": conversation, "language": "en"})).await;
        assert_eq!(&socket.answer().await[0]["conversation_id"], conversation);
    }
}

#[tokio::test]
async fn another_users_socket_stays_shut() {
    let server = Setup::new().start();
    let (mine, other) = (server.sign_up("a@example.com").await, server.sign_up("b@example.com").await);
    let others_id = id_of(&server, &other).await;
    for id in [others_id.to_string(), "999".to_owned(), "me".to_owned()] {
        let opened = Socket::open(&server, &format!("/api/v1/chat/ws/{id}?token={mine}"), &[]).await;
        assert_eq!(opened.err(), Some(403), "{id}");
    }
}

#[tokio::test]
async fn without_a_good_token_or_from_a_foreign_page_no_socket_opens() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let path = format!("/api/v1/chat/ws/{}", id_of(&server, &token).await);
    assert_eq!(Socket::open(&server, &path, &[]).await.err(), Some(401));
    for (what, bad) in bad_tokens(&token, SECRET) {
        let opened = Socket::open(&server, &format!("{path}?token={bad}"), &[]).await;
        assert_eq!(opened.err(), Some(401), "a token {what}");
    }
    let foreign = Socket::open(&server, &format!("{path}?token={token}"), &[("origin", "https://evil.example")]).await;
    assert_eq!(foreign.err(), Some(403));
}

#[tokio::test]
async fn a_bad_frame_is_told_and_the_socket_stays_open() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let path = format!("/api/v1/chat/ws/{}?token={token}", id_of(&server, &token).await);
    let mut socket = Socket::open(&server, &path, &[]).await.unwrap();
    for (frame, code) in [
        (json!({"message": ""}), "invalid_request"),
        (json!({"text": "Hi"}), "invalid_request"),
        (json!({"message": "Hi", "language": "no tag"}), "invalid_request"),
        (json!({"message": "Hi", "conversation_id": "7"}), "not_found"),
    ] {
        socket.send(&frame).await;
        assert_eq!(socket.frame().await["code"], code, "{frame}");
    }
    socket.send(&json!({"message": "Hi"})).await;
    assert_eq!(socket.answer().await.last().unwrap()["type"], "done");
}

#[tokio::test]
async fn what_is_said_on_another_device_appears_with_its_answer() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let stranger = server.sign_up("other@example.com").await;
    let path = format!("/api/v1/chat/ws/{}?token={token}", id_of(&server, &token).await);
    let (mut first, mut second) =
        (Socket::open(&server, &path, &[]).await.unwrap(), Socket::open(&server, &path, &[]).await.unwrap());
    send(server.post("/api/chat", &json!({"message": "not for them"})).bearer_auth(&stranger)).await.expect(200);
    // One device's message, by its socket: it has its own frames, the other has those of others.
    first.send(&json!({"message": "Hello from the phone"})).await;
    let own = first.answer().await;
    let told = second.frame().await;
    assert_eq!((&told["type"], &told["message"]["content"]), (&json!("message"), &json!("Hello from the phone")));
    assert_eq!((&told["message"]["role"], &told["answer_id"]), (&json!("user"), &own[0]["message_id"]));
    assert_eq!(told["conversation_id"], own[0]["conversation_id"]);
    for frame in &own {
        let other = second.frame().await;
        assert_eq!((&other["type"], &other["seq"]), (&json!("answer"), &frame["seq"]));
        assert_eq!((&other["message_id"], &other["conversation_id"]), (&told["answer_id"], &told["conversation_id"]));
        let mut event = frame.clone();
        event.as_object_mut().unwrap().remove("seq");
        assert_eq!(other["event"], event);
    }
    // Any other dialect's message appears on both, and between them nothing that was their own.
    let said =
        send(server.post("/api/chat", &json!({"message": "and from the shell"})).bearer_auth(&token)).await.expect(200);
    for socket in [&mut first, &mut second] {
        let told = socket.frame().await;
        assert_eq!((&told["type"], &told["answer_id"]), (&json!("message"), &said["message_id"]));
        while socket.frame().await["event"]["type"] != "done" {}
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 6);
}
