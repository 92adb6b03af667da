use parlor_bench::fake::FakeUpstream;
use parlor_engine::config::ProviderSettings;
use parlor_engine::domain::FinishReason;
use parlor_engine::providers::{BreakerState, ChatRequest, ProviderError, Providers};
use secrecy::SecretString;
use serde_json::Value;

use crate::kit::{DEAD, TestClock, ask, canned, models_asked, providers, request, response, settings};

fn key(text: &str) -> SecretString {
    SecretString::from(text)
}

#[tokio::test]
async fn when_the_first_provider_is_down_the_next_one_answers() {
    let fake = FakeUpstream::start().await;
    let providers = providers(&[("first", DEAD), ("second", &fake.base_url())], &settings(), &TestClock::new());
    let outcome = ask(&providers, request("mock-2tok")).await;
    assert_eq!((outcome.provider.as_str(), outcome.texts.len(), outcome.error), ("second", 2, None));
    assert_eq!(providers.states()[0].last_error, Some("provider_unreachable"));
}

#[tokio::test]
async fn a_limited_or_unauthorized_provider_hands_over_without_waiting() {
    for status in ["429 Too Many Requests", "401 Unauthorized", "404 Not Found"] {
        let refusing = canned(response(&format!("{status}\r\nretry-after: 5"), "{}"), false).await;
        let fake = FakeUpstream::start().await;
        let clock = TestClock::new();
        let providers = providers(&[("first", &refusing), ("second", &fake.base_url())], &settings(), &clock);
        assert_eq!(ask(&providers, request("mock-2tok")).await.provider, "second", "{status}");
        assert!(clock.waits().is_empty());
    }
}

#[tokio::test]
async fn a_bad_request_is_not_carried_to_the_next_provider() {
    let refusing = canned(response("400 Bad Request", "{}"), false).await;
    let fake = FakeUpstream::start().await;
    let targets = [("first", refusing.as_str()), ("second", &fake.base_url())];
    let providers = providers(&targets, &settings(), &TestClock::new());
    let outcome = ask(&providers, request("mock-2tok")).await;
    assert_eq!(outcome.error, Some(ProviderError::bad_request(400)));
    assert_eq!(fake.chat_calls(), 0);
}

#[tokio::test]
async fn when_all_fail_the_first_has_the_say() {
    let fake = FakeUpstream::start().await;
    let providers = providers(&[("first", DEAD), ("second", &fake.base_url())], &settings(), &TestClock::new());
    assert_eq!(ask(&providers, request("mock-err503")).await.error, Some(ProviderError::Connect));
}

#[tokio::test]
async fn a_name_with_a_provider_in_front_picks_it() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let targets = [("first", first.base_url()), ("second", second.base_url())];
    let targets = targets.each_ref().map(|(name, url)| (*name, url.as_str()));
    let providers = providers(&targets, &settings(), &TestClock::new());
    assert_eq!(ask(&providers, request("second/mock-2tok")).await.provider, "second");
    assert_eq!(models_asked(&second), ["mock-2tok"]);
    assert_eq!(ask(&providers, request("somebody/mock-2tok")).await.provider, "first");
    assert_eq!(models_asked(&first), ["somebody/mock-2tok"]);
}

#[tokio::test]
async fn configured_providers_are_asked_in_order_under_their_own_model_names() {
    let fakes: Vec<FakeUpstream> = futures_util::future::join_all((0..5).map(|_| FakeUpstream::start())).await;
    let mut settings = ProviderSettings { max_retries: 0, ..settings() };
    settings.openai.api_key = Some(key("sk-openai"));
    settings.openai.base_url = canned(response("503 Service Unavailable", "{}"), false).await;
    settings.openrouter.api_keys = vec![key("sk-or-1"), key("sk-or-2")];
    settings.openrouter.base_url = fakes[0].base_url();
    settings.openrouter.site_url = Some("https://chat.example".to_owned());
    settings.openrouter.app_name = Some("Our chat".to_owned());
    settings.anthropic.api_key = Some(key("sk-ant"));
    settings.anthropic.base_url = fakes[3].base_url();
    settings.groq.api_key = Some(key("gsk"));
    settings.groq.base_url = fakes[1].base_url();
    settings.gemini.api_key = Some(key("gem"));
    settings.gemini.base_url = fakes[4].gemini_base_url();
    settings.endpoint = Some(fakes[2].base_url());
    let providers = Providers::from_settings(&settings, "gpt-4o-mini").unwrap();
    assert!(!providers.is_mock());
    let names: Vec<String> = providers.states().into_iter().map(|state| state.name).collect();
    assert_eq!(names, ["openai", "openrouter", "anthropic", "groq", "gemini", "endpoint"]);

    assert_eq!(ask(&providers, request("")).await.provider, "openrouter");
    assert_eq!(models_asked(&fakes[0]), ["openai/gpt-4o-mini"]);
    let header = |name| fakes[0].last_header(name);
    let attribution = [Some("https://chat.example".to_owned()), Some("Our chat".to_owned())];
    assert_eq!([header("http-referer"), header("x-title")], attribution);
    assert_eq!(ask(&providers, request("anthropic/gpt-4o-mini")).await.model, "claude-sonnet-4-6");
    assert_eq!(fakes[3].last_header("x-api-key").as_deref(), Some("sk-ant"));
    assert_eq!(ask(&providers, request("gemini/gpt-4o-mini")).await.model, "gemini-3.5-flash-lite");
    assert_eq!(fakes[4].last_header("x-goog-api-key").as_deref(), Some("gem"));
    assert_eq!(ask(&providers, request("groq/gpt-4o-mini")).await.provider, "groq");
    assert_eq!(models_asked(&fakes[1]), ["openai/gpt-oss-120b"]);
    assert_eq!(ask(&providers, request("endpoint/any")).await.provider, "endpoint");
    assert_eq!(fakes[2].last_authorization(), None);
}

