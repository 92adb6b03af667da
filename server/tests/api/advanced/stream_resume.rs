//! Coming back to a stream: with the same key, or by the answer's id.

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use super::stream::{Reader, begin};
use crate::kit::gated::GatedUpstream;
use crate::kit::{rows, send};
use crate::support::{Setup, SseEvent, TestServer, events};

async fn again(server: &TestServer, token: &str, after: u64) -> Vec<SseEvent> {
    let after = after.to_string();
    let response = begin(server, token, &[("idempotency-key", "key-1"), ("last-event-id", &after)]).await;
    assert_eq!(response.status(), 200);
    events(&response.text().await.unwrap())
}

async fn by_id(server: &TestServer, token: &str, id: &str, after: u64) -> Vec<SseEvent> {
    let request = server.get(&format!("/api/v1/chat/messages/{id}/stream")).bearer_auth(token);
    let answer = send(request.header("last-event-id", after.to_string())).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/event-stream"));
    events(&answer.body)
}

#[tokio::test]
async fn from_every_event_on_exactly_the_rest_comes_also_after_a_restart() {
    let upstream = FakeUpstream::start().await;
    let mut server = Setup::new().upstream(&upstream, "9tok").start();
    let token = server.sign_up("user@example.com").await;
    let whole = again(&server, &token, 0).await;
    assert_eq!(whole.len(), 11);
    let id = whole[0].data["message_id"].as_str().unwrap().to_owned();
    let before = rows::rows(&server);
    for restarted in [false, true] {
        if restarted {
            server.restart();
        }
        for after in 0..=whole.len() {
            let rest = &whole[after..];
            assert_eq!(again(&server, &token, after as u64).await, rest, "after {after}, restarted: {restarted}");
            assert_eq!(by_id(&server, &token, &id, after as u64).await, rest, "after {after}, restarted: {restarted}");
        }
        assert!(again(&server, &token, 1_000_000).await.is_empty());
        assert!(by_id(&server, &token, &id, u64::MAX).await.is_empty());
    }
    assert_eq!(rows::rows(&server), before);
    assert_eq!(upstream.chat_calls(), 1);
}

#[tokio::test]
async fn while_the_answer_is_written_from_every_event_on_exactly_the_rest_comes() {
    let mut upstream = GatedUpstream::start().await;
    let server = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url()).start();
    let token = server.sign_up("user@example.com").await;
    let mut first = Reader::new(begin(&server, &token, &[("idempotency-key", "key-1")]).await);
    let call = upstream.call().await;
    for number in 0..4 {
        call.say(&format!("{number} "));
    }
    let id = first.events(5).await[0].data["message_id"].as_str().unwrap().to_owned();
    let mut followers = Vec::new();
    for after in 0..=5_u64 {
        let text = after.to_string();
        let same_key = begin(&server, &token, &[("idempotency-key", "key-1"), ("last-event-id", &text)]).await;
        let request = server.get(&format!("/api/v1/chat/messages/{id}/stream")).bearer_auth(&token);
        let same_id = request.header("last-event-id", text).send().await.unwrap();
        followers.push((after, same_key, same_id));
    }
    call.say("last");
    call.finish();
    let whole = first.events(7).await;
    for (after, same_key, same_id) in followers {
        let rest = &whole[usize::try_from(after).unwrap()..];
        assert_eq!(events(&same_key.text().await.unwrap()), rest, "after {after}");
        assert_eq!(events(&same_id.text().await.unwrap()), rest, "after {after}");
    }
}

#[tokio::test]
async fn a_new_message_is_streamed_from_its_beginning_whatever_event_is_named() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "2tok").start();
    let token = server.sign_up("user@example.com").await;
    assert_eq!(again(&server, &token, 3).await.len(), 4);
}

#[tokio::test]
async fn an_incomplete_answer_ends_in_its_error_however_often_it_is_read() {
    let upstream = FakeUpstream::start().await;
    let mut server = Setup::new().upstream(&upstream, "5tok-cut3").start();
    let token = server.sign_up("user@example.com").await;
    let whole = again(&server, &token, 0).await;
    assert_eq!(whole.last().unwrap().name, "error");
    server.restart();
    assert_eq!(again(&server, &token, 0).await, whole);
    let id = whole[0].data["message_id"].as_str().unwrap();
    assert_eq!(by_id(&server, &token, id, 2).await, whole[2..]);
}

#[tokio::test]
async fn what_is_no_event_number_is_refused() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let before = rows::rows(&server);
    for value in ["x", "-1", "1.5", "18446744073709551616"] {
        let response = begin(&server, &token, &[("last-event-id", value)]).await;
        assert_eq!(response.status(), 400, "{value}");
        let request = server.get("/api/v1/chat/messages/1/stream").bearer_auth(&token).header("last-event-id", value);
        send(request).await.expect(400);
    }
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn what_was_said_before_a_crash_can_be_read_again() {
    let mut upstream = GatedUpstream::start().await;
    let setup = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url());
    let mut server = setup.env("CHAT__CHECKPOINT_INTERVAL_SECONDS", "1").start();
    let token = server.sign_up("user@example.com").await;
    let mut first = Reader::new(begin(&server, &token, &[("idempotency-key", "key-1")]).await);
    let call = upstream.call().await;
    call.say("one ");
    call.say("two ");
    let seen = first.events(3).await;
    crate::kit::wait::until("a checkpoint is stored", || {
        server.count("SELECT COUNT(*) FROM messages WHERE content = 'one two '") == 1
    })
    .await;
    server.kill();
    server.restart();
    let whole = again(&server, &token, 0).await;
    assert_eq!(whole[..3], seen[..]);
    assert_eq!((whole[3].name.as_str(), &whole[3].data["code"]), ("error", &json!("interrupted")));
    assert_eq!(rows::text(&server, "SELECT state FROM turns"), "interrupted");
}
