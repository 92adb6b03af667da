//! Settings, a clock that does not wait, and requests in one line.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use parlor_bench::fake::FakeUpstream;
use parlor_engine::config::{
    AnthropicSettings, GeminiSettings, GroqSettings, OpenAiSettings, OpenRouterSettings, ProviderSettings,
};
use parlor_engine::domain::{FinishReason, Role, TokenUsage};
use parlor_engine::providers::{
    Answer, ChatMessage, ChatRequest, Delta, KeyRing, ModelNames, OpenAi, Provider, ProviderError, Providers,
    RetryClock, http,
};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

pub const COOLDOWN: Duration = Duration::from_secs(30);

/// Nobody listens there: the port is reserved (RFC 6335, port 1 is TCPMUX, on no machine of ours).
pub const DEAD: &str = "http://127.0.0.1:1/v1";

/// No keys; limits that no healthy answer reaches.
pub fn settings() -> ProviderSettings {
    let limit = Duration::from_secs(20);
    ProviderSettings {
        openai: OpenAiSettings { api_key: None, base_url: DEAD.into() },
        openrouter: OpenRouterSettings { api_keys: Vec::new(), base_url: DEAD.into(), site_url: None, app_name: None },
        anthropic: AnthropicSettings { api_key: None, base_url: DEAD.into() },
        groq: GroqSettings { api_key: None, base_url: DEAD.into() },
        gemini: GeminiSettings { api_key: None, base_url: DEAD.into() },
        endpoint: None,
        upstreams: Vec::new(),
        routes: BTreeMap::new(),
        connect_timeout: limit,
        first_token_timeout: limit,
        whole_timeout: limit,
        idle_timeout: limit,
        total_timeout: limit * 3,
        max_retries: 2,
        retry_share: 1.0,
        breaker_failures: 5,
        breaker_cooldown: COOLDOWN,
    }
}

/// A clock whose waits are over at once: they are noted, and move it.
pub struct TestClock {
    start: Instant,
    jitter: f64,
    state: Mutex<(Duration, Vec<Duration>)>,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        Self::with_jitter(1.0)
    }

    pub fn with_jitter(jitter: f64) -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), jitter, state: Mutex::default() })
    }

    pub fn advance(&self, by: Duration) {
        self.state.lock().unwrap().0 += by;
    }

    pub fn waits(&self) -> Vec<Duration> {
        self.state.lock().unwrap().1.clone()
    }
}

impl RetryClock for TestClock {
    fn now(&self) -> Instant {
        self.start + self.state.lock().unwrap().0
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.state.lock().unwrap();
        state.0 += duration;
        state.1.push(duration);
        futures_util::future::ready(()).boxed()
    }

    fn jitter(&self) -> f64 {
        self.jitter
    }
}

/// Providers of these names under these base URLs, each with one key.
pub fn providers(targets: &[(&str, &str)], settings: &ProviderSettings, clock: &Arc<TestClock>) -> Providers {
    let client = http::client(settings).unwrap();
    let provider = |(name, url): &(&str, &str)| {
        let keys = KeyRing::new([&SecretString::from("sk-test")]).unwrap();
        let clock = Arc::clone(clock) as Arc<dyn RetryClock>;
        let provider = OpenAi::new(*name, url, keys, ModelNames::AsIs, client.clone(), clock).unwrap();
        Arc::new(provider) as Arc<dyn Provider>
    };
    let targets = targets.iter().map(provider).collect();
    Providers::with(targets, settings, "mock-default", Arc::clone(clock) as Arc<dyn RetryClock>)
}

/// One fake provider and the way to it.
pub struct Fixture {
    pub fake: FakeUpstream,
    pub clock: Arc<TestClock>,
    pub providers: Providers,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with(settings()).await
    }

    pub async fn with(settings: ProviderSettings) -> Self {
        let fake = FakeUpstream::start().await;
        let clock = TestClock::new();
        let providers = providers(&[("fake", &fake.base_url())], &settings, &clock);
        Self { fake, clock, providers }
    }

    pub async fn ask(&self, model: &str) -> Outcome {
        ask(&self.providers, request(model)).await
    }

    /// Waits until the fake has no call under way.
    pub async fn until_nobody_is_connected(&self) {
        let wait = async {
            while self.fake.open() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the connection is dropped");
    }
}

pub fn request(model: &str) -> ChatRequest {
    ChatRequest {
        model: model.into(),
        messages: vec![ChatMessage::text(Role::User, "Hello there")],
        stream: true,
        ..ChatRequest::default()
    }
}

/// The models that a fake was asked for.
pub fn models_asked(fake: &FakeUpstream) -> Vec<String> {
    fake.requests().iter().filter_map(|body| body["model"].as_str().map(str::to_owned)).collect()
}

/// What came of a call.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub provider: String,
    pub model: String,
    pub texts: Vec<String>,
    pub finish: Option<FinishReason>,
    pub usage: Option<TokenUsage>,
    /// In millionths of a US dollar.
    pub cost: Option<u64>,
    /// The providers that went on with it.
    pub continued_by: Vec<String>,
    /// The pieces of calls, as they came.
    pub tool_calls: Vec<Delta>,
    pub error: Option<ProviderError>,
}

impl Outcome {
    pub fn text(&self) -> String {
        self.texts.concat()
    }
}

pub async fn ask(providers: &Providers, request: ChatRequest) -> Outcome {
    match providers.chat(request).await {
        Ok(answer) => read(answer).await,
        Err(error) => Outcome { error: Some(error), ..Outcome::default() },
    }
}

pub async fn read(mut answer: Answer) -> Outcome {
    let mut outcome = Outcome { provider: answer.provider, model: answer.model, ..Outcome::default() };
    while let Some(delta) = answer.deltas.next().await {
        assert_eq!(outcome.error, None, "nothing follows an error");
        match delta {
            Ok(Delta::Text(text)) => {
                assert_eq!(outcome.finish, None, "no text follows the finish");
                outcome.texts.push(text);
            }
            Ok(Delta::Finish(reason)) => assert_eq!(outcome.finish.replace(reason), None, "one finish"),
            Ok(Delta::Usage(usage)) => outcome.usage = Some(usage),
            Ok(Delta::Model(_)) => {}
            Ok(Delta::Continued { provider, .. }) => outcome.continued_by.push(provider),
            Ok(Delta::Cost(micros)) => outcome.cost = Some(micros),
            Ok(delta @ Delta::ToolCall { .. }) => outcome.tool_calls.push(delta),
            Err(error) => outcome.error = Some(error),
        }
    }
    outcome
}

/// A server that reads a request and answers with these bytes, again and again; with `hold` it
/// keeps each connection open afterwards. Its base URL.
pub async fn canned(response: impl Into<Vec<u8>>, hold: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let response = response.into();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 65_536];
            let mut length = 0;
            while !request[..length].ends_with(b"}") {
                match socket.read(&mut request[length..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(more) => length += more,
                }
            }
            // A client that went away is its own business.
            let _ = socket.write_all(&response).await;
            if hold {
                held.push(socket);
            }
        }
    });
    format!("http://{address}/v1")
}

/// A response with a length.
pub fn response(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// An event stream that ends with the connection.
pub fn events(data: &[&str]) -> String {
    let events: String = data.iter().map(|data| format!("data: {data}\n\n")).collect();
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}")
}
