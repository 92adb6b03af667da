//! What Parlor does: one rule in one place, whichever surface asks. The first argument says who calls.

mod accounts;
mod administration;
mod api_keys;
mod caller;
pub mod chat;
mod conversations;
mod error;
mod files;
pub mod gateway;
mod health;
mod jobs;
mod jwt_crypto;
mod limits;
mod mail_links;
mod metering;
mod models;
mod moderation;
mod passwords;
mod personal_data;
mod preferences;
mod presence;
mod profiles;
mod revocation;
mod servers;
mod sessions;
mod shares;
mod threads;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub use accounts::{Login, PersonNames, Registration, Session};
pub use administration::{AccountChange, AccountFilter};
pub use api_keys::{ApiKeyRequest, IssuedApiKey};
pub use caller::Caller;
pub use conversations::{ConversationList, ConversationPage, ConversationWithMessages, ListConversations};
pub use error::{AppError, Limited, Noun, QuotaExceeded};
pub use files::{BrokenUpload, FileList};
pub use health::{Check, Health};
pub use jobs::JobFilter;
pub use limits::{Allowance, Requester};
pub use metering::{Estimate, QuotaStatus, Reservation, Spent, UsageReport};
pub use moderation::ModerationFilter;
pub use personal_data::{Person, PersonalData, PersonalDataPlace};
pub use preferences::Unnamed;
pub use presence::{Elsewhere, Heard};
pub use profiles::{ProfileRequest, Usage};
pub use shares::{Export, SharedConversation, SharedLink};
pub use threads::ThreadPage;

pub use crate::store::{
    AnswerTurn, ConversationChange, JobRecord, LedgerRow, ModerationEvent, ScheduleRecord, SessionRecord, Share,
    StoredToolCall, ThreadMessage, UsageSums,
};

use crate::blobs::Blobs;
use crate::config::Settings;
use crate::domain::Clock;
use crate::mail::Mailer;
use crate::moderation::Moderator;
use crate::mongo::Mongo;
use crate::providers::{Providers, Vision};
use crate::shared::{OpenDoors, Shared};
use crate::store::Db;
use crate::tools::Toolbox;
use chat::{Forwarders, LiveTurns};
use gateway::Gateway;
use mail_links::LINKS_AT_ONCE;
use metering::{Bills, Prices, Vocabularies};
use passwords::Passwords;
pub(crate) use passwords::is_known as is_known_hash;
use tokens::Tokens;

/// How long stopped turns get to store what was said.
const FLUSH: Duration = Duration::from_secs(5);

/// The application. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

/// What every part of the application works with. There is no global state beside it.
pub struct Inner {
    settings: Settings,
    db: Db,
    clock: Clock,
    providers: Providers,
    moderator: Moderator,
    toolbox: Toolbox,
    passwords: Passwords,
    tokens: Tokens,
    shared: Shared,
    prices: Prices,
    bills: Bills,
    vocabularies: Vocabularies,
    open_doors: OpenDoors,
    turns: LiveTurns,
    watch: servers::Watch,
    forwarders: Forwarders,
    presence: presence::Presence,
    gateway: Gateway,
    mailer: Mailer,
    mongo: Option<Mongo>,
    blobs: Blobs,
    uploads: files::Uploads,
    /// Bounds the files that wait in requests to providers.
    file_room: chat::FileRoom,
    /// Bounds the requests for links in mails.
    link_places: Arc<Semaphore>,
    /// The places for titles in the making.
    titles: Arc<Semaphore>,
    /// Everything that outlives the request it was begun by.
    tasks: TaskTracker,
    stopping: AtomicBool,
    started: std::time::Instant,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl App {
    /// Puts the parts together. The database is open and migrated.
    ///
    /// # Errors
    /// When the password hash, Redis' client, moderation, MongoDB's client, the mail server's or the bucket's refuses its settings.
    pub fn new(settings: Settings, db: Db, clock: Clock, providers: Providers) -> Result<Self, AppError> {
        let shared = Shared::from_settings(&settings.shared, &settings.security.secret_key)
            .map_err(|error| AppError::Internal(error.to_string()))?;
        Self::sharing(shared, settings, db, clock, providers)
    }

    /// As [`App::new`], with what it shares with other applications.
    ///
    /// # Errors
    /// As [`App::new`].
    #[allow(clippy::disallowed_methods, reason = "uptime is measured from here")]
    pub fn sharing(
        shared: Shared,
        settings: Settings,
        db: Db,
        clock: Clock,
        providers: Providers,
    ) -> Result<Self, AppError> {
        let vision = Vision::of(settings.chat.vision_models.clone());
        let toolbox = Toolbox::from_settings(&settings).map_err(|error| AppError::Internal(error.to_string()))?;
        let moderator = Moderator::from_settings(&settings, Arc::clone(&shared.cache), clock.clone())
            .map_err(|error| AppError::Internal(error.to_string()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                moderator,
                toolbox,
                passwords: Passwords::new(&settings.security)?,
                tokens: Tokens::new(&settings.security),
                shared,
                vocabularies: Vocabularies::default(),
                prices: Prices::new(&settings.metering, providers.is_mock())
                    .map_err(|error| AppError::Internal(format!("the built-in prices: {error}")))?,
                open_doors: OpenDoors::default(),
                turns: LiveTurns::new(settings.chat.max_running_turns),
                watch: servers::Watch::default(),
                forwarders: Forwarders::default(),
                presence: presence::Presence::default(),
                bills: Bills::default(),
                gateway: Gateway::new(settings.gateway.max_running_calls, clock.now()),
                mailer: Mailer::from_settings(&settings.mail).map_err(|error| AppError::Internal(error.to_string()))?,
                mongo: Mongo::from_settings(&settings.shared).map_err(|error| AppError::Internal(error.to_string()))?,
                blobs: Blobs::from_settings(&settings)?,
                uploads: files::Uploads::default(),
                file_room: chat::FileRoom::default(),
                link_places: Arc::new(Semaphore::new(LINKS_AT_ONCE)),
                titles: Arc::new(Semaphore::new(chat::TITLES_AT_ONCE)),
                tasks: TaskTracker::new(),
                stopping: AtomicBool::new(false),
                started: std::time::Instant::now(),
                settings,
                db,
                clock,
                providers: providers.with_vision(vision),
            }),
        })
    }

    /// The settings that it runs with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its database, for jobs and the command line.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// What it shares with other replicas.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// MongoDB, where it is configured.
    #[must_use]
    pub fn mongo(&self) -> Option<&Mongo> {
        self.mongo.as_ref()
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Refuses new turns from now on; those that run go on.
    pub fn begin_shutdown(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.tasks.close();
    }

    /// Whether new turns are refused.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Refuses new turns, waits up to `grace` for those that run, then stops the rest; what was said is stored.
    pub async fn drain(&self, grace: Duration) {
        self.begin_shutdown();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_ok() {
            return;
        }
        let interrupted = self.turns.interrupt_all();
        tracing::warn!(turns = interrupted, "turns still ran at the end of the grace period: interrupted");
        if tokio::time::timeout(FLUSH, self.tasks.wait()).await.is_err() {
            tracing::error!("some turns could not be stored in time; the next start marks them as interrupted");
        }
    }

    /// Signs off, finishes what the database has been given, and closes it.
    pub async fn close(&self) {
        self.toolbox.close().await;
        self.leave().await;
        if !self.db.is_shared() {
            return self.db.close().await;
        }
        // What was answered is committed there already.
        if tokio::time::timeout(FLUSH, self.db.close()).await.is_err() {
            tracing::warn!("the database's connections did not end in time");
        }
    }
}
