//! An application over a real database, and a provider that says what the test says.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use parlor_engine::app::chat::{Ending, Event, OnFailure, SendMessage, TurnHandle};
use parlor_engine::app::{App, AppError, Caller};
use parlor_engine::config::{DatabaseUrl, Settings};
use parlor_engine::domain::{Clock, ConversationId, FinishReason, GuestRealm, MessageId, TokenUsage};
use parlor_engine::providers::{
    ChatRequest, Delta, DeltaStream, Provider, ProviderError, Providers, RetryClock, SystemClock,
};
use parlor_engine::shared::Shared;
use parlor_engine::store::{Db, OpenAs, TurnRecord};
use tempfile::TempDir;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Long enough for a loaded machine; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must come.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("what the test waits for never came")
}

/// A provider whose every call waits for its test.
struct Gate {
    calls: UnboundedSender<Call>,
}

/// A call that the provider has got. Dropping it ends the answer without a word of why.
pub struct Call {
    pub request: ChatRequest,
    say: UnboundedSender<Step>,
}

enum Step {
    Delta(Result<Delta, ProviderError>),
    Panic,
}

impl Call {
    pub fn say(&self, text: &str) {
        // A turn that has been stopped listens no more.
        let _ = self.say.send(Step::Delta(Ok(Delta::Text(text.to_owned()))));
    }

    pub fn tell(&self, delta: Delta) {
        let _ = self.say.send(Step::Delta(Ok(delta)));
    }

    pub fn fail(&self, error: ProviderError) {
        let _ = self.say.send(Step::Delta(Err(error)));
    }

    pub fn panic(&self) {
        let _ = self.say.send(Step::Panic);
    }

    /// Ends the answer with the provider's own count of its tokens.
    pub fn finish(self) {
        let usage = TokenUsage::new(11, 7);
        let _ = self.say.send(Step::Delta(Ok(Delta::Usage(usage))));
        let _ = self.say.send(Step::Delta(Ok(Delta::Finish(FinishReason::Stop))));
    }

    /// Waits until the provider's connection is dropped.
    pub async fn dropped(&self) {
        soon(self.say.closed()).await;
    }
}

impl Provider for Gate {
    fn name(&self) -> &str {
        "gate"
    }

    fn chat<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<DeltaStream, ProviderError>> {
        let (say, mut said) = mpsc::unbounded_channel();
        self.calls.send(Call { request: request.clone(), say }).unwrap();
        let deltas = futures_util::stream::poll_fn(move |cx| said.poll_recv(cx)).map(|step| match step {
            Step::Delta(delta) => delta,
            Step::Panic => panic!("a provider panics on purpose"),
        });
        async move { Ok(deltas.boxed()) }.boxed()
    }
}

