use std::time::Duration;

use parlor_engine::providers::{ChatRequest, ProviderError};

use crate::kit::{Fixture, ask, request};

const RATE_LIMITED: ProviderError = ProviderError::RateLimited { retry_after: None };

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_and_not_asked_for_again() {
    let fixture = Fixture::new().await;
    for model in ["mock-9tok-cut3", "mock-3tok-nodone"] {
        let outcome = fixture.ask(model).await;
        assert_eq!(outcome.texts.len(), 3, "{model}");
        assert_eq!((outcome.finish, outcome.error), (None, Some(ProviderError::Cut)), "{model}");
    }
    assert_eq!(fixture.fake.chat_calls(), 2);
}

#[tokio::test]
async fn an_answer_that_breaks_off_before_its_first_word_is_asked_for_again() {
    let fixture = Fixture::new().await;
    let outcome = fixture.ask("mock-9tok-cut0").await;
    assert_eq!((outcome.texts.len(), outcome.error), (0, Some(ProviderError::Cut)));
    assert_eq!(fixture.fake.chat_calls(), 3);
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_cut() {
    let fixture = Fixture::new().await;
    let whole = |model| ChatRequest { stream: false, ..request(model) };
    let outcome = ask(&fixture.providers, whole("mock-9tok-cut3")).await;
    assert_eq!((outcome.texts.len(), outcome.error), (0, Some(ProviderError::Cut)));
    let outcome = ask(&fixture.providers, whole("mock-9tok-nodone")).await;
    assert_eq!((outcome.texts.len(), outcome.finish, outcome.error), (1, None, Some(ProviderError::Cut)));
}

#[tokio::test]
async fn what_breaks_the_protocol_in_the_middle_ends_the_answer() {
    let fixture = Fixture::new().await;
    for (model, words) in [("mock-9tok-badjson2", 1), ("mock-9tok-badjson1", 0), ("mock-html", 0), ("mock-hugeline", 0)]
    {
        let outcome = fixture.ask(model).await;
        assert_eq!(outcome.texts.len(), words, "{model}");
        assert!(matches!(outcome.error, Some(ProviderError::Protocol(_))), "{model}: {outcome:?}");
    }
    assert_eq!(fixture.fake.chat_calls(), 4);
}

#[tokio::test]
async fn a_whole_answer_that_breaks_the_protocol_is_refused() {
    let fixture = Fixture::new().await;
    for (model, why) in [
        ("mock-badjson1", "an answer is not the expected JSON"),
        ("mock-html", "an unexpected content type"),
        ("mock-hugeline", "the answer is too long"),
    ] {
        let outcome = ask(&fixture.providers, ChatRequest { stream: false, ..request(model) }).await;
        assert_eq!(outcome.error, Some(ProviderError::Protocol(why)), "{model}");
    }
}

#[tokio::test]
async fn an_error_inside_of_a_stream_is_an_error() {
    let outcome = Fixture::new().await.ask("mock-9tok-errobj2").await;
    assert_eq!(outcome.texts.len(), 2);
    assert_eq!(outcome.error, Some(ProviderError::Unavailable { status: 500 }));
}

#[tokio::test]
async fn a_failing_provider_is_asked_again_with_growing_waits() {
    let fixture = Fixture::new().await;
    let outcome = fixture.ask("mock-3tok-flaky2").await;
    assert_eq!((outcome.texts.len(), outcome.error), (3, None));
    assert_eq!(fixture.clock.waits(), [Duration::from_millis(200), Duration::from_millis(400)]);
}

#[tokio::test]
async fn a_failing_provider_is_not_asked_more_often_than_allowed() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ask("mock-err503").await.error, Some(ProviderError::Unavailable { status: 503 }));
    assert_eq!(fixture.fake.chat_calls(), 3);
}

#[tokio::test]
async fn the_wait_that_a_provider_asks_for_is_honoured() {
    let fixture = Fixture::new().await;
    let limited = ProviderError::RateLimited { retry_after: Some(Duration::from_secs(7)) };
    assert_eq!(fixture.ask("mock-err429-retryafter7").await.error, Some(limited));
    assert_eq!(fixture.clock.waits(), [Duration::from_secs(7), Duration::from_secs(7)]);
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_not_begun() {
    let fixture = Fixture::new().await;
    let limited = ProviderError::RateLimited { retry_after: Some(Duration::from_secs(31)) };
    assert_eq!(fixture.ask("mock-err429-retryafter31").await.error, Some(limited));
    assert_eq!(fixture.fake.chat_calls(), 1);
}

#[tokio::test]
async fn each_status_has_its_error() {
    let fixture = Fixture::new().await;
    for (model, error) in [
        ("mock-err400", ProviderError::bad_request(400)),
        ("mock-err422", ProviderError::bad_request(422)),
        ("mock-err401", ProviderError::Unauthorized),
        ("mock-err402", ProviderError::Unauthorized),
        ("mock-err403", ProviderError::Unauthorized),
        ("mock-err404", ProviderError::UnknownModel),
        ("mock-err429", RATE_LIMITED),
    ] {
        assert_eq!(fixture.ask(model).await.error, Some(error), "{model}");
    }
}

#[tokio::test]
async fn a_request_that_is_refused_is_sent_once() {
    for model in ["mock-err400", "mock-err401", "mock-err404"] {
        let fixture = Fixture::new().await;
        assert!(fixture.ask(model).await.error.is_some());
        assert_eq!(fixture.fake.chat_calls(), 1, "{model}");
    }
}
