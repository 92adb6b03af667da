//! What other servers than OpenAI's have been seen to send.

use std::time::Duration;

use parlor_engine::config::ProviderSettings;
use parlor_engine::domain::{FinishReason, TokenUsage};
use parlor_engine::providers::{ProviderError, TimeoutPhase};

use crate::kit::{DEAD, Outcome, TestClock, ask, canned, events, providers, request, response, settings};

async fn ask_canned(response: String, hold: bool) -> Outcome {
    let base_url = canned(response, hold).await;
    let settings = ProviderSettings { max_retries: 0, ..settings() };
    ask(&providers(&[("canned", &base_url)], &settings, &TestClock::new()), request("m")).await
}

const HELLO: &str = r#"{"model":"real-name","choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;

#[tokio::test]
async fn the_model_is_the_one_that_the_provider_names() {
    let outcome = ask_canned(events(&[HELLO, STOP, "[DONE]"]), false).await;
    assert_eq!((outcome.model.as_str(), outcome.text().as_str()), ("real-name", "Hello"));
}

#[tokio::test]
async fn usage_counts_wherever_it_stands() {
    let usage = Some(TokenUsage::new(1, 2));
    for order in [[HELLO, STOP, USAGE], [HELLO, USAGE, STOP], [USAGE, HELLO, STOP]] {
        let outcome = ask_canned(events(&order), false).await;
        assert_eq!((outcome.usage, outcome.finish, outcome.error), (usage, Some(FinishReason::Stop), None));
    }
}

#[tokio::test]
async fn a_finish_without_done_is_a_finish() {
    let outcome = ask_canned(events(&[HELLO, STOP]), false).await;
    assert_eq!((outcome.finish, outcome.error), (Some(FinishReason::Stop), None));
}

#[tokio::test]
async fn done_without_a_finish_is_a_cut() {
    let outcome = ask_canned(events(&[HELLO, "[DONE]"]), false).await;
    assert_eq!((outcome.finish, outcome.error), (None, Some(ProviderError::Cut)));
}

#[tokio::test]
async fn a_connection_that_stays_open_after_the_end_holds_nobody_up() {
    let hour = Duration::from_secs(3600);
    let settings = ProviderSettings { idle_timeout: hour, total_timeout: hour, ..settings() };
    for end in [[STOP, "[DONE]"], [STOP, USAGE]] {
        let base_url = canned(events(&[[HELLO].as_slice(), &end].concat()), true).await;
        let providers = providers(&[("canned", &base_url)], &settings, &TestClock::new());
        let asking = ask(&providers, request("m"));
        let outcome = tokio::time::timeout(Duration::from_secs(30), asking).await.expect("it ends");
        assert_eq!((outcome.finish, outcome.error), (Some(FinishReason::Stop), None));
    }
}

#[tokio::test]
async fn an_event_that_breaks_off_with_the_connection_is_a_cut() {
    let outcome = ask_canned(events(&[HELLO]) + r#"data: {"choices":[{"ind"#, false).await;
    assert_eq!((outcome.text().as_str(), outcome.error), ("Hello", Some(ProviderError::Cut)));
}

#[tokio::test]
async fn an_answer_without_text_is_an_answer() {
    let filtered = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}"#;
    let outcome = ask_canned(events(&[filtered, "[DONE]"]), false).await;
    assert_eq!((outcome.text().as_str(), outcome.finish), ("", Some(FinishReason::ContentFilter)));
}

#[tokio::test]
async fn a_server_that_answers_whole_although_asked_to_stream_is_understood() {
    let body = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
    let head = "200 OK\r\ncontent-type: application/json; charset=utf-8";
    let outcome = ask_canned(response(head, body), false).await;
    assert_eq!((outcome.text().as_str(), outcome.finish), ("Hi", Some(FinishReason::Stop)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let outcome = ask_canned(response(&format!("307 Temporary Redirect\r\nlocation: {DEAD}"), ""), false).await;
    assert!(matches!(outcome.error, Some(ProviderError::Protocol(_))));
}

#[tokio::test]
async fn text_that_is_not_utf8_is_refused() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".as_slice();
    let base_url = canned([head, b"data: {\"model\":\"\xff\"}\n\n"].concat(), false).await;
    let providers = providers(&[("canned", &base_url)], &settings(), &TestClock::new());
    assert!(matches!(ask(&providers, request("m")).await.error, Some(ProviderError::Protocol(_))));
}

#[tokio::test]
async fn an_error_says_nothing_of_what_the_provider_sent() {
    let body = r#"{"error":{"message":"key sk-live-123 of alice","type":"leaky","code":"leaky-code"}}"#;
    let outcome = ask_canned(response("500 Internal Server Error", body), false).await;
    let error = outcome.error.unwrap();
    let shown = format!("{error} {error:?} {}", error.code());
    assert!(!shown.contains("sk-live") && !shown.contains("alice") && !shown.contains("leaky"), "{shown}");
}

#[tokio::test]
async fn an_errors_body_that_never_ends_does_not_hide_its_status() {
    let head = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 9\r\ncontent-length: 100000000\r\n\r\n";
    for length in [10, 200_000] {
        let outcome = ask_canned(format!("{head}{}", "x".repeat(length)), true).await;
        let limited = ProviderError::RateLimited { retry_after: Some(Duration::from_secs(9)) };
        assert_eq!(outcome.error, Some(limited), "{length}");
    }
}

#[tokio::test]
async fn a_retried_silence_is_a_first_token_timeout() {
    let base_url = canned(Vec::new(), true).await;
    let settings = ProviderSettings { first_token_timeout: Duration::from_millis(50), max_retries: 1, ..settings() };
    let clock = TestClock::new();
    let outcome = ask(&providers(&[("canned", &base_url)], &settings, &clock), request("m")).await;
    assert_eq!(outcome.error, Some(ProviderError::Timeout(TimeoutPhase::FirstToken)));
    assert_eq!(clock.waits().len(), 1);
}
