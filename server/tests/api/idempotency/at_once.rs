//! Many requests with one key at the same time.

use futures_util::future::join_all;
use parlor_bench::fake::FakeUpstream;
use reqwest::RequestBuilder;
use serde_json::json;

use crate::kit::send;
use crate::support::{Setup, TestServer, events};

const MANY: usize = 50;

/// Sends the same request many times at once. Every answer is the same; there is one message, one answer and one call.
async fn send_at_once(server: &TestServer, upstream: &FakeUpstream, request: impl Fn() -> RequestBuilder) -> String {
    let answers = join_all((0..MANY).map(|_| send(request().header("idempotency-key", "key-1")))).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body, answers[0].body);
    }
    assert_eq!(upstream.chat_calls(), 1);
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 2);
    assert_eq!(server.count("SELECT COUNT(*) FROM conversations"), 1);
    assert_eq!(server.count("SELECT COUNT(*) FROM turns"), 1);
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger"), 1);
    answers[0].body.clone()
}

#[tokio::test]
async fn fifty_guests_messages_with_one_key_are_one_message() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "30ttft-3tok").start();
    send_at_once(&server, &upstream, || server.post("/chat", &json!({"message": "Hi", "user_id": "anna"}))).await;
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 1);
}

#[tokio::test]
async fn fifty_messages_with_one_key_are_one_message() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "30ttft-3tok").start();
    let token = server.sign_up("user@example.com").await;
    let request = || server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&token);
    send_at_once(&server, &upstream, request).await;
}

#[tokio::test]
async fn of_fifty_bodies_with_one_key_one_is_sent() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "30ttft-3tok").start();
    let token = server.sign_up("user@example.com").await;
    let ask = |number: usize| {
        let request = server.post("/api/chat", &json!({"message": format!("Message {number}")})).bearer_auth(&token);
        send(request.header("idempotency-key", "key-1"))
    };
    let answers = join_all((0..MANY).map(ask)).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(422)), (1, MANY - 1));
    assert_eq!((upstream.chat_calls(), server.count("SELECT COUNT(*) FROM messages")), (1, 2));
}

#[tokio::test]
async fn fifty_streams_with_one_key_are_one_message() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "1ms-9tok").start();
    let token = server.sign_up("user@example.com").await;
    let request = || server.post("/api/chat/stream", &json!({"message": "Hi"})).bearer_auth(&token);
    let body = send_at_once(&server, &upstream, request).await;
    assert_eq!(events(&body).len(), 11);
}
