//! The lines on stream events: as server-sent events, and as WebSocket frames.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, assert_usage, with_provider, without};
use crate::advanced::stream::Reader;
use crate::kit::socket::Socket;
use crate::kit::{assert_fields, assert_text_id, send};
use crate::support::{Setup, SseEvent, events, text_of};

const PATHS: [&str; 2] = ["/api/chat/stream", "/api/v1/chat/stream"];
const START: [&str; 4] = ["message_id", "session_id", "conversation_id", "model"];
const DONE: [&str; 7] = ["message_id", "session_id", "conversation_id", "model", "usage", "finish_reason", "sources"];

async fn stream(client: &Client, path: &str) -> Vec<SseEvent> {
    let streamed = client.post(path, json!({"message": "Hello"})).await;
    assert_eq!((streamed.status.as_u16(), streamed.header("content-type")), (200, "text/event-stream"));
    events(&streamed.body)
}

/// How a stream from such a provider ends.
async fn end(model: &str) -> SseEvent {
    let upstream = parlor_bench::fake::FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, model).env("PROVIDERS__MAX_RETRIES", "0");
    stream(&Client::of(setup).await, PATHS[0]).await.pop().unwrap()
}

#[tokio::test]
async fn start_has_message_id_session_id_conversation_id_and_model() {
    let client = Client::start().await;
    for path in PATHS {
        let start = stream(&client, path).await.remove(0);
        assert_eq!(start.name, "start");
        assert_fields(&start.data, &START);
        for id in ["message_id", "session_id", "conversation_id"] {
            assert_text_id(&start.data[id]);
        }
        assert!(start.data["model"].is_string());
    }
}

#[tokio::test]
async fn chunk_has_content() {
    let (_upstream, client) = with_provider("3tok").await;
    for path in PATHS {
        let streamed = stream(&client, path).await;
        for chunk in &streamed[1..4] {
            assert_eq!(chunk.name, "chunk");
            assert_fields(&chunk.data, &["content"]);
        }
        assert_eq!(text_of(&streamed).trim_end(), "word1 word2 word3");
    }
}

#[tokio::test]
async fn done_has_what_start_has_and_usage_finish_reason_and_sources() {
    let (_upstream, client) = with_provider("3tok").await;
    for path in PATHS {
        let streamed = stream(&client, path).await;
        let done = streamed.last().unwrap();
        assert_eq!(done.name, "done");
        assert_fields(&done.data, &DONE);
        for same in START {
            assert_eq!(done.data[same], streamed[0].data[same]);
        }
        assert_eq!((&done.data["finish_reason"], &done.data["sources"]), (&json!("stop"), &json!([])));
        assert_usage(&without(&done.data["usage"], "tokens"));
    }
}

#[tokio::test]
async fn error_has_detail_and_code_and_the_stream_ends() {
    let error = end("cut2").await;
    assert_eq!(error.name, "error");
    assert_fields(&error.data, &["detail", "code"]);
    assert!(error.data["detail"].is_string() && error.data["code"].is_string());
}

#[tokio::test]
async fn finish_reason_is_stop_length_or_cancelled_as_the_answer_ended() {
    assert_eq!(end("3tok").await.data["finish_reason"], "stop");
    assert_eq!(end("3tok-length").await.data["finish_reason"], "length");
    let (_upstream, client) = with_provider("9tok-stall3").await;
    let request = client.server.post(PATHS[1], &json!({"message": "Hello"})).bearer_auth(&client.token);
    let mut reader = Reader::new(request.send().await.unwrap());
    let id = reader.events(4).await[0].data["message_id"].as_str().unwrap().to_owned();
    let stop = format!("/api/v1/chat/messages/{id}/stop");
    let stopped = client.call(Method::POST, &stop, Value::Null).await.expect(200);
    assert_eq!(stopped["finish_reason"], "cancelled");
    let done = reader.events(5).await.pop().unwrap();
    assert_eq!((done.name.as_str(), &done.data["finish_reason"]), ("done", &json!("cancelled")));
}

#[tokio::test]
async fn ids_count_up_from_1_and_last_event_id_resumes_without_loss_or_repeat() {
    let (_upstream, client) = with_provider("5tok").await;
    let all = stream(&client, PATHS[1]).await;
    assert_eq!(all.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    let path = format!("/api/v1/chat/messages/{}/stream", all[0].data["message_id"].as_str().unwrap());
    for seen in 0..all.len() {
        let request = client.server.get(&path).bearer_auth(&client.token).header("last-event-id", seen.to_string());
        assert_eq!(events(&send(request).await.body), all[seen..], "after {seen}");
    }
}

#[tokio::test]
async fn a_websockets_text_frames_are_the_same_objects_with_type_and_seq_inside() {
    let (_upstream, client) = with_provider("3tok").await;
    let me = client.get("/api/users/me").await.expect(200)["id"].clone();
    let native = format!("/api/v1/chat/ws/{me}?token={}", client.token);
    for path in [format!("/api/chat/ws?token={}", client.token), native] {
        let mut socket = Socket::open(&client.server, &path, &[]).await.unwrap();
        socket.send(&json!({"message": "Hello"})).await;
        let frames = socket.answer().await;
        let types: Vec<&Value> = frames.iter().map(|frame| &frame["type"]).collect();
        assert_eq!(types, ["start", "chunk", "chunk", "chunk", "done"]);
        for (frame, seq) in frames.iter().zip(1..) {
            assert_eq!(frame["seq"], seq);
            let data = without(&without(frame, "type"), "seq");
            match frame["type"].as_str().unwrap() {
                "start" => assert_fields(&data, &START),
                "done" => assert_fields(&data, &DONE),
                _ => assert_fields(&data, &["content"]),
            }
        }
    }
}

#[tokio::test]
async fn a_comment_line_goes_out_in_silence() {
    let upstream = parlor_bench::fake::FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, "stall1").env("SERVER__KEEP_ALIVE_SECONDS", "1");
    let client = Client::of(setup).await;
    let request = client.server.post(PATHS[1], &json!({"message": "Hello"})).bearer_auth(&client.token);
    Reader::new(request.send().await.unwrap()).until(": keep-alive\n\n").await;
}
