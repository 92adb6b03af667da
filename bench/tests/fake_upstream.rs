//! The fake provider as its clients see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use futures_util::StreamExt;
use parlor_bench::clock::monotonic_ns;
use parlor_bench::fake::FakeUpstream;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

async fn ask(fake: &FakeUpstream, model: &str, stream: bool) -> reqwest::Result<Response> {
    let mut body = json!({"model": model, "stream": stream, "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "Grüße an alle \"dort\""},
    ]});
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    let url = format!("{}/chat/completions", fake.base_url());
    let request = client().post(url).bearer_auth("sk-test").json(&body);
    request.send().await
}

async fn answer(fake: &FakeUpstream, model: &str) -> Value {
    ask(fake, model, false).await.unwrap().json().await.unwrap()
}

/// What came before the body ended, and whether it ended well.
async fn events(fake: &FakeUpstream, model: &str) -> (Vec<String>, bool) {
    let response = ask(fake, model, true).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let mut parts = response.bytes_stream();
    let (mut bytes, mut whole) = (Vec::new(), true);
    while let Some(part) = parts.next().await {
        match part {
            Ok(part) => bytes.extend_from_slice(&part),
            Err(_) => whole = false,
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    let events = text.split_terminator("\n\n");
    let events = events.map(|e| e.strip_prefix("data: ").unwrap().to_owned());
    (events.collect(), whole)
}

fn texts(events: &[String]) -> Vec<String> {
    let chunks = events.iter().filter_map(|e| serde_json::from_str::<Value>(e).ok());
    chunks
        .filter_map(|c| Some(c["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .filter(|text| !text.is_empty())
        .collect()
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..1000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came true");
}

#[tokio::test]
async fn a_stream_tells_role_content_finish_usage_and_done() {
    let fake = FakeUpstream::start().await;
    let (events, whole) = events(&fake, "mock-1ms-3tok").await;
    assert!(whole);
    assert_eq!(events.len(), 1 + 3 + 1 + 1 + 1);
    assert_eq!(texts(&events).concat(), "word1 word2 word3");
    let finish: Value = serde_json::from_str(&events[4]).unwrap();
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    let usage: Value = serde_json::from_str(&events[5]).unwrap();
    assert_eq!(usage["usage"]["completion_tokens"], 3);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(events[6], "[DONE]");
    assert_eq!((fake.chat_calls(), fake.streams()), (1, 1));
    until(|| fake.open() == 0).await;
    assert_eq!(fake.aborted(), 0);
}

#[tokio::test]
async fn a_whole_answer_has_the_stream_s_text_and_usage() {
    let fake = FakeUpstream::start().await;
    let body = answer(&fake, "mock-3tok-length").await;
    assert_eq!(body["choices"][0]["message"]["content"], "word1 word2 word3");
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["usage"]["total_tokens"], 15);
    assert_eq!(body["model"], "mock-3tok-length");
}

#[tokio::test]
async fn requests_and_their_key_can_be_looked_at() {
    let fake = FakeUpstream::start().await;
    for n in 0..300 {
        answer(&fake, &format!("mock-{n}")).await;
    }
    let requests = fake.requests();
    assert_eq!(requests.len(), 256);
    assert_eq!(requests[0]["model"], "mock-44");
    assert_eq!(requests[255]["messages"][0]["content"], "be brief");
    assert_eq!(fake.last_authorization().unwrap(), "Bearer sk-test");
    assert_eq!(fake.chat_calls(), 300);
}

#[tokio::test]
async fn stamps_are_the_monotonic_clock() {
    let fake = FakeUpstream::start().await;
    let before = monotonic_ns();
    let (events, _) = events(&fake, "mock-0ms-2tok-ts").await;
    let stamps: Vec<u64> = texts(&events).iter().map(|t| t.trim_end().trim_matches('@').parse().unwrap()).collect();
    assert_eq!(stamps.len(), 2);
    assert!(before <= stamps[0] && stamps[0] <= stamps[1] && stamps[1] <= monotonic_ns());
}

#[tokio::test]
async fn errors_have_their_status_and_retry_after() {
    let fake = FakeUpstream::start().await;
    for (model, status, code) in [
        ("mock-err429-retryafter7", 429, json!("rate_limit_exceeded")),
        ("mock-err500", 500, Value::Null),
        ("mock-err401", 401, json!("invalid_api_key")),
    ] {
        for stream in [false, true] {
            let response = ask(&fake, model, stream).await.unwrap();
            assert_eq!(response.status(), status);
            let after = response.headers().get("retry-after").cloned();
            assert_eq!(after.is_some_and(|v| v == "7"), status == 429);
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["error"]["code"], code);
        }
    }
}

#[tokio::test]
async fn a_cut_resets_the_connection_after_its_chunks() {
    let fake = FakeUpstream::start().await;
    let (events, whole) = events(&fake, "mock-5tok-cut2").await;
    assert_eq!(texts(&events), ["word1", " word2"]);
    assert!(!whole);
    let body = ask(&fake, "mock-cut1", false).await.unwrap().bytes().await;
    assert!(body.is_err());
    until(|| fake.open() == 0).await;
    assert_eq!(fake.aborted(), 0);
}

#[tokio::test]
async fn a_hang_never_answers_and_a_client_that_leaves_is_counted() {
    let fake = FakeUpstream::start().await;
    let patience = Duration::from_millis(200);
    let response = tokio::time::timeout(patience, ask(&fake, "mock-hang", false)).await;
    assert!(response.is_err());
    until(|| fake.aborted() == 1).await;
    assert_eq!(fake.open(), 0);
}

#[tokio::test]
async fn a_stall_keeps_silent_after_its_chunks() {
    let fake = FakeUpstream::start().await;
    let response = ask(&fake, "mock-stall2", true).await.unwrap();
    let mut parts = response.bytes_stream();
    let mut seen = Vec::new();
    let patience = Duration::from_millis(200);
    while let Ok(part) = tokio::time::timeout(patience, parts.next()).await {
        seen.extend_from_slice(&part.unwrap().unwrap());
    }
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.contains("word2") && !seen.contains("word3"));
    assert_eq!(fake.open(), 1);
    drop(parts);
    until(|| fake.aborted() == 1).await;
}

#[tokio::test]
async fn a_stream_without_done_just_ends() {
    let fake = FakeUpstream::start().await;
    let (events, whole) = events(&fake, "mock-3tok-nodone").await;
    assert!(whole);
    assert_eq!(events.len(), 4);
    assert!(!events.concat().contains("\"stop\""));
}

#[tokio::test]
async fn a_bad_chunk_is_half_a_json_text() {
    let fake = FakeUpstream::start().await;
    let (events, _) = events(&fake, "mock-3tok-badjson2").await;
    assert!(serde_json::from_str::<Value>(&events[2]).is_err());
    assert_eq!(texts(&events), ["word1", " word3"]);
    let body = ask(&fake, "mock-badjson1", false).await.unwrap();
    assert!(body.json::<Value>().await.is_err());
}

#[tokio::test]
async fn a_web_page_can_come_instead_of_an_answer() {
    let fake = FakeUpstream::start().await;
    let response = ask(&fake, "mock-html", true).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert!(response.text().await.unwrap().starts_with("<!doctype html>"));
}

#[tokio::test]
async fn an_error_object_comes_inside_the_stream() {
    let fake = FakeUpstream::start().await;
    let (events, whole) = events(&fake, "mock-5tok-errobj2").await;
    assert!(whole);
    assert_eq!(texts(&events).len(), 2);
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["type"], "server_error");
    assert_eq!(answer(&fake, "mock-errobj2").await["error"]["type"], "server_error");
}

#[tokio::test]
async fn usage_can_be_left_out() {
    let fake = FakeUpstream::start().await;
    let (events, _) = events(&fake, "mock-2tok-nousage").await;
    assert!(!events.concat().contains("\"usage\""));
    assert_eq!(events.last().unwrap(), "[DONE]");
    assert!(answer(&fake, "mock-2tok-nousage").await.get("usage").is_none());
}

#[tokio::test]
async fn multi_byte_characters_are_split_between_writes() {
    let fake = FakeUpstream::start().await;
    let response = ask(&fake, "mock-2tok-utf8", true).await.unwrap();
    let parts: Vec<_> = response.bytes_stream().map(Result::unwrap).collect().await;
    let split = parts.iter().filter(|p| std::str::from_utf8(p).is_err());
    assert!(split.count() > 1);
    let text = String::from_utf8(parts.concat()).unwrap();
    assert!(text.contains("żółć漢字🦀1") && text.contains("żółć漢字🦀2"));
}

#[tokio::test]
async fn a_flaky_model_fails_its_first_calls_only() {
    let fake = FakeUpstream::start().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(ask(&fake, "mock-flaky2", false).await.unwrap().status().as_u16());
    }
    assert_eq!(seen, [500, 500, 200, 200]);
    let other = ask(&fake, "mock-flaky2-other", false).await.unwrap();
    assert_eq!(other.status(), 500);
}

