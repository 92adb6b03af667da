use std::time::Duration;

use futures_util::future::join_all;
use parlor_engine::config::ProviderSettings;
use parlor_engine::providers::{BreakerState, ProviderError, TimeoutPhase};

use crate::kit::{COOLDOWN, Fixture, request, settings};

const UNAVAILABLE: ProviderError = ProviderError::Unavailable { status: 503 };

async fn opened(settings: ProviderSettings) -> Fixture {
    let fixture = Fixture::with(ProviderSettings { max_retries: 0, breaker_failures: 3, ..settings }).await;
    for _ in 0..3 {
        assert_eq!(fixture.ask("mock-err503").await.error, Some(UNAVAILABLE));
    }
    fixture
}

fn state(fixture: &Fixture) -> (BreakerState, Option<&'static str>) {
    let states = fixture.providers.states();
    (states[0].state, states[0].last_error)
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_not_asked_for_a_while() {
    let fixture = opened(settings()).await;
    assert_eq!(state(&fixture), (BreakerState::Open, Some("provider_unavailable")));
    assert_eq!(fixture.ask("mock-1tok").await.error, Some(ProviderError::BreakerOpen));
    assert_eq!(fixture.fake.chat_calls(), 3);
}

#[tokio::test]
async fn a_probe_that_succeeds_closes_the_breaker() {
    let fixture = opened(settings()).await;
    fixture.clock.advance(COOLDOWN);
    assert_eq!(state(&fixture).0, BreakerState::HalfOpen);
    assert_eq!(fixture.ask("mock-1tok").await.error, None);
    assert_eq!(state(&fixture), (BreakerState::Closed, None));
}

#[tokio::test]
async fn a_probes_first_word_closes_the_breaker() {
    let fixture = opened(settings()).await;
    fixture.clock.advance(COOLDOWN);
    let answer = fixture.providers.chat(request("mock-5ms-1000000tok")).await.unwrap();
    assert_eq!(state(&fixture).0, BreakerState::Closed);
    drop(answer);
    assert_eq!(state(&fixture).0, BreakerState::Closed);
}

#[tokio::test]
async fn a_probe_that_fails_opens_the_breaker_again() {
    let fixture = opened(settings()).await;
    fixture.clock.advance(COOLDOWN);
    assert_eq!(fixture.ask("mock-err503").await.error, Some(UNAVAILABLE));
    assert_eq!(state(&fixture).0, BreakerState::Open);
}

#[tokio::test]
async fn of_many_at_once_exactly_one_is_the_probe() {
    let fixture = opened(ProviderSettings { first_token_timeout: Duration::from_millis(300), ..settings() }).await;
    fixture.clock.advance(COOLDOWN);
    let outcomes = join_all((0..20).map(|_| fixture.ask("mock-hang"))).await;
    let count = |error: ProviderError| outcomes.iter().filter(|outcome| outcome.error.as_ref() == Some(&error)).count();
    assert_eq!(count(ProviderError::Timeout(TimeoutPhase::FirstToken)), 1);
    assert_eq!(count(ProviderError::BreakerOpen), 19);
    assert_eq!(fixture.fake.chat_calls(), 4);
}

#[tokio::test]
async fn a_probe_whose_caller_goes_away_leaves_its_place_to_the_next() {
    let fixture = opened(settings()).await;
    fixture.clock.advance(COOLDOWN);
    let given_up = tokio::time::timeout(Duration::from_millis(20), fixture.ask("mock-hang")).await;
    assert!(given_up.is_err());
    assert_eq!(fixture.ask("mock-1tok").await.error, None);
}

#[tokio::test]
async fn refused_requests_do_not_open_the_breaker() {
    let fixture = Fixture::with(ProviderSettings { max_retries: 0, breaker_failures: 2, ..settings() }).await;
    for model in ["mock-err400", "mock-err400", "mock-err404", "mock-err404", "mock-err429", "mock-err429"] {
        assert!(fixture.ask(model).await.error.is_some());
    }
    assert_eq!(state(&fixture).0, BreakerState::Closed);
}

#[tokio::test]
async fn answers_that_break_off_open_the_breaker() {
    let fixture = Fixture::with(ProviderSettings { max_retries: 0, breaker_failures: 2, ..settings() }).await;
    for _ in 0..2 {
        assert_eq!(fixture.ask("mock-9tok-cut3").await.error, Some(ProviderError::Cut));
    }
    assert_eq!(state(&fixture), (BreakerState::Open, Some("provider_cut")));
}
