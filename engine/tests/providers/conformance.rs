//! What every protocol's adapter has to do alike, against the fake that speaks the same protocol.

use std::sync::Arc;

use bytes::Bytes;
use parlor_bench::fake::FakeUpstream;
use parlor_engine::config::ProviderSettings;
use parlor_engine::domain::{FinishReason, Role, TokenUsage};
use parlor_engine::providers::{
    ChatMessage, ChatRequest, Delta, Image, KeyRing, Provider, ProviderError, Providers, RetryClock, Tool, ToolCall,
    Vision, http,
};
use reqwest::Client;
use secrecy::SecretString;
use serde_json::json;

use crate::kit::{Outcome, TestClock, ask, request, settings};

/// Makes an adapter for a fake.
pub type Make = fn(&FakeUpstream, KeyRing, Client, Arc<dyn RetryClock>) -> Arc<dyn Provider>;

pub struct Fixture {
    pub fake: FakeUpstream,
    pub providers: Providers,
}

impl Fixture {
    pub async fn new(make: Make) -> Self {
        Self::with_keys(make, &["sk-test"]).await
    }

    pub async fn with_keys(make: Make, keys: &[&str]) -> Self {
        let fake = FakeUpstream::start().await;
        let clock = TestClock::new() as Arc<dyn RetryClock>;
        let settings = ProviderSettings { breaker_failures: 0, ..settings() };
        let keys: Vec<SecretString> = keys.iter().map(|key| SecretString::from(*key)).collect();
        let client = http::client(&settings).unwrap();
        let provider = make(&fake, KeyRing::new(&keys).unwrap(), client, Arc::clone(&clock));
        let providers = Providers::with(vec![provider], &settings, "mock-default", clock);
        let providers = providers.with_vision(Vision::of(vec!["*".to_owned()]));
        Self { fake, providers }
    }

    pub async fn ask(&self, model: &str, stream: bool) -> Outcome {
        ask(&self.providers, ChatRequest { stream, ..request(model) }).await
    }
}

pub fn weather() -> Tool {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    Tool { name: "weather".into(), description: "The weather of a city".into(), parameters }
}

