//! An empty database, and what fills it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parlor_engine::config::{DatabaseUrl, Settings};
use parlor_engine::domain::{
    Account, AccountId, AccountRole, Attachments, ConversationId, Email, FinishReason, GuestKey, GuestRealm,
    IdempotencyKey, LedgerKind, Timestamp, TokenUsage, TurnState,
};
use parlor_engine::store::{
    Begun, Branch, Column, Db, FinishTurn, LedgerEntry, NewAccount, NewTurn, OpenAs, Opened, StoreError,
};
use tempfile::TempDir;

use crate::database::with_database;

/// Runs each of the named tests once on every database.
macro_rules! on_every_database {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(crate::kit::Fixture::sqlite().await).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test]
                #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
                async fn $name() {
                    crate::kit::on_server("PARLOR_TEST_POSTGRES_URL", super::$name).await;
                }
            )+
        }
        mod mysql {
            $(
                #[tokio::test]
                #[ignore = "needs PARLOR_TEST_MYSQL_URL"]
                async fn $name() {
                    crate::kit::on_server("PARLOR_TEST_MYSQL_URL", super::$name).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_database;

/// Runs a test on a database of its own on the server that the environment variable names.
pub async fn on_server<F: Future<Output = ()>>(variable: &str, test: impl FnOnce(Fixture) -> F) {
    let run = |url: String| async move {
        let fixture = Fixture::open(&url).await;
        let db = fixture.db.clone();
        test(fixture).await;
        db.close().await;
    };
    with_database(variable, run).await;
}

/// An empty database with its schema, thrown away in the end.
pub struct Fixture {
    pub db: Db,
    pub settings: Settings,
    conversations: AtomicI64,
    folder: TempDir,
}

/// A database that nobody has open.
pub struct Stopped {
    pub settings: Settings,
    pub folder: TempDir,
}

impl Stopped {
    pub async fn start(self) -> Fixture {
        let fixture = Fixture::with(self.settings, self.folder).await;
        // Those that the database may hold already are passed over.
        fixture.conversations.store(2_000_000_000_000_000, Ordering::SeqCst);
        fixture
    }
}

impl Fixture {
    /// SQLite, in a folder of its own.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::with(Settings::for_tests(folder.path()), folder).await
    }

    /// A database of a server's.
    async fn open(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::for_tests(folder.path());
        settings.database.url = DatabaseUrl::parse(url, None).unwrap();
        Self::with(settings, folder).await
    }

    async fn with(settings: Settings, folder: TempDir) -> Self {
        let db = Db::open(&settings.database, OpenAs::Server).unwrap();
        db.migrate(at(0)).await.unwrap();
        Self { db, settings, conversations: AtomicI64::new(1_000_000_000_000_000), folder }
    }

    /// Closes it, and keeps what is in it.
    pub async fn stop(self) -> Stopped {
        self.db.close().await;
        Stopped { settings: self.settings, folder: self.folder }
    }

    pub async fn account(&self, email: &str) -> Account {
        self.db.insert_account(new_account(email), at(1)).await.unwrap()
    }

    pub async fn guest(&self, name: &str) -> Account {
        let key = GuestKey::parse(name).unwrap();
        self.db.guest_or_insert(GuestRealm::Classic, key, at(1)).await.unwrap()
    }

    pub fn next_conversation(&self) -> ConversationId {
        ConversationId::new(self.conversations.fetch_add(1, Ordering::SeqCst)).unwrap()
    }

    pub fn new_turn(&self, owner: AccountId, conversation_id: Option<ConversationId>, text: &str) -> NewTurn {
        NewTurn {
            account_id: owner,
            conversation_id,
            branch: Branch::Head,
            new_conversation_id: self.next_conversation(),
            text: text.to_owned(),
            attachments: Attachments::default(),
            client_id: None,
            model: "gpt-4o-mini".to_owned(),
            idempotency: None,
            key_expires_at: at(1_000),
            quota: None,
            now: at(10),
        }
    }

    pub async fn begin(&self, owner: AccountId, conversation_id: Option<ConversationId>, text: &str) -> Opened {
        self.begin_at(owner, conversation_id, text, 10).await
    }

    pub async fn begin_at(&self, owner: AccountId, to: Option<ConversationId>, text: &str, now: i64) -> Opened {
        let new = NewTurn { now: at(now), ..self.new_turn(owner, to, text) };
        opened(self.db.begin_turn(new).await.unwrap())
    }

    /// A message and its answer.
    pub async fn exchange(
        &self,
        owner: AccountId,
        conversation_id: Option<ConversationId>,
        question: &str,
        answer: &str,
    ) -> Opened {
        let turn = self.begin(owner, conversation_id, question).await;
        assert!(self.db.finish_turn(end(turn, owner, answer)).await.unwrap());
        turn
    }

    /// The first column of the first row.
    pub async fn value<T: Column + Send + 'static>(&self, sql: &'static str) -> T {
        let read = self.db.read(move |tx| Box::pin(async move { tx.fetch_optional(sql, &[], |row| row.get(0)).await }));
        read.await.unwrap().unwrap()
    }

    /// The first column of all rows.
    pub async fn values(&self, sql: &'static str) -> Vec<String> {
        let read = self.db.read(move |tx| Box::pin(async move { tx.fetch(sql, &[], |row| row.get(0)).await }));
        read.await.unwrap()
    }

    pub async fn execute(&self, sql: &'static str) -> Result<u64, StoreError> {
        self.db.write(move |tx| Box::pin(async move { tx.execute(sql, &[]).await })).await
    }
}

/// That many seconds after the epoch.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(0).plus(Duration::from_secs(u64::try_from(seconds).unwrap()))
}

pub fn new_account(email: &str) -> NewAccount {
    NewAccount {
        role: AccountRole::User,
        email: Some(Email::parse(email).unwrap()),
        username: None,
        first_name: None,
        last_name: None,
        password_hash: "hash".to_owned(),
    }
}

pub fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

pub fn opened(begun: Begun) -> Opened {
    match begun {
        Begun::Opened(opened) => opened,
        other => panic!("no turn was begun: {other:?}"),
    }
}

/// A whole answer with its bill.
pub fn end(turn: Opened, owner: AccountId, content: &str) -> FinishTurn {
    FinishTurn {
        turn_id: turn.turn_id,
        conversation_id: turn.conversation_id,
        answer_id: turn.answer_id,
        state: TurnState::Complete,
        content: content.to_owned(),
        chunk_ends: vec![1, 2, 0, 255],
        finish_reason: FinishReason::Stop,
        error_code: None,
        elapsed_ms: 1500,
        first_token_ms: Some(200),
        ledger: Some(LedgerEntry {
            account_id: owner,
            api_key_id: None,
            kind: LedgerKind::Chat,
            provider: "openai".to_owned(),
            model: "gpt-4o-mini-2024".to_owned(),
            usage: TokenUsage::new(11, 7),
            is_estimated: false,
            cost_micros: Some(6),
            at: at(10),
        }),
        parts: Vec::new(),
        retries: Vec::new(),
        reserved: None,
        now: at(12),
    }
}
