//! Routes and upstreams of one's own, over several fakes.

use std::sync::Arc;
use std::time::Duration;

use parlor_bench::fake::FakeUpstream;
use parlor_engine::config::{Settings, SourceText, Sources};
use parlor_engine::domain::{FinishReason, TokenUsage};
use parlor_engine::providers::{BreakerState, ChatRequest, ProviderError, Providers, TimeoutPhase};

use crate::kit::{DEAD, TestClock, ask, models_asked, request};

/// The providers that this `parlor.toml` describes, with a clock that does not wait.
fn configured(text: &str) -> Providers {
    with_clock(&format!("{NO_RETRIES}\n{text}"), TestClock::with_jitter(0.5))
}

const NO_RETRIES: &str = "providers.max_retries = 0";

fn with_clock(text: &str, clock: Arc<TestClock>) -> Providers {
    let text = format!("security.secret_key = 'Zk3-long_and-random.Qw8xB5nT1vYd7c'\n{text}");
    let file = Some(SourceText { path: "parlor.toml".into(), text });
    let settings = Settings::load(&Sources { file, ..Sources::default() }).unwrap().0.providers;
    Providers::from_settings_with(&settings, "mock-1tok", clock).unwrap()
}

fn upstream(name: &str, url: &str) -> String {
    format!("[[upstreams]]\nname = {name:?}\nurl = {url:?}\nkeys = [\"key-of-{name}\"]\n")
}

/// Two fakes, `one` and `two`, and a route `r` with these lines.
async fn two_fakes(route: &str) -> (FakeUpstream, FakeUpstream, Providers) {
    two_fakes_with(NO_RETRIES, route, TestClock::with_jitter(0.5)).await
}

async fn two_fakes_with(settings: &str, route: &str, clock: Arc<TestClock>) -> (FakeUpstream, FakeUpstream, Providers) {
    let (one, two) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let upstreams = upstream("one", &one.base_url()) + &upstream("two", &two.base_url());
    let providers = with_clock(&format!("{settings}\n{upstreams}[routes.r]\n{route}\n"), clock);
    (one, two, providers)
}

fn targets(pairs: &[(&str, &str)]) -> String {
    let target = |(provider, model): &(&str, &str)| format!("{{ provider = {provider:?}, model = {model:?} }}");
    format!("targets = [{}]", pairs.iter().map(target).collect::<Vec<_>>().join(", "))
}

async fn until_nobody_is_connected(fake: &FakeUpstream) {
    while fake.open() > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn upstreams_live_together_each_with_its_own_key() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let providers = configured(&(upstream("one", &first.base_url()) + &upstream("two", &second.base_url())));
    assert!(!providers.is_mock());
    assert_eq!(ask(&providers, request("two/mock-1tok")).await.provider, "two");
    assert_eq!(ask(&providers, request("")).await.provider, "one");
    assert_eq!(first.last_authorization().as_deref(), Some("Bearer key-of-one"));
    assert_eq!(second.last_authorization().as_deref(), Some("Bearer key-of-two"));
}

#[tokio::test]
async fn a_route_answers_to_its_name_and_its_aliases_with_its_own_models_in_order() {
    let fake = FakeUpstream::start().await;
    let text = upstream("dead", DEAD)
        + &upstream("live", &fake.base_url())
        + "[routes.fast]\naliases = [\"gpt-4o-mini\", \"openai/gpt-4o\"]\ntargets = [\n\
           { provider = \"dead\", model = \"x\" },\n{ provider = \"live\", model = \"mock-2tok\" },\n]\n";
    let providers = configured(&text);
    for name in ["fast", "gpt-4o-mini", "openai/gpt-4o"] {
        let outcome = ask(&providers, request(name)).await;
        assert_eq!((outcome.provider.as_str(), outcome.error), ("live", None), "{name}");
    }
    assert_eq!(models_asked(&fake), ["mock-2tok", "mock-2tok", "mock-2tok"]);
}

#[tokio::test]
async fn a_route_asks_nobody_but_its_targets() {
    let fake = FakeUpstream::start().await;
    let text = upstream("dead", DEAD)
        + &upstream("live", &fake.base_url())
        + "[routes.fast]\ntargets = [{ provider = \"dead\", model = \"x\" }]\n";
    assert!(ask(&configured(&text), request("fast")).await.error.is_some());
    assert_eq!(fake.chat_calls(), 0);
}

#[tokio::test]
async fn a_weighted_route_asks_by_weight_and_fails_over_to_the_rest() {
    // The clock's jitter is one number for all: whoever has the greater weight stands first.
    let weighted = "strategy = 'weighted'\ntargets = [{ provider = 'one', model = 'mock-1tok' }, \
                    { provider = 'two', model = 'mock-1tok', weight = 9 }]";
    let (one, two, providers) = two_fakes(weighted).await;
    assert_eq!(ask(&providers, request("r")).await.provider, "two");
    assert_eq!((one.chat_calls(), two.chat_calls()), (0, 1));
    let failing = weighted.replace("'mock-1tok', weight", "'mock-err503', weight");
    let (_one, two, providers) = two_fakes(&failing).await;
    assert_eq!(ask(&providers, request("r")).await.provider, "one");
    assert_eq!(two.chat_calls(), 1);
}

