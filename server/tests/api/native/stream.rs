//! `POST /api/v1/chat/stream`

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::{assert_fields, send};
use crate::support::{Setup, events, text_of};

#[tokio::test]
async fn a_stream_begins_with_start_and_ends_with_done_and_is_stored() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "3tok").start();
    let token = server.sign_up("user@example.com").await;
    let answer = send(server.post("/api/v1/chat/stream", &json!({"message": "Hello"})).bearer_auth(&token)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let streamed = events(&answer.body);
    assert_eq!(streamed.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let names: Vec<&str> = streamed.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["start", "chunk", "chunk", "chunk", "done"]);
    let done = ["message_id", "session_id", "conversation_id", "model", "usage", "finish_reason", "sources"];
    assert_fields(&streamed[4].data, &done);
    let id = streamed[0].data["message_id"].as_str().unwrap();
    let again = server.get(&format!("/api/v1/chat/messages/{id}/stream")).bearer_auth(&token);
    assert_eq!(send(again.header("last-event-id", "0")).await.body, answer.body);
}

#[tokio::test]
async fn the_same_key_attaches_to_the_stream_after_the_event_that_was_seen() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "4tok").start();
    let token = server.sign_up("user@example.com").await;
    let keyed = || {
        let request = server.post("/api/v1/chat/stream", &json!({"message": "Hello"})).bearer_auth(&token);
        request.header("idempotency-key", "key-1")
    };
    let whole = events(&send(keyed()).await.body);
    let rest = events(&send(keyed().header("last-event-id", "3")).await.body);
    assert_eq!(rest, whole[3..]);
    assert_eq!(text_of(&whole).trim_end(), "word1 word2 word3 word4");
    assert_eq!(upstream.chat_calls(), 1);
}

#[tokio::test]
async fn what_is_refused_is_refused_before_the_stream_begins() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let post = |body: Value| server.post("/api/v1/chat/stream", &body);
    assert_problem(&send(post(json!({"message": "Hi"}))).await, 401);
    assert_problem(&send(post(json!({"message": ""})).bearer_auth(&token)).await, 400);
    assert_problem(&send(post(json!({})).bearer_auth(&token)).await, 422);
    assert_problem(&send(post(json!({"message": "Hi", "conversation_id": "7"})).bearer_auth(&token)).await, 404);
    let no_number = post(json!({"message": "Hi"})).bearer_auth(&token).header("last-event-id", "x");
    assert_problem(&send(no_number).await, 400);
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 0);
}
