use std::time::Duration;

use parlor_engine::config::ProviderSettings;
use parlor_engine::providers::{ChatRequest, ProviderError, TimeoutPhase};

use crate::kit::{Fixture, ask, request, settings};

const SHORT: Duration = Duration::from_millis(60);

#[tokio::test]
async fn a_provider_that_says_nothing_is_given_up_and_disconnected() {
    let fixture = Fixture::with(ProviderSettings { first_token_timeout: SHORT, max_retries: 0, ..settings() }).await;
    for model in ["mock-hang", "mock-stall0"] {
        let outcome = fixture.ask(model).await;
        assert_eq!(outcome.error, Some(ProviderError::Timeout(TimeoutPhase::FirstToken)), "{model}");
        fixture.until_nobody_is_connected().await;
    }
}

#[tokio::test]
async fn a_provider_that_falls_silent_is_given_up_and_disconnected() {
    let fixture = Fixture::with(ProviderSettings { idle_timeout: SHORT, ..settings() }).await;
    let outcome = fixture.ask("mock-9tok-stall3").await;
    assert_eq!(outcome.texts.len(), 3);
    assert_eq!(outcome.error, Some(ProviderError::Timeout(TimeoutPhase::Idle)));
    fixture.until_nobody_is_connected().await;
    assert_eq!(fixture.fake.chat_calls(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_ended_by_the_total() {
    for model in ["mock-5ms-1000000tok", "mock-1000000000tok"] {
        let fixture = Fixture::with(ProviderSettings { total_timeout: SHORT * 5, ..settings() }).await;
        let outcome = fixture.ask(model).await;
        assert!(!outcome.texts.is_empty());
        let total = ProviderError::Timeout(TimeoutPhase::Total);
        let long = ProviderError::Protocol("the answer is too long");
        assert!([total, long].map(Some).contains(&outcome.error), "{model}: {:?}", outcome.error);
        fixture.until_nobody_is_connected().await;
    }
}

#[tokio::test]
async fn the_total_bounds_the_attempts_together() {
    let limits = ProviderSettings { total_timeout: SHORT, first_token_timeout: SHORT * 100, ..settings() };
    let fixture = Fixture::with(limits).await;
    assert_eq!(fixture.ask("mock-hang").await.error, Some(ProviderError::Timeout(TimeoutPhase::Total)));
    assert_eq!(fixture.fake.chat_calls(), 1);
}

#[tokio::test]
async fn a_whole_answer_may_take_longer_than_a_first_word() {
    let limits = ProviderSettings { first_token_timeout: Duration::from_millis(1), ..settings() };
    let fixture = Fixture::with(limits).await;
    let whole = ChatRequest { stream: false, ..request("mock-3tok-50ttft") };
    assert_eq!(ask(&fixture.providers, whole).await.error, None);
}

#[tokio::test]
async fn a_whole_answer_that_does_not_come_is_asked_for_again() {
    let limits = ProviderSettings { whole_timeout: SHORT, max_retries: 1, ..settings() };
    let fixture = Fixture::with(limits).await;
    let whole = ChatRequest { stream: false, ..request("mock-hang") };
    let error = ask(&fixture.providers, whole).await.error;
    assert_eq!(error, Some(ProviderError::Timeout(TimeoutPhase::FirstToken)));
    assert_eq!(fixture.fake.chat_calls(), 2);
}
