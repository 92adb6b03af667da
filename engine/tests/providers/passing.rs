//! Requests and answers that pass through as bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use parlor_bench::fake::FakeUpstream;
use parlor_engine::config::ProviderSettings;
use parlor_engine::providers::{
    BreakerState, ChatRequest, Delta, Mock, Provider, ProviderError, Providers, RetryClock, TimeoutPhase, WireAnswer,
    WireBody, WireEndpoint, WireJson, WireRequest, Word,
};
use serde_json::{Value, json};

use crate::kit::{DEAD, Fixture, TestClock, canned, events, models_asked, providers, request, response, settings};

const SHORT: Duration = Duration::from_millis(60);

fn wire(endpoint: WireEndpoint, rest: &str) -> WireRequest<'static> {
    let body = WireJson {
        head: Bytes::from_static(br#"{"x_unknown":[1, 2],"model":"#),
        tail: Bytes::from(format!(",{rest}}}")),
    };
    WireRequest::new(endpoint, body, rest.contains(r#""stream":true"#))
}

fn streamed() -> WireRequest<'static> {
    wire(WireEndpoint::ChatCompletions, r#""stream":true,"messages":[{"role":"user","content":"Hi"}]"#)
}

fn whole() -> WireRequest<'static> {
    wire(WireEndpoint::ChatCompletions, r#""messages":[{"role":"user","content":"Hi"}]"#)
}

/// What came of an answer's bytes: how many, their beginning, and how they ended.
async fn drain(answer: WireAnswer) -> (u64, String, Option<ProviderError>) {
    let WireBody::Bytes(mut bytes) = answer.body else { panic!("the provider's own bytes") };
    let (mut length, mut text, mut error) = (0, Vec::new(), None);
    while let Some(piece) = bytes.next().await {
        assert_eq!(error, None, "nothing follows an error");
        match piece {
            Ok(piece) => {
                length += piece.len() as u64;
                text.extend_from_slice(&piece[..piece.len().min(100_000_usize.saturating_sub(text.len()))]);
            }
            Err(failed) => error = Some(failed),
        }
    }
    (length, String::from_utf8_lossy(&text).into_owned(), error)
}

async fn pass(providers: &Providers, model: &str, request: &WireRequest<'_>) -> (String, Option<ProviderError>) {
    match providers.wire(model, request).await {
        Ok(answer) => {
            let (_, text, error) = drain(answer).await;
            (text, error)
        }
        Err(error) => (String::new(), Some(error)),
    }
}

#[tokio::test]
async fn the_request_arrives_as_it_was_but_for_the_models_name() {
    let fixture = Fixture::new().await;
    let answer = fixture.providers.wire("fake/mock-\"quoted\"-2tok", &streamed()).await.unwrap();
    assert_eq!((answer.provider.as_str(), answer.model.as_str()), ("fake", "mock-\"quoted\"-2tok"));
    drain(answer).await;
    let sent = json!({
        "x_unknown": [1, 2], "model": "mock-\"quoted\"-2tok", "stream": true,
        "messages": [{"role": "user", "content": "Hi"}],
    });
    assert_eq!(fixture.fake.requests(), [sent]);
    assert_eq!(fixture.fake.last_authorization().as_deref(), Some("Bearer sk-test"));
}

#[tokio::test]
async fn the_answer_arrives_as_it_was_sent() {
    let body = ": a comment\r\n\r\nevent: x\ndata:  {\"choices\":[ ],\"x\":1}\n\ndata: [DONE]\n\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n";
    let base_url = canned(format!("{head}{body}"), false).await;
    let providers = providers(&[("canned", &base_url)], &settings(), &TestClock::new());
    let answer = providers.wire("m", &streamed()).await.unwrap();
    let WireBody::Bytes(bytes) = &answer.body else { panic!("bytes") };
    assert_eq!(bytes.content_type(), "text/event-stream");
    assert_eq!(drain(answer).await, (body.len() as u64, body.to_owned(), None));
}

#[tokio::test]
async fn whole_answers_embeddings_and_moderations_pass_too() {
    let fixture = Fixture::new().await;
    let (text, error) = pass(&fixture.providers, "mock-3tok", &whole()).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&answer["choices"][0]["message"]["content"], error), (&json!("word1 word2 word3"), None));

    let request = wire(WireEndpoint::Embeddings, r#""input":"Hi","dimensions":4"#);
    let (text, _) = pass(&fixture.providers, "embed", &request).await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["data"][0]["embedding"].as_array().unwrap().len(), 4);
    let request = wire(WireEndpoint::Moderations, r#""input":"[flag]""#);
    let (text, _) = pass(&fixture.providers, "moderate", &request).await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["results"][0]["flagged"], json!(true));
}

