//! A server that has more to do than it may.

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use crate::kit::gated::GatedUpstream;
use crate::kit::{rows, send, wait};
use crate::support::{Setup, events, text_of};

#[tokio::test]
async fn a_message_too_many_is_503_with_the_time_to_come_again_and_is_not_stored() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "hang").env("CHAT__MAX_RUNNING_TURNS", "2").start();
    let token = server.sign_up("user@example.com").await;
    let mut running = Vec::new();
    for _ in 0..2 {
        let request = server.post("/api/chat/stream", &json!({"message": "Hi"})).bearer_auth(&token);
        running.push(request.send().await.unwrap());
    }
    wait::until("both are asked", || upstream.open() == 2).await;
    let before = rows::rows(&server);
    for path in ["/api/chat", "/api/chat/stream", "/chat"] {
        let refused = send(server.post(path, &json!({"message": "Hi"})).bearer_auth(&token)).await;
        assert_eq!(refused.status, 503, "{path}");
        assert_eq!(refused.header("retry-after"), "5");
        assert_eq!(refused.detail(), "the server is busy: try again shortly");
    }
    let guest = send(server.post("/chat", &json!({"message": "Hi", "user_id": "a-new-one"}))).await;
    assert_eq!(guest.status, 503);
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn a_full_server_keeps_nobody_from_the_answer_that_they_began() {
    let mut upstream = GatedUpstream::start().await;
    let setup = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url());
    let server = setup.env("CHAT__MAX_RUNNING_TURNS", "1").start();
    let token = server.sign_up("user@example.com").await;
    let ask = |key: &str, message: &str| {
        let request = server.post("/api/chat/stream", &json!({"message": message})).bearer_auth(&token);
        request.header("idempotency-key", key).send()
    };
    drop(ask("key-1", "Hi").await.unwrap());
    let call = upstream.call().await;
    call.say("kept");
    assert_eq!(ask("key-2", "Hi").await.unwrap().status(), 503);
    assert_eq!(ask("key-1", "Ho").await.unwrap().status(), 422);
    let again = ask("key-1", "Hi").await.unwrap();
    assert_eq!(again.status(), 200);
    call.finish();
    assert_eq!(text_of(&events(&again.text().await.unwrap())), "kept");
}

#[tokio::test]
async fn a_socket_takes_so_many_waiting_messages_and_loses_none() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "2tok-stall1").start();
    let token = server.sign_up("user@example.com").await;
    let path = format!("/api/chat/ws?token={token}");
    let mut socket = crate::kit::socket::Socket::open(&server, &path, &[]).await.unwrap();
    for number in 0..12 {
        socket.send(&json!({"message": format!("Message {number}")})).await;
    }
    loop {
        let frame = socket.frame().await;
        if frame["code"] == "busy" {
            break;
        }
    }
    wait::until("all are stored", || server.count("SELECT COUNT(*) FROM turns") == 12).await;
}