#[tokio::test]
async fn one_models_failures_leave_the_others_of_its_provider_alone() {
    let routes = targets(&[("one", "mock-err503")])
        + "\n[routes.good]\n"
        + &targets(&[("one", "mock-1tok")])
        + "\n[routes.again]\n"
        + &targets(&[("one", "mock-err503")]);
    let (one, _two, providers) =
        two_fakes_with("providers = { max_retries = 0, breaker_failures = 2 }", &routes, TestClock::with_jitter(0.5))
            .await;
    for _ in 0..2 {
        assert_eq!(ask(&providers, request("r")).await.error, Some(ProviderError::Unavailable { status: 503 }));
    }
    for route in ["r", "again"] {
        assert_eq!(ask(&providers, request(route)).await.error, Some(ProviderError::BreakerOpen), "{route}");
    }
    assert_eq!(ask(&providers, request("good")).await.error, None);
    assert_eq!(one.chat_calls(), 3);
    let states: Vec<_> =
        providers.states().into_iter().map(|state| (state.name, state.model, state.is_general, state.state)).collect();
    let state = |name: &str, model: &str, general, state| (name.to_owned(), Some(model.to_owned()), general, state);
    assert_eq!(
        states,
        [
            state("one", "mock-1tok", true, BreakerState::Closed),
            state("two", "mock-1tok", true, BreakerState::Closed),
            state("one", "mock-err503", false, BreakerState::Open),
            state("one", "mock-1tok", false, BreakerState::Closed),
        ]
    );
}

#[tokio::test]
async fn a_target_tells_how_busy_and_how_fast_it_is() {
    let clock = TestClock::with_jitter(0.5);
    let route = targets(&[("one", "mock-5ms-1000000tok")]);
    let (one, _two, providers) = two_fakes_with(NO_RETRIES, &route, Arc::clone(&clock)).await;
    let state = || providers.states().remove(2);
    assert_eq!((state().in_flight, state().usual_start, state().keys.all), (0, None, 1));
    let answer = providers.chat(request("r")).await.unwrap();
    clock.advance(Duration::from_secs(9));
    assert_eq!((state().in_flight, state().state_for), (1, Duration::from_secs(9)));
    assert!(state().usual_start.is_some());
    drop(answer);
    until_nobody_is_connected(&one).await;
    assert_eq!(state().in_flight, 0);
}

#[tokio::test]
async fn retries_stop_where_the_budget_ends() {
    let settings = "providers = { max_retries = 5, retry_share = 0.0, breaker_failures = 1000 }";
    let clock = TestClock::with_jitter(0.5);
    let (one, _two, providers) =
        two_fakes_with(settings, &targets(&[("one", "mock-err503")]), Arc::clone(&clock)).await;
    for _ in 0..40 {
        assert!(ask(&providers, request("r")).await.error.is_some());
    }
    // The reserve, and what the seconds of the waits put in.
    let waited: Duration = clock.waits().iter().sum();
    let retries = one.chat_calls() - 40;
    assert!((10..=10 + waited.as_secs() + 1).contains(&retries) && retries < 200, "{retries} retries in {waited:?}");
}

#[tokio::test]
async fn a_target_that_does_not_begin_is_hedged_and_left() {
    let route = "hedge_after_ms = 50\n".to_owned() + &targets(&[("one", "mock-hang"), ("two", "mock-3tok")]);
    let (one, two, providers) = two_fakes(&route).await;
    let outcome = ask(&providers, request("r")).await;
    assert_eq!((outcome.provider.as_str(), outcome.texts.len(), outcome.error), ("two", 3, None));
    assert_eq!((one.chat_calls(), two.chat_calls()), (1, 1));
    until_nobody_is_connected(&one).await;
    assert_eq!(one.aborted(), 1);
    assert_eq!(providers.states()[2].state, BreakerState::Closed);
}

#[tokio::test]
async fn of_two_at_once_the_failing_one_leaves_the_answer_to_the_other() {
    let route = "hedge_after_ms = 50\n".to_owned() + &targets(&[("one", "mock-3tok-100ttft"), ("two", "mock-err503")]);
    let (_one, two, providers) = two_fakes(&route).await;
    let outcome = ask(&providers, request("r")).await;
    assert_eq!((outcome.provider.as_str(), outcome.texts.len(), outcome.error), ("one", 3, None));
    assert_eq!(two.chat_calls(), 1);
}

