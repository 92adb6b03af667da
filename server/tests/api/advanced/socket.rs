//! `WS /api/chat/ws`: what is said over one.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::kit::gated::GatedUpstream;
use crate::kit::socket::{Socket, said};
use crate::kit::{assert_fields, rows, send, wait};
use crate::support::{Setup, TestServer};

async fn open(server: &TestServer, token: &str) -> Socket {
    Socket::open(server, &format!("/api/chat/ws?token={token}"), &[]).await.unwrap()
}

#[tokio::test]
async fn an_answer_comes_as_frames_with_type_and_seq() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "3tok").start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = open(&server, &token).await;
    socket.send(&json!({"message": "Tell me a short story about a curious fox", "session_id": null})).await;
    let frames = socket.answer().await;
    let types: Vec<&str> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["start", "chunk", "chunk", "chunk", "done"]);
    assert_eq!(frames.iter().map(|frame| frame["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(said(&frames), "word1 word2 word3");
    assert_fields(&frames[0], &["type", "seq", "message_id", "session_id", "conversation_id", "model"]);
    assert_fields(&frames[1], &["type", "seq", "content"]);
    let done =
        ["type", "seq", "message_id", "session_id", "conversation_id", "model", "usage", "finish_reason", "sources"];
    assert_fields(&frames[4], &done);
    assert_eq!(frames[4]["finish_reason"], "stop");
}

#[tokio::test]
async fn two_messages_are_answered_in_their_order() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo-2ms").start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = open(&server, &token).await;
    let (long, short) = ("one two three four five six seven eight nine", "only");
    socket.send(&json!({"message": long})).await;
    socket.send(&json!({"message": short})).await;
    let (first, second) = (socket.answer().await, socket.answer().await);
    assert_eq!((said(&first).as_str(), said(&second).as_str()), (long, short));
    assert_eq!((&first[0]["seq"], &second[0]["seq"]), (&json!(1), &json!(1)));
    socket.send(&json!({"message": "again", "session_id": first[0]["session_id"]})).await;
    assert_eq!(socket.answer().await[0]["session_id"], first[0]["session_id"]);
}

#[tokio::test]
async fn each_piece_arrives_before_the_next_one_is_said() {
    let mut upstream = GatedUpstream::start().await;
    let server = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url()).start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = open(&server, &token).await;
    socket.send(&json!({"message": "Hi"})).await;
    assert_eq!(socket.frame().await["type"], "start");
    let call = upstream.call().await;
    for number in 0..10 {
        call.say(&number.to_string());
        assert_eq!(socket.frame().await["content"], number.to_string());
    }
    call.finish();
    assert_eq!(socket.frame().await["type"], "done");
}

#[tokio::test]
async fn a_stop_frame_stops_the_answer() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "9tok-stall2").start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = open(&server, &token).await;
    socket.send(&json!({"message": "Hi"})).await;
    for expected in ["start", "chunk", "chunk"] {
        assert_eq!(socket.frame().await["type"], expected);
    }
    socket.send(&json!({"type": "stop"})).await;
    let done = socket.frame().await;
    assert_eq!((&done["type"], &done["finish_reason"]), (&json!("done"), &json!("cancelled")));
    wait::until("the provider is left", || upstream.aborted() == 1).await;
    assert_eq!(rows::text(&server, "SELECT state FROM turns"), "cancelled");
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger"), 1);
}

#[tokio::test]
async fn a_stop_with_nothing_to_stop_is_no_error() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = open(&server, &token).await;
    socket.send(&json!({"type": "stop"})).await;
    socket.send(&json!({"message": "Hi"})).await;
    assert_eq!(socket.answer().await.last().unwrap()["type"], "done");
}

