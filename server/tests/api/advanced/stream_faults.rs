//! Streams whose provider fails.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::stream::begin;
use crate::kit::{assert_fields, rows, send};
use crate::support::{Setup, SseEvent, TestServer, events, text_of};

struct Failed {
    server: TestServer,
    token: String,
    events: Vec<SseEvent>,
}

/// Streams an answer of that model's.
async fn stream_of(model: &str, more: &[(&str, &str)]) -> Failed {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, model).env("PROVIDERS__MAX_RETRIES", "0");
    let server = more.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start();
    let token = server.sign_up("user@example.com").await;
    let response = begin(&server, &token, &[]).await;
    assert_eq!(response.status(), 200);
    let events = events(&response.text().await.unwrap());
    Failed { server, token, events }
}

fn assert_error(event: &SseEvent, code: &str) {
    assert_eq!(event.name, "error");
    assert_fields(&event.data, &["detail", "code"]);
    assert_eq!(event.data["code"], code);
    let detail = event.data["detail"].as_str().unwrap();
    assert!(!detail.is_empty() && !detail.contains("127.0.0.1") && !detail.contains("sk-"), "{detail}");
}

/// What the turn's row says: state, finish reason, error code.
fn turn(server: &TestServer) -> String {
    rows::text(server, "SELECT state || ' ' || finish_reason || ' ' || COALESCE(error_code, '-') FROM turns")
}

async fn last_message(failed: &Failed) -> Value {
    let history = send(failed.server.get("/api/history").bearer_auth(&failed.token)).await.expect(200);
    history["items"][0]["last_message"].clone()
}

#[tokio::test]
async fn a_provider_that_cuts_off_leaves_an_incomplete_answer_and_never_a_stop() {
    for model in ["5tok-cut3", "3tok-nodone", "5tok-errobj3", "5tok-badjson4"] {
        let failed = stream_of(model, &[]).await;
        assert_eq!(text_of(&failed.events).trim_end(), "word1 word2 word3", "{model}");
        let last = failed.events.last().unwrap();
        assert_eq!(last.name, "error", "{model}");
        assert!(failed.events.iter().all(|event| event.name != "done"), "{model}");
        assert_eq!(last.id, failed.events.len() as u64);
        assert!(turn(&failed.server).starts_with("incomplete error "), "{model}: {}", turn(&failed.server));
        assert_eq!(last_message(&failed).await.as_str().unwrap().trim_end(), "word1 word2 word3", "{model}");
        assert_eq!(failed.server.count("SELECT COUNT(*) FROM usage_ledger WHERE is_estimated = 1"), 1, "{model}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_without_a_word_why_is_told_as_cut() {
    let failed = stream_of("3tok-nodone", &[]).await;
    assert_error(failed.events.last().unwrap(), "provider_cut");
    assert!(failed.events.last().unwrap().data["detail"].as_str().unwrap().contains("broke off"));
}

#[tokio::test]
async fn a_provider_that_falls_silent_is_given_up() {
    let failed = stream_of("5tok-stall2", &[("PROVIDERS__IDLE_TIMEOUT_SECONDS", "1")]).await;
    assert_error(failed.events.last().unwrap(), "idle_timeout");
    assert!(failed.events.last().unwrap().data["detail"].as_str().unwrap().contains("in time"));
    assert_eq!(turn(&failed.server), "incomplete error idle_timeout");
}

#[tokio::test]
async fn a_provider_that_fails_before_it_speaks_fails_the_turn() {
    for (model, code) in [
        ("err500", "provider_unavailable"),
        ("err401", "provider_unauthorized"),
        ("err429", "provider_rate_limited"),
        ("err400", "provider_bad_request"),
        ("cut0", "provider_cut"),
        ("html", "provider_protocol"),
    ] {
        let failed = stream_of(model, &[]).await;
        assert_eq!(failed.events.len(), 2, "{model}: {:?}", failed.events);
        assert_eq!(failed.events[0].name, "start");
        assert_eq!(failed.events[1].name, "error");
        assert!(turn(&failed.server).starts_with("failed error "), "{model}");
        // One that had taken the request has read it; one that refused it has not.
        let bills =
            failed.server.count("SELECT COUNT(*) FROM usage_ledger WHERE prompt_tokens > 0 AND completion_tokens = 0");
        assert_eq!(bills, i64::from(model == "cut0"), "{model}");
        assert_eq!(last_message(&failed).await, json!("Hello"), "{model}");
        if model.starts_with("err") {
            assert_error(&failed.events[1], code);
        }
    }
}

#[tokio::test]
async fn an_answer_that_reaches_its_limit_says_so() {
    let failed = stream_of("3tok-length", &[]).await;
    assert_eq!(failed.events.last().unwrap().data["finish_reason"], "length");
    assert_eq!(turn(&failed.server), "complete length -");
}

#[tokio::test]
async fn an_answer_without_a_count_of_tokens_is_counted_here() {
    let failed = stream_of("3tok-nousage", &[]).await;
    let usage = &failed.events.last().unwrap().data["usage"];
    assert!(usage["completion_tokens"].as_u64().unwrap() > 0 && usage["prompt_tokens"].as_u64().unwrap() > 0);
    assert_eq!(failed.server.count("SELECT COUNT(*) FROM usage_ledger WHERE is_estimated = 1"), 1);
}

#[tokio::test]
async fn an_endless_answer_is_cut_at_the_settings_limit() {
    let failed = stream_of("5000tok", &[("CHAT__ANSWER_MAX_BYTES", "2000")]).await;
    let done = failed.events.last().unwrap();
    assert_eq!((done.name.as_str(), &done.data["finish_reason"]), ("done", &json!("length")));
    assert!((2000..2100).contains(&text_of(&failed.events).len()));
}