/// A conversation with all that one can hold.
pub fn rich_request() -> ChatRequest {
    let call = ToolCall { id: "call_7".into(), name: "weather".into(), arguments: r#"{"city":"Ulm"}"#.into() };
    let images = vec![
        Image::Url("https://pictures.example/cat.png".into()),
        Image::Bytes { media_type: "image/png".into(), data: Bytes::from_static(b"\x89PNG") },
    ];
    ChatRequest {
        messages: vec![
            ChatMessage::text(Role::System, "be brief"),
            ChatMessage { images, ..ChatMessage::text(Role::User, "What is this?") },
            ChatMessage { tool_calls: vec![call], ..ChatMessage::text(Role::Assistant, "Let me see.") },
            ChatMessage { tool_call_id: Some("call_7".into()), ..ChatMessage::text(Role::Tool, "rain") },
        ],
        tools: vec![weather()],
        temperature: Some(0.5),
        max_tokens: Some(77),
        stream: false,
        ..request("mock-1tok")
    }
}

pub async fn says_the_same_streamed_and_whole(make: Make) {
    let fixture = Fixture::new(make).await;
    for stream in [true, false] {
        let outcome = fixture.ask("mock-3tok-cached", stream).await;
        assert_eq!(outcome.error, None);
        assert_eq!(outcome.text(), "word1 word2 word3");
        assert_eq!(outcome.texts.len(), if stream { 3 } else { 1 });
        assert_eq!(outcome.model, "mock-3tok-cached");
        assert_eq!(outcome.finish, Some(FinishReason::Stop));
        let usage = TokenUsage { prompt_tokens: 12, completion_tokens: 3, cached_tokens: 4 };
        assert_eq!(outcome.usage, Some(usage), "stream: {stream}");
        assert_eq!(fixture.ask("mock-1tok-nousage", stream).await.usage, None);
    }
    assert_eq!(fixture.fake.streams(), 2);
}

pub async fn tells_why_an_answer_ends(make: Make) {
    let fixture = Fixture::new(make).await;
    for stream in [true, false] {
        for (model, finish) in
            [("mock-1tok-length", FinishReason::Length), ("mock-1tok-filtered", FinishReason::ContentFilter)]
        {
            assert_eq!(fixture.ask(model, stream).await.finish, Some(finish), "{model}");
        }
    }
}

pub async fn calls_a_tool_and_hears_its_result(make: Make) {
    let fixture = Fixture::new(make).await;
    for stream in [true, false] {
        let asked = ChatRequest { tools: vec![weather()], stream, ..request("mock-2tok-tool") };
        let outcome = ask(&fixture.providers, asked.clone()).await;
        assert_eq!((outcome.finish, outcome.error), (Some(FinishReason::ToolCalls), None));
        assert!(outcome.usage.is_some());
        let mut call = ToolCall { id: String::new(), name: String::new(), arguments: String::new() };
        for piece in outcome.tool_calls {
            let Delta::ToolCall { index: 0, id, name, arguments } = piece else { panic!("{piece:?}") };
            call.id += &id.unwrap_or_default();
            call.name += &name.unwrap_or_default();
            call.arguments += &arguments;
        }
        assert_eq!((call.name.as_str(), call.arguments.as_str()), ("weather", r#"{"city":"Ulm"}"#));
        assert!(!call.id.is_empty());
        let mut asked = asked;
        let tool_call_id = Some(call.id.clone());
        asked.messages.extend([
            ChatMessage { tool_calls: vec![call], ..ChatMessage::text(Role::Assistant, "") },
            ChatMessage { tool_call_id, ..ChatMessage::text(Role::Tool, "rain") },
        ]);
        let outcome = ask(&fixture.providers, asked).await;
        assert_eq!((outcome.text().as_str(), outcome.finish), ("word1 word2", Some(FinishReason::Stop)));
    }
}

pub async fn knows_each_refusal(make: Make) {
    let fixture = Fixture::new(make).await;
    for (model, error) in [
        ("mock-err400", "provider_bad_request"),
        ("mock-err401", "provider_unauthorized"),
        ("mock-err403", "provider_unauthorized"),
        ("mock-err404", "unknown_model"),
        ("mock-err429-retryafter31", "provider_rate_limited"),
        ("mock-err500", "provider_unavailable"),
        ("mock-err503", "provider_unavailable"),
        ("mock-html", "provider_protocol"),
    ] {
        for stream in [true, false] {
            let error_code = fixture.ask(model, stream).await.error.map(|error| error.code());
            assert_eq!(error_code, Some(error), "{model} {stream}");
        }
    }
}

pub async fn takes_no_cut_for_an_end(make: Make) {
    let fixture = Fixture::new(make).await;
    for (model, words) in [("mock-9tok-cut3", 3), ("mock-3tok-nodone", 3), ("mock-9tok-cut0", 0)] {
        let outcome = fixture.ask(model, true).await;
        assert_eq!((outcome.texts.len(), outcome.finish), (words, None), "{model}");
        assert_eq!(outcome.error, Some(ProviderError::Cut), "{model}");
    }
    for model in ["mock-9tok-cut3", "mock-9tok-nodone"] {
        let outcome = fixture.ask(model, false).await;
        assert_eq!((outcome.finish, outcome.error), (None, Some(ProviderError::Cut)), "{model}");
    }
}

pub async fn reports_what_breaks_in_the_middle(make: Make) {
    let fixture = Fixture::new(make).await;
    let outcome = fixture.ask("mock-9tok-errobj2", true).await;
    assert_eq!((outcome.texts.len(), outcome.finish), (2, None));
    assert!(matches!(outcome.error, Some(ProviderError::Unavailable { .. })), "{:?}", outcome.error);
    for (model, words) in [("mock-9tok-badjson2", 1), ("mock-9tok-badutf82", 1), ("mock-hugeline", 0)] {
        let outcome = fixture.ask(model, true).await;
        assert_eq!((outcome.texts.len(), outcome.finish), (words, None), "{model}");
        assert!(matches!(outcome.error, Some(ProviderError::Protocol(_))), "{model}: {:?}", outcome.error);
    }
    let error = fixture.ask("mock-errobj2", false).await.error;
    assert!(matches!(error, Some(ProviderError::Unavailable { .. })), "{error:?}");
}

pub async fn puts_characters_together_that_come_in_pieces(make: Make) {
    let outcome = Fixture::new(make).await.ask("mock-2tok-utf8", true).await;
    assert_eq!((outcome.text().as_str(), outcome.error), ("żółć漢字🦀1 żółć漢字🦀2", None));
    let outcome = Fixture::new(make).await.ask("mock-2tok-drip0", true).await;
    assert_eq!((outcome.text().as_str(), outcome.error), ("word1 word2", None));
}

/// `header` is the one that the key stands in, and `before` what stands before it there.
pub async fn goes_to_the_next_key_when_one_is_refused(make: Make, header: &str, before: &str) {
    let fixture = Fixture::with_keys(make, &["key-refused", "key-good"]).await;
    for _ in 0..3 {
        assert_eq!(fixture.ask("mock-1tok", true).await.error, None);
        assert_eq!(fixture.fake.last_header(header), Some(format!("{before}key-good")));
    }
    assert_eq!(fixture.fake.requests().len(), 4);
    let fixture = Fixture::with_keys(make, &["key-refused"]).await;
    assert_eq!(fixture.ask("mock-1tok", true).await.error, Some(ProviderError::Unauthorized));
}