#[tokio::test]
async fn a_bad_frame_is_told_and_changes_nothing() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = open(&server, &token).await;
    let before = rows::rows(&server);
    let deep = "[".repeat(10_000);
    let long = json!({"message": "x".repeat(32_001)}).to_string();
    let bad = [
        ("", "invalid_request"),
        ("{\"message\": \"tru", "invalid_request"),
        ("[1]", "invalid_request"),
        ("\"Hi\"", "invalid_request"),
        ("{}", "invalid_request"),
        ("{\"message\": 5}", "invalid_request"),
        ("{\"message\": \"  \"}", "invalid_request"),
        ("{\"message\": \"a\\u0000b\"}", "invalid_request"),
        ("{\"message\": \"Hi\", \"session_id\": \"1\"}", "not_found"),
        ("{\"message\": \"Hi\", \"session_id\": [1]}", "invalid_request"),
        ("{\"message\": \"Hi\", \"idempotency_key\": \"\"}", "invalid_request"),
        ("{\"message\": \"Hi\", \"last_event_id\": \"x\"}", "invalid_request"),
        (&deep, "invalid_request"),
        (&long, "invalid_request"),
    ];
    for (frame, code) in bad {
        socket.send_raw(Message::text(frame)).await;
        let told = socket.frame().await;
        assert_fields(&told, &["type", "seq", "detail", "code"]);
        assert_eq!(
            (&told["type"], &told["seq"], &told["code"]),
            (&json!("error"), &json!(0), &json!(code)),
            "{frame:.80}"
        );
        assert!(!told["detail"].as_str().unwrap().is_empty());
    }
    socket.send_raw(Message::binary(vec![0_u8, 255])).await;
    assert_eq!(socket.frame().await["code"], "invalid_request");
    assert_eq!(rows::rows(&server), before);
    socket.send(&json!({"message": "Hi"})).await;
    assert_eq!(socket.answer().await.last().unwrap()["type"], "done", "the socket goes on");
}

#[tokio::test]
async fn a_key_attaches_to_the_answer_that_it_began() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "4tok").start();
    let token = server.sign_up("user@example.com").await;
    let message = json!({"message": "Hi", "idempotency_key": "key-1"});
    let mut socket = open(&server, &token).await;
    socket.send(&message).await;
    let whole = socket.answer().await;
    drop(socket);
    let mut socket = open(&server, &token).await;
    socket.send(&message).await;
    assert_eq!(socket.answer().await, whole);
    let mut after = message.clone();
    after["last_event_id"] = json!(3);
    socket.send(&after).await;
    assert_eq!(socket.answer().await, whole[3..]);
    socket.send(&json!({"message": "Another", "idempotency_key": "key-1"})).await;
    assert_eq!(socket.frame().await["code"], "invalid_request");
    assert_eq!(upstream.chat_calls(), 1);
}

#[tokio::test]
async fn a_provider_that_fails_is_told_in_an_error_frame() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "5tok-cut2").env("PROVIDERS__MAX_RETRIES", "0").start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = open(&server, &token).await;
    socket.send(&json!({"message": "Hi"})).await;
    let frames = socket.answer().await;
    let last: &Value = frames.last().unwrap();
    assert_fields(last, &["type", "seq", "detail", "code"]);
    assert_eq!((&last["type"], &last["seq"]), (&json!("error"), &json!(4)));
    socket.send(&json!({"message": "Hi"})).await;
    assert_eq!(socket.frame().await["type"], "start", "the socket goes on");
}

#[tokio::test]
async fn leaving_half_way_keeps_the_whole_answer() {
    let mut upstream = GatedUpstream::start().await;
    let server = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url()).start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = open(&server, &token).await;
    socket.send(&json!({"message": "Hi"})).await;
    let call = upstream.call().await;
    call.say("one ");
    assert_eq!(socket.frame().await["type"], "start");
    assert_eq!(socket.frame().await["content"], "one ");
    drop(socket);
    call.say("two");
    call.finish();
    wait::until("the answer is stored", || server.count("SELECT COUNT(*) FROM turns WHERE state = 'complete'") == 1)
        .await;
    let history = send(server.get("/api/history").bearer_auth(&token)).await.expect(200);
    assert_eq!(history["items"][0]["last_message"], "one two");
}