#[tokio::test]
async fn a_huge_line_goes_on_for_fifty_megabytes() {
    let fake = FakeUpstream::start().await;
    let bytes = ask(&fake, "mock-hugeline", true).await.unwrap().bytes().await.unwrap();
    assert!(bytes.len() >= 50 << 20);
    assert!(!bytes.contains(&b'\n'));
}

#[tokio::test]
async fn an_echo_answers_the_last_user_message_and_counts_its_words() {
    let fake = FakeUpstream::start().await;
    let (events, _) = events(&fake, "mock-echo").await;
    assert_eq!(texts(&events), ["Grüße ", "an ", "alle ", "\"dort\""]);
    let body = answer(&fake, "mock-echo").await;
    assert_eq!(body["choices"][0]["message"]["content"], "Grüße an alle \"dort\"");
    assert_eq!(body["usage"], json!({"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}));
}

#[tokio::test]
async fn embeddings_moderations_models_stats_and_health_answer() {
    let fake = FakeUpstream::start().await;
    let (base, client) = (fake.base_url(), client());
    let post = async |path: &str, body: Value| -> Value {
        let request = client.post(format!("{base}{path}")).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    };
    let vectors = post("/embeddings", json!({"model": "e", "input": ["a b", "c"], "dimensions": 8}));
    let vectors = vectors.await;
    assert_eq!(vectors["data"][1]["embedding"].as_array().unwrap().len(), 8);
    let coded = json!({"model": "e", "input": "a", "dimensions": 8, "encoding_format": "base64"});
    assert_eq!(post("/embeddings", coded).await["data"][0]["embedding"].as_str().unwrap().len(), 44);
    let flags = post("/moderations", json!({"input": ["fine", "[flag] this"]})).await;
    assert_eq!(flags["results"][0]["flagged"], false);
    assert_eq!(flags["results"][1]["flagged"], true);
    let root = base.trim_end_matches("/v1");
    let get = async |url: String| client.get(url).send().await.unwrap();
    let models: Value = get(format!("{base}/models")).await.json().await.unwrap();
    assert_eq!(models["data"][0]["object"], "model");
    let stats: Value = get(format!("{root}/stats")).await.json().await.unwrap();
    assert_eq!(stats["embeddings"], 2);
    assert_eq!(get(format!("{root}/health")).await.status(), StatusCode::OK);
    assert_eq!(get(format!("{root}/nothing")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_no_chat_request_is_refused() {
    let fake = FakeUpstream::start().await;
    for body in ["{", "[]", "{\"model\":\"mock\"}"] {
        let url = format!("{}/chat/completions", fake.base_url());
        let response = client().post(url).body(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
    }
}

#[tokio::test]
async fn a_dropped_provider_stops_listening_and_closes_its_connections() {
    let fake = FakeUpstream::start().await;
    let url = format!("{}/models", fake.base_url());
    let client = client();
    assert!(client.get(&url).send().await.is_ok());
    drop(fake);
    for _ in 0..1000 {
        if client.get(&url).send().await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it went on answering");
}