/// An application and the other end of its provider.
pub struct Fixture {
    pub app: App,
    pub caller: Caller,
    calls: Mutex<UnboundedReceiver<Call>>,
    settings: Settings,
    shared: Shared,
    folder: Arc<TempDir>,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::at(Clock::System, change).await
    }

    /// As [`Fixture::with`], at the time that the clock shows.
    pub async fn at(clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let mut settings = Settings::for_tests(folder.path());
        settings.providers.max_retries = 0;
        settings.providers.breaker_failures = 0;
        // Longer than any test waits: what ends must have been ended.
        let long = PATIENCE * 10;
        settings.providers.first_token_timeout = long;
        settings.providers.idle_timeout = long;
        settings.providers.total_timeout = long;
        settings.chat.models = vec!["*".to_owned()];
        change(&mut settings);
        let shared = Shared::from_settings(&settings.shared, &settings.security.secret_key).unwrap();
        Self::open(shared, folder, settings, clock).await
    }

    async fn open(shared: Shared, folder: Arc<TempDir>, settings: Settings, clock: Clock) -> Self {
        let db = Db::open(&settings.database, OpenAs::Server).unwrap();
        db.migrate(Clock::System.now()).await.unwrap();
        Self::over(db, shared, folder, settings, clock).await
    }

    async fn over(db: Db, shared: Shared, folder: Arc<TempDir>, settings: Settings, clock: Clock) -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let gate: Arc<dyn Provider> = Arc::new(Gate { calls: sender });
        let retry_clock: Arc<dyn RetryClock> = Arc::new(SystemClock);
        let providers = Providers::with(vec![gate], &settings.providers, &settings.chat.model, retry_clock);
        let app = App::sharing(shared.clone(), settings.clone(), db, clock, providers).unwrap();
        let caller = app.guest(GuestRealm::Classic, "alice").await.unwrap();
        Self { app, caller, calls: Mutex::new(calls), settings, shared, folder }
    }

    /// An application over a database server.
    pub async fn at_url(url: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let url = DatabaseUrl::parse(url, None).unwrap();
        let fixture = Self::with(|settings| {
            settings.database.url = url;
            change(settings);
        });
        fixture.await
    }

    /// Another application over the same database server, beside this one, with a share of its own in what servers share.
    pub async fn beside(&self) -> Self {
        let shared = Shared::from_settings(&self.settings.shared, &self.settings.security.secret_key).unwrap();
        Self::open(shared, Arc::clone(&self.folder), self.settings.clone(), self.app.clock().clone()).await
    }

    /// As [`Fixture::beside`], on the bus of this process.
    pub async fn beside_on_one_bus(&self) -> Self {
        let shared = self.shared.clone();
        Self::open(shared, Arc::clone(&self.folder), self.settings.clone(), self.app.clock().clone()).await
    }

    /// Another application over the same data, as after a crash: it knows nothing of the turns that this one left open. The lock of the
    /// file passes on with the database.
    pub async fn after_a_crash(&self) -> Self {
        let (folder, clock) = (Arc::clone(&self.folder), self.app.clock().clone());
        Self::over(self.app.db().clone(), self.shared.clone(), folder, self.settings.clone(), clock).await
    }

    /// The next call that the provider gets.
    pub async fn call(&self) -> Call {
        let next = std::future::poll_fn(|cx| self.calls.lock().unwrap().poll_recv(cx));
        soon(next).await.expect("the provider is still there")
    }

    /// Whether the provider has been called since the last [`Fixture::call`].
    pub fn was_called(&self) -> bool {
        !self.calls.lock().unwrap().is_empty()
    }

    pub async fn send(&self, text: &str) -> TurnHandle {
        self.send_as(message(text)).await.unwrap()
    }

    pub async fn send_to(&self, conversation: ConversationId, text: &str) -> TurnHandle {
        self.send_as(SendMessage { conversation_id: Some(conversation), ..message(text) }).await.unwrap()
    }

    pub async fn send_as(&self, message: SendMessage) -> Result<TurnHandle, AppError> {
        self.app.send_message(&self.caller, message).await
    }

    /// A finished exchange.
    pub async fn exchange(&self, conversation: Option<ConversationId>, question: &str, answer: &str) -> TurnHandle {
        let turn = self.send_as(SendMessage { conversation_id: conversation, ..message(question) }).await.unwrap();
        let call = self.call().await;
        call.say(answer);
        call.finish();
        soon(turn.ending()).await;
        turn
    }

    /// What the database holds of a turn.
    pub async fn stored(&self, answer: MessageId) -> TurnRecord {
        self.app.db().turn_of_owner(answer, self.caller.id()).await.unwrap().unwrap()
    }

    /// Waits until the database holds that much of an answer.
    pub async fn until_stored(&self, answer: MessageId, content: &str) -> TurnRecord {
        let wait = async {
            loop {
                let record = self.stored(answer).await;
                if record.content == content {
                    return record;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(wait).await
    }

    /// The bills: provider, model, prompt tokens, completion tokens, whether estimated.
    pub async fn ledger(&self) -> Vec<(String, String, i64, i64, bool)> {
        let sql =
            "SELECT provider, model, prompt_tokens, completion_tokens, is_estimated FROM usage_ledger ORDER BY id";
        let read = self.app.db().read(move |tx| {
            Box::pin(async move {
                tx.fetch(sql, &[], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get::<i64>(4)? == 1))
                })
                .await
            })
        });
        read.await.unwrap()
    }

    /// One number.
    pub async fn number(&self, sql: &'static str) -> i64 {
        let read = self
            .app
            .db()
            .read(move |tx| Box::pin(async move { tx.fetch_optional(sql, &[], |row| row.get::<i64>(0)).await }));
        read.await.unwrap().unwrap()
    }
}

pub fn message(text: &str) -> SendMessage {
    SendMessage {
        attachments: Vec::new(),
        client_id: None,
        conversation_id: None,
        text: text.to_owned(),
        model: None,
        language: None,
        idempotency_key: None,
        stream: true,
        on_failure: OnFailure::Fail,
    }
}

/// All events after number `after`, to the end.
pub async fn events(turn: &TurnHandle, after: u64) -> Vec<(u64, Event)> {
    let mut follower = turn.follow(after);
    let mut events = Vec::new();
    while let Some(event) = soon(follower.next()).await {
        events.push(event);
    }
    events
}

/// The text of the chunks.
pub fn text_of(events: &[(u64, Event)]) -> String {
    let text = |(_, event): &(u64, Event)| match event {
        Event::Chunk { content } => Some(content.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

/// The end, which stands last.
pub fn end_of(events: &[(u64, Event)]) -> Arc<Ending> {
    match events.last() {
        Some((_, Event::End(ending))) => Arc::clone(ending),
        other => panic!("the last event is no end: {other:?}"),
    }
}