#[tokio::test]
async fn an_address_tells_which_protocol_is_spoken_there() {
    let fake = FakeUpstream::start().await;
    let mut settings = settings();
    settings.openai.api_key = Some(key("sk-openai"));
    settings.openai.base_url = format!("{}/responses", fake.base_url());
    settings.gemini.api_key = Some(key("gem"));
    settings.gemini.base_url = format!("{DEAD}/openai");
    settings.endpoint = Some(format!("{}/responses/", fake.base_url()));
    let providers = Providers::from_settings(&settings, "mock-1tok").unwrap();
    for name in ["openai", "endpoint"] {
        assert_eq!(ask(&providers, request(&format!("{name}/mock-1tok"))).await.error, None);
        assert!(fake.requests().last().unwrap()["input"].is_array());
    }
    assert_eq!(ask(&providers, request("gemini/x")).await.error, Some(ProviderError::Connect));
}

#[tokio::test]
async fn the_keys_of_one_provider_are_used_in_turn() {
    let fake = FakeUpstream::start().await;
    let mut settings = settings();
    settings.openrouter.api_keys = vec![key("one"), key("two")];
    settings.openrouter.base_url = fake.base_url();
    let providers = Providers::from_settings(&settings, "mock-1tok").unwrap();
    let mut used = Vec::new();
    for _ in 0..4 {
        assert_eq!(ask(&providers, request("")).await.error, None);
        used.extend(fake.last_authorization());
    }
    assert_eq!(used, ["Bearer one", "Bearer two", "Bearer one", "Bearer two"]);
}

#[tokio::test]
async fn a_refused_key_gives_way_to_the_next_and_rests() {
    let fake = FakeUpstream::start().await;
    let mut settings = ProviderSettings { max_retries: 0, ..settings() };
    settings.openrouter.api_keys = vec![key("one"), key("two"), key("three")];
    settings.openrouter.base_url = fake.base_url();
    let providers = Providers::from_settings(&settings, "mock-1tok").unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&providers, request("mock-err401")).await.error, Some(ProviderError::Unauthorized));
        assert_eq!(fake.chat_calls(), 3);
    }
}

#[tokio::test]
async fn reasoning_models_get_the_parameters_that_they_take() {
    let fake = FakeUpstream::start().await;
    let mut settings = settings();
    settings.openai.api_key = Some(key("sk"));
    settings.openai.base_url = fake.base_url();
    let providers = Providers::from_settings(&settings, "gpt-4o-mini").unwrap();
    let asked = ChatRequest { max_tokens: Some(9), temperature: Some(0.1), ..request("o3-mini") };
    assert_eq!(ask(&providers, asked).await.error, None);
    let body = fake.requests().remove(0);
    assert_eq!(
        (&body["max_completion_tokens"], &body["max_tokens"], &body["temperature"]),
        (&9.into(), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn without_any_key_the_mock_answers() {
    let providers = Providers::from_settings(&settings(), "gpt-4o-mini").unwrap();
    assert!(providers.is_mock());
    let outcome = ask(&providers, request("")).await;
    assert_eq!((outcome.provider.as_str(), outcome.model.as_str()), ("mock", "mock"));
    assert_eq!(outcome.finish, Some(FinishReason::Stop));
    assert!(outcome.text().contains("\"Hello there\"") && outcome.usage.is_some());
    assert_eq!(ask(&providers, request("mock-cut")).await.error, Some(ProviderError::Cut));
    assert_eq!(providers.states()[0].state, BreakerState::Closed);
}

#[tokio::test]
async fn a_mock_that_is_told_to_fail_goes_on_answering_others() {
    let settings = ProviderSettings { max_retries: 0, breaker_failures: 1, ..settings() };
    let providers = Providers::from_settings(&settings, "mock").unwrap();
    let failed = ask(&providers, request("mock-fail")).await;
    assert_eq!(failed.error, Some(ProviderError::Unavailable { status: 503 }));
    assert_eq!(ask(&providers, request("")).await.error, None);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_without_showing_a_key() {
    let mut settings = settings();
    settings.openai.api_key = Some(key("sk-secret"));
    settings.openai.base_url = "https://user:sk-secret@example.com".into();
    let error = Providers::from_settings(&settings, "m").err().unwrap();
    assert!(matches!(error, ProviderError::Settings(_)));
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn a_plain_generate_endpoint_answers_too() {
    let json = "200 OK\r\ncontent-type: application/json";
    let base_url = canned(response(json, r#"{"generated_text": "Good day"}"#), false).await;
    let endpoint = base_url.replace("/v1", "/generate");
    let settings = ProviderSettings { endpoint: Some(endpoint), ..settings() };
    let providers = Providers::from_settings(&settings, "gpt-4o-mini").unwrap();
    let outcome = ask(&providers, request("")).await;
    assert_eq!((outcome.provider.as_str(), outcome.text().as_str()), ("endpoint", "Good day"));
    assert_eq!((outcome.finish, outcome.usage), (Some(FinishReason::Stop), None));
}