#[tokio::test]
async fn until_the_first_byte_the_next_provider_takes_over() {
    let failing = canned(response("503 Service Unavailable", "{}"), false).await;
    let empty = canned("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n", false).await;
    let error_object = canned(events(&[r#"{"error":{"code":502,"message":"x"}}"#]), false).await;
    let html = canned(response("200 OK\r\ncontent-type: text/html", "<p>"), false).await;
    for first in [DEAD, &failing, &empty, &error_object, &html] {
        let fake = FakeUpstream::start().await;
        let settings = ProviderSettings { max_retries: 0, ..settings() };
        let providers = providers(&[("first", first), ("second", &fake.base_url())], &settings, &TestClock::new());
        let answer = providers.wire("mock-2tok", &streamed()).await.unwrap();
        assert_eq!(answer.provider, "second", "{first}");
        let (_, text, error) = drain(answer).await;
        assert!(text.ends_with("data: [DONE]\n\n") && error.is_none());
        assert!(providers.states()[0].last_error.is_some());
    }
}

#[tokio::test]
async fn a_failing_provider_is_asked_again() {
    let fixture = Fixture::new().await;
    let (text, error) = pass(&fixture.providers, "mock-3tok-flaky2", &streamed()).await;
    assert!(text.contains("word3") && error.is_none());
    assert_eq!(fixture.clock.waits().len(), 2);
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_an_error_and_is_not_asked_for_again() {
    let fixture = Fixture::with(ProviderSettings { breaker_failures: 2, ..settings() }).await;
    for request in [streamed(), whole()] {
        let (text, error) = pass(&fixture.providers, "mock-9tok-5ms-cut3", &request).await;
        assert!(!text.is_empty());
        assert_eq!(error, Some(ProviderError::Cut));
    }
    assert_eq!(fixture.fake.chat_calls(), 2);
    assert_eq!(fixture.providers.states()[0].state, BreakerState::Open);
}

#[tokio::test]
async fn silence_is_bounded_before_the_first_byte_and_after_it() {
    let limits =
        ProviderSettings { first_token_timeout: SHORT, whole_timeout: SHORT, idle_timeout: SHORT, ..settings() };
    let fixture = Fixture::with(ProviderSettings { max_retries: 0, ..limits }).await;
    for (model, request, phase) in [
        ("mock-hang", streamed(), TimeoutPhase::FirstToken),
        ("mock-hang", whole(), TimeoutPhase::FirstToken),
        ("mock-9tok-stall3", streamed(), TimeoutPhase::Idle),
        ("mock-9tok-stall3", whole(), TimeoutPhase::Idle),
    ] {
        let (_, error) = pass(&fixture.providers, model, &request).await;
        assert_eq!(error, Some(ProviderError::Timeout(phase)), "{model}");
        fixture.until_nobody_is_connected().await;
    }
}

#[tokio::test]
async fn an_answer_without_end_is_ended_by_the_total() {
    let fixture = Fixture::with(ProviderSettings { total_timeout: SHORT * 5, ..settings() }).await;
    let (_, error) = pass(&fixture.providers, "mock-5ms-1000000tok", &streamed()).await;
    assert_eq!(error, Some(ProviderError::Timeout(TimeoutPhase::Total)));
    fixture.until_nobody_is_connected().await;
}

#[tokio::test]
async fn a_line_of_50_megabytes_passes_in_pieces() {
    let fixture = Fixture::new().await;
    let answer = fixture.providers.wire("mock-hugeline", &streamed()).await.unwrap();
    let WireBody::Bytes(mut bytes) = answer.body else { panic!("bytes") };
    let (mut length, mut longest) = (0, 0);
    while let Some(piece) = bytes.next().await {
        let piece = piece.unwrap();
        length += piece.len();
        longest = longest.max(piece.len());
    }
    assert!(length > 50_000_000 && longest < 1_000_000, "{length} in pieces of up to {longest}");
}

#[tokio::test]
async fn dropping_the_answer_drops_the_connection_and_says_nothing_about_the_provider() {
    let fixture = Fixture::with(ProviderSettings { breaker_failures: 1, ..settings() }).await;
    let answer = fixture.providers.wire("mock-5ms-1000000tok", &streamed()).await.unwrap();
    drop(answer);
    fixture.until_nobody_is_connected().await;
    assert_eq!(fixture.providers.states()[0].state, BreakerState::Closed);
}

#[tokio::test]
async fn the_breaker_hears_of_good_ends_and_of_those_that_a_reader_finds_bad() {
    let fixture = Fixture::with(ProviderSettings { max_retries: 0, breaker_failures: 2, ..settings() }).await;
    let state = || fixture.providers.states().remove(0);
    for _ in 0..2 {
        assert!(pass(&fixture.providers, "mock-err503", &streamed()).await.1.is_some());
        assert!(state().last_error.is_some());
        assert_eq!(pass(&fixture.providers, "mock-2tok", &streamed()).await.1, None);
        assert_eq!(state().last_error, None);
    }
    assert_eq!(state().state, BreakerState::Closed);
    for _ in 0..2 {
        let answer = fixture.providers.wire("mock-2tok-nodone", &streamed()).await.unwrap();
        let WireBody::Bytes(mut bytes) = answer.body else { panic!("bytes") };
        while bytes.next().await.is_some() {}
        bytes.fail(&ProviderError::Cut);
    }
    assert_eq!((state().state, state().last_error), (BreakerState::Open, Some("provider_cut")));
    assert_eq!(pass(&fixture.providers, "mock-2tok", &streamed()).await.1, Some(ProviderError::BreakerOpen));
}

#[tokio::test]
async fn of_a_refusal_only_plain_words_are_told() {
    let body = r#"{"error":{"message":"sk-secret","code":"context_length_exceeded","param":"messages[0].content"}}"#;
    let refusing = canned(response("400 Bad Request", body), false).await;
    let fixture = providers(&[("canned", &refusing)], &settings(), &TestClock::new());
    let expected = ProviderError::BadRequest {
        status: 400,
        code: Word::of("context_length_exceeded"),
        param: Word::of("messages[0].content"),
    };
    assert_eq!(pass(&fixture, "m", &streamed()).await.1, Some(expected));

    let body = r#"{"error":{"message":"x","code":"two words","param":"sk-proj-1234567890"}}"#;
    let refusing = canned(response("400 Bad Request", body), false).await;
    let fixture = providers(&[("canned", &refusing)], &settings(), &TestClock::new());
    assert_eq!(pass(&fixture, "m", &streamed()).await.1, Some(ProviderError::bad_request(400)));
}

/// The mock, which speaks no protocol at all, and behind it a fake that does.
async fn mock_then_fake() -> (Providers, FakeUpstream) {
    mock_and_fake(false).await
}

async fn fake_then_mock() -> (Providers, FakeUpstream) {
    mock_and_fake(true).await
}

async fn mock_and_fake(fake_first: bool) -> (Providers, FakeUpstream) {
    let fake = FakeUpstream::start().await;
    let clock: Arc<dyn RetryClock> = TestClock::new();
    let mock: Arc<dyn Provider> = Arc::new(Mock::with_pace(Duration::ZERO));
    let client = parlor_engine::providers::http::client(&settings()).unwrap();
    let keys = parlor_engine::providers::KeyRing::new([]).unwrap();
    let names = parlor_engine::providers::ModelNames::AsIs;
    let fake_provider =
        parlor_engine::providers::OpenAi::new("fake", &fake.base_url(), keys, names, client, Arc::clone(&clock));
    let mut both = vec![mock, Arc::new(fake_provider.unwrap()) as Arc<dyn Provider>];
    if fake_first {
        both.reverse();
    }
    (Providers::with(both, &settings(), "mock-default", clock), fake)
}

#[tokio::test]
async fn a_provider_that_speaks_another_protocol_is_asked_with_the_typed_request() {
    let (providers, fake) = mock_then_fake().await;
    let typed = || Some(ChatRequest { model: String::new(), ..request("") });
    let answer = providers.wire("mock-x", &WireRequest { typed: Some(&typed), ..streamed() }).await.unwrap();
    assert_eq!(answer.provider, "mock");
    let WireBody::Deltas(deltas) = answer.body else { panic!("deltas") };
    let deltas: Vec<_> = deltas.collect().await;
    assert!(deltas.iter().filter(|delta| matches!(delta, Ok(Delta::Text(_)))).count() > 1, "it streams");
    assert_eq!(fake.chat_calls(), 0);
}

#[tokio::test]
async fn a_provider_with_none_behind_it_that_could_be_asked_is_asked_again() {
    let (providers, fake) = fake_then_mock().await;
    let (text, error) = pass(&providers, "mock-2tok-flaky1", &streamed()).await;
    assert!(text.contains("word2") && error.is_none());
    assert_eq!(fake.chat_calls(), 2);
}

#[tokio::test]
async fn what_a_provider_says_tells_more_than_that_another_could_not_be_asked() {
    let (providers, _fake) = mock_then_fake().await;
    let nothing = || None;
    let request = WireRequest { typed: Some(&nothing), ..streamed() };
    assert_eq!(providers.wire("mock-err404", &request).await.err(), Some(ProviderError::UnknownModel));
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_is_passed_over() {
    let (providers, fake) = mock_then_fake().await;
    let nothing = || None;
    for request in [streamed(), WireRequest { typed: Some(&nothing), ..streamed() }] {
        assert_eq!(providers.wire("mock-2tok", &request).await.unwrap().provider, "fake");
        assert_eq!(providers.wire("mock/mock-2tok", &request).await.err(), Some(ProviderError::Unsupported));
    }
    assert_eq!(models_asked(&fake), ["mock-2tok", "mock-2tok"]);
}
