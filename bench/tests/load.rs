//! The load generator against the fake provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use parlor_bench::fake::FakeUpstream;
use parlor_bench::load::{LoadError, Run, Target, Variables, calls, hold, set_up, streams};

const TARGET: &str = r#"{
    "setup": [{"url": "{{base}}/embeddings", "json": {"model": "{{setup}}", "input": "a", "dimensions": 4},
               "extract": {"token": "/model"}}],
    "call": {"url": "{{base}}/chat/completions", "headers": {"authorization": "Bearer {{token}}"},
             "json": {"model": "{{model}}", "messages": []}},
    "stream": {"url": "{{base}}/chat/completions",
               "json": {"model": "{{model}}", "messages": [], "stream": true}, "done": "[DONE]"}}"#;

async fn run(fake: &FakeUpstream, name: &str, model: &str, workers: usize, setup: &str) -> Result<Run, LoadError> {
    let target = Target::parse(TARGET).unwrap();
    let pairs = [("base", fake.base_url()), ("model", model.to_owned()), ("setup", setup.to_owned())];
    let mut variables: Variables = pairs.map(|(k, v)| (k.to_owned(), v)).into();
    set_up(&target, &mut variables, Duration::from_secs(10)).await?;
    Ok(Run {
        workers: vec![vec![target.requests[name].prepare(&variables)?]; workers],
        limit: usize::MAX,
        duration: Duration::from_millis(200),
        patience: Duration::from_secs(10),
        expected_tokens: Some(3),
    })
}

#[tokio::test]
async fn calls_are_counted_and_timed_with_what_the_setup_extracted() {
    let fake = FakeUpstream::start().await;
    let mut tally = calls(run(&fake, "call", "mock-3tok", 2, "sk-one").await.unwrap()).await;
    assert!(tally.ok > 1);
    assert_eq!(tally.error_count(), 0);
    assert_eq!(tally.ok, fake.chat_calls());
    assert_eq!(tally.latency.summary().unwrap().n as u64, tally.ok);
    assert_eq!(fake.last_authorization().unwrap(), "Bearer sk-one");
}

#[tokio::test]
async fn a_worker_goes_through_its_requests_and_stops_at_its_limit() {
    let fake = FakeUpstream::start().await;
    let mut both = run(&fake, "call", "mock-a", 1, "x").await.unwrap();
    both.workers[0].extend(run(&fake, "call", "mock-b", 1, "x").await.unwrap().workers.remove(0));
    both.limit = 3;
    assert_eq!(calls(both).await.ok, 3);
    let requests = fake.requests();
    let chats = requests.iter().filter(|r| r["messages"].is_array());
    let models: Vec<_> = chats.map(|r| r["model"].as_str().unwrap()).collect();
    assert_eq!(models, ["mock-a", "mock-b", "mock-a"]);
}

#[tokio::test]
async fn failures_are_counted_by_their_kind_and_end_the_run() {
    let fake = FakeUpstream::start().await;
    let tally = calls(run(&fake, "call", "mock-err500", 1, "x").await.unwrap()).await;
    assert_eq!(tally.ok, 0);
    assert_eq!(tally.errors.len(), 1);
    assert!(tally.errors.keys().all(|kind| kind.starts_with("500 ")));
}

#[tokio::test]
async fn a_refused_setup_is_an_error() {
    let fake = FakeUpstream::start().await;
    let error = run(&fake, "call", "mock", 1, "mock-err401").await.unwrap_err();
    assert!(matches!(error, LoadError::Setup(_)), "{error}");
}

#[tokio::test]
async fn streams_give_every_token_s_transit() {
    let fake = FakeUpstream::start().await;
    let mut tally = streams(run(&fake, "stream", "mock-3tok-ts", 2, "x").await.unwrap()).await;
    assert!(tally.ok > 1);
    assert_eq!((tally.incomplete, tally.error_count()), (0, 0));
    assert_eq!(tally.tokens, 3 * tally.ok);
    assert_eq!(tally.transit.summary().unwrap().n as u64, tally.tokens);
    assert_eq!(tally.ttft.summary().unwrap().n as u64, tally.ok);
}

#[tokio::test]
async fn a_stream_without_its_end_is_incomplete() {
    let fake = FakeUpstream::start().await;
    let tally = streams(run(&fake, "stream", "mock-3tok-ts-nodone", 1, "x").await.unwrap()).await;
    assert!(tally.ok > 0);
    assert_eq!(tally.incomplete, tally.ok);
}

#[tokio::test]
async fn held_streams_are_open_together_and_let_go() {
    let fake = FakeUpstream::start().await;
    let run = run(&fake, "stream", "mock-50ms-2000tok-ts", 20, "x").await.unwrap();
    let (tally, held) = hold(run, 1000.0, Some(std::process::id())).await;
    assert_eq!((held.open, tally.error_count()), (20, 0));
    assert!(held.after.unwrap().rss_mib > 0.0);
}