#[tokio::test]
async fn a_target_is_not_hedged_without_the_option() {
    let route = targets(&[("one", "mock-3tok-100ttft"), ("two", "mock-3tok")]);
    let (_one, two, providers) = two_fakes(&route).await;
    assert_eq!(ask(&providers, request("r")).await.provider, "one");
    assert_eq!(two.chat_calls(), 0);
}

#[tokio::test]
async fn a_target_may_have_timeouts_of_its_own() {
    let route = "timeouts = { idle_seconds = 0.06 }\ntargets = [\
                 { provider = 'one', model = 'mock-hang', timeouts = { first_token_seconds = 0.06 } }, \
                 { provider = 'two', model = 'mock-9tok-stall3' }]";
    let (one, two, providers) = two_fakes(route).await;
    let outcome = ask(&providers, request("r")).await;
    assert_eq!((outcome.provider.as_str(), outcome.texts.len()), ("two", 3));
    assert_eq!(outcome.error, Some(ProviderError::Timeout(TimeoutPhase::Idle)));
    until_nobody_is_connected(&one).await;
    until_nobody_is_connected(&two).await;
}

#[tokio::test]
async fn a_targets_total_hands_over_and_the_routes_total_ends_the_call() {
    let route = "targets = [{ provider = 'one', model = 'mock-hang', timeouts = { total_seconds = 0.06 } }, \
                 { provider = 'two', model = 'mock-1tok' }]";
    let (_one, _two, providers) = two_fakes(route).await;
    assert_eq!(ask(&providers, request("r")).await.provider, "two");
    let (_one, two, providers) =
        two_fakes(&format!("timeouts = {{ total_seconds = 0.06 }}\n{}", route.replace("0.06", "9"))).await;
    assert_eq!(ask(&providers, request("r")).await.error, Some(ProviderError::Timeout(TimeoutPhase::Total)));
    assert_eq!(two.chat_calls(), 0);
}

#[tokio::test]
async fn the_next_target_goes_on_with_a_text_that_broke_off() {
    let route = "continue = true\n".to_owned() + &targets(&[("one", "mock-9tok-cut3"), ("two", "mock-2tok")]);
    let (_one, two, providers) = two_fakes(&route).await;
    let asked = ChatRequest { max_tokens: Some(100), ..request("r") };
    let outcome = ask(&providers, asked).await;
    assert_eq!(outcome.text(), "word1 word2 word3word1 word2");
    assert_eq!((outcome.continued_by.as_slice(), outcome.error), (["two".to_owned()].as_slice(), None));
    assert_eq!(outcome.finish, Some(FinishReason::Stop));
    assert_eq!(outcome.usage, Some(TokenUsage::new(12, 2)), "of the second part alone");
    let body = two.requests().remove(0);
    let messages = body["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[1]["role"]), (3, &"assistant".into()));
    assert_eq!((&messages[1]["content"], &messages[2]["role"]), (&"word1 word2 word3".into(), &"user".into()));
    assert_eq!(body["max_tokens"], 95);
}

#[tokio::test]
async fn a_text_that_nobody_goes_on_with_ends_with_what_broke_it_off() {
    let route = "continue = true\n".to_owned() + &targets(&[("one", "mock-9tok-cut3"), ("two", "mock-err503")]);
    let (_one, two, providers) = two_fakes(&route).await;
    let outcome = ask(&providers, request("r")).await;
    assert_eq!((outcome.texts.len(), outcome.error), (3, Some(ProviderError::Cut)));
    assert_eq!(two.chat_calls(), 1);
}

#[tokio::test]
async fn every_target_of_a_route_may_go_on_with_a_text() {
    let three = [("one", "mock-9tok-cut2"), ("two", "mock-9tok-stall1"), ("one", "mock-1tok")];
    let route = "continue = true\ntimeouts = { idle_seconds = 0.06 }\n".to_owned() + &targets(&three);
    let (_one, _two, providers) = two_fakes(&route).await;
    let outcome = ask(&providers, request("r")).await;
    assert_eq!(outcome.text(), "word1 word2word1word1");
    assert_eq!(
        (outcome.continued_by.as_slice(), outcome.error),
        (["two".to_owned(), "one".to_owned()].as_slice(), None)
    );
}

#[tokio::test]
async fn without_the_option_a_text_that_broke_off_is_left() {
    let (_one, two, providers) = two_fakes(&targets(&[("one", "mock-9tok-cut3"), ("two", "mock-2tok")])).await;
    assert_eq!(ask(&providers, request("r")).await.error, Some(ProviderError::Cut));
    assert_eq!(two.chat_calls(), 0);
}

#[tokio::test]
async fn the_names_that_routes_answer_to_are_known() {
    let route = "aliases = ['z', 'a']\n".to_owned() + &targets(&[("one", "mock-1tok")]);
    let (_one, _two, providers) = two_fakes(&route).await;
    assert_eq!(providers.route_names(), ["a", "r", "z"]);
    assert!(providers.has_route("a") && !providers.has_route("one"));
}
