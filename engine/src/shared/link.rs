//! The way to Redis, and the breaker around it: whoever asks gets an answer or `None` within a bounded time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ProtocolVersion, PushInfo, RedisResult,
    TlsCertificates,
};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::look::look_closer;
use super::reason::Reason;
use super::troubles::{Told, Troubles};
use crate::config::{SharedSettings, parse_redis_url, read_certificates};

/// The longest wait for Redis' answer, a connection's included.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a Redis that failed is tried again, beside the requests.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The purpose of the connection that hears other processes.
const HEAR: &str = "hear";

/// Settings with which Redis cannot be asked. It shows no part of the URL.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The URL.
    #[error("REDIS_URL: expected {0}")]
    Url(String),
    /// The certificates.
    #[error("REDIS_SSL_CA: {0}")]
    Certificate(String),
    /// Both together.
    #[error("REDIS_URL and REDIS_SSL_CA cannot be used")]
    Client,
}

/// How Redis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// It does what it is asked.
    Up,
    /// It does not, or not all of it.
    Down,
    /// It is not configured.
    Off,
}

/// Connections to one Redis. After a failure it is left alone until a probe beside the requests has found it again, so that nobody waits for
/// it twice.
pub(super) struct Link {
    client: Client,
    manager: Mutex<Option<ConnectionManager>>,
    is_down: AtomicBool,
    /// Whether it has ever answered.
    is_known: AtomicBool,
    troubles: Troubles,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("is_down", &self.is_down).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects to nothing yet. `None` without a URL.
    pub(super) fn from_settings(settings: &SharedSettings) -> Result<Option<Self>, LinkError> {
        let Some(url) = &settings.redis_url else { return Ok(None) };
        drop(rustls::crypto::ring::default_provider().install_default());
        let info = parse_redis_url(url.expose_secret()).map_err(LinkError::Url)?;
        let mut redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        if settings.redis_db != 0 {
            redis = redis.set_db(i64::from(settings.redis_db));
        }
        let info = info.set_redis_settings(redis);
        let client = match &settings.redis_ssl_ca {
            Some(path) if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) => {
                let pem = read_certificates(path).map_err(LinkError::Certificate)?;
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
                Client::build_with_tls(info, certificates).map_err(|_| LinkError::Client)?
            }
            _ => Client::open(info).map_err(|_| LinkError::Client)?,
        };
        Ok(Some(Self {
            client,
            manager: Mutex::default(),
            is_down: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            troubles: Troubles::default(),
        }))
    }

    fn info(&self) -> &ConnectionInfo {
        self.client.get_connection_info()
    }

    /// The number of the database.
    pub(super) fn database(&self) -> i64 {
        self.info().redis_settings().db()
    }

    /// Whether Redis is left alone for now.
    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    /// Asks Redis. `None` when it is left alone, fails, or takes longer than half a second.
    pub(super) async fn ask<T, F>(
        self: &Arc<Self>,
        purpose: &'static str,
        ask: impl FnOnce(ConnectionManager) -> F,
    ) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        if self.is_down() {
            count(purpose, "skipped");
            return None;
        }
        let manager = match self.manager() {
            Ok(manager) => manager,
            Err(error) => {
                count(purpose, "failed");
                self.leave_alone(Reason::of(&error));
                return None;
            }
        };
        let until = Instant::now() + PATIENCE;
        let reason = match tokio::time::timeout_at(until, ask(manager.clone())).await {
            Ok(Ok(answer)) => {
                count(purpose, "answered");
                self.is_known.store(true, Ordering::Relaxed);
                self.ends_trouble(purpose);
                return Some(answer);
            }
            Ok(Err(error)) => Reason::of(&error),
            Err(_) => Reason::TimedOut,
        };
        count(purpose, "failed");
        // A Redis that refuses one command does others; leaving it alone would only make it come and go.
        if reason.may_be_one_commands() && stands(manager, until).await {
            self.refuses(purpose, reason);
        } else {
            self.leave_alone(reason);
        }
        None
    }

    /// Asks for a sign of life. Returns whether one came.
    pub(super) async fn try_now(self: &Arc<Self>) -> bool {
        self.ask("health", |mut manager| async move { ping(&mut manager).await }).await.is_some()
    }

    /// How it is now.
    pub(super) async fn state(self: &Arc<Self>) -> LinkState {
        if self.try_now().await && self.works() { LinkState::Up } else { LinkState::Down }
    }

    /// Whether it did all that it was asked last.
    pub(super) fn works(&self) -> bool {
        self.is_known.load(Ordering::Relaxed) && !self.is_down() && !self.troubles.is_any()
    }

    /// Whether messages of other processes cannot be heard now.
    pub(super) fn is_deaf(&self) -> bool {
        self.is_down() || self.troubles.has(HEAR)
    }

    /// Messages of other processes are heard.
    pub(super) fn hears(&self) {
        self.ends_trouble(HEAR);
    }

    /// Messages of other processes are not heard.
    pub(super) async fn does_not_hear(self: &Arc<Self>, reason: Reason) {
        self.troubles.note(HEAR);
        // When it does nothing else either, that is what is told.
        if self.try_now().await && self.troubles.is_due(HEAR, reason) {
            let address = self.info().addr();
            tracing::warn!(%address, %reason, "other replicas are not heard over Redis: what they say is missed until they are");
        }
    }

    fn refuses(&self, purpose: &'static str, reason: Reason) {
        self.troubles.note(purpose);
        if self.troubles.is_due(purpose, reason) {
            let address = self.info().addr();
            tracing::warn!(%address, purpose, %reason, "Redis refuses a part of what it is asked, which is kept by each replica alone");
        }
    }

    fn ends_trouble(&self, purpose: &'static str) {
        if self.troubles.end(purpose) {
            tracing::info!(address = %self.info().addr(), purpose, "Redis does what it did not do before");
        }
    }

    /// A connection of its own, whose pushed messages and end are told to `push`.
    pub(super) async fn listen(
        &self,
        push: impl Fn(PushInfo) -> Result<(), std::convert::Infallible> + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, Reason> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(push);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let connected = tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| Reason::TimedOut)?;
        connected.map_err(|error| Reason::of(&error))
    }

    fn manager(&self) -> RedisResult<ConnectionManager> {
        let mut manager = self.manager.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manager) = &*manager {
            return Ok(manager.clone());
        }
        let made = self.new_manager()?;
        *manager = Some(made.clone());
        Ok(made)
    }

    fn new_manager(&self) -> RedisResult<ConnectionManager> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        ConnectionManager::new_lazy_with_config(self.client.clone(), config)
    }

    fn leave_alone(self: &Arc<Self>, reason: Reason) {
        if !self.is_down.swap(true, Ordering::Relaxed) {
            tokio::spawn(probe(Arc::downgrade(self), reason));
        }
    }

    /// A connection that answers.
    async fn answering(&self) -> Result<ConnectionManager, Reason> {
        let mut manager = self.new_manager().map_err(|error| Reason::of(&error))?;
        let answer = tokio::time::timeout(PATIENCE, ping(&mut manager)).await.map_err(|_| Reason::TimedOut)?;
        answer.map(|()| manager).map_err(|error| Reason::of(&error))
    }
}

/// Tells why Redis does not answer, and looks after it until it does on a new connection.
async fn probe(link: Weak<Link>, mut reason: Reason) {
    let mut told = Told::default();
    // A reason, and what it is more exactly.
    let mut looked_at = None;
    let mut is_first = true;
    loop {
        {
            let Some(link) = link.upgrade() else { return };
            let address = link.info().addr();
            let reason = match looked_at {
                Some((known, closer)) if known == reason => closer,
                _ => {
                    let closer = look_closer(address, reason).await;
                    looked_at = Some((reason, closer));
                    closer
                }
            };
            // A process that has just ended may still seem to listen: what is vague is told when it is seen again.
            let may_clear_up = std::mem::take(&mut is_first) && reason.is_vague();
            if !may_clear_up && told.is_due(reason) {
                tracing::warn!(%address, %reason, "Redis fails: what replicas share is kept by each alone until it is back");
            }
        }
        tokio::time::sleep(PROBE_EVERY).await;
        let Some(link) = link.upgrade() else { return };
        match link.answering().await {
            Ok(manager) => {
                *link.manager.lock().unwrap_or_else(PoisonError::into_inner) = Some(manager);
                link.is_known.store(true, Ordering::Relaxed);
                link.is_down.store(false, Ordering::Relaxed);
                tracing::info!(address = %link.info().addr(), "Redis is back");
                return;
            }
            Err(now) => reason = now,
        }
    }
}

/// Whether this connection answers.
async fn stands(mut manager: ConnectionManager, until: Instant) -> bool {
    matches!(tokio::time::timeout_at(until, ping(&mut manager)).await, Ok(Ok(())))
}

/// A sign of life.
pub(super) async fn ping(connection: &mut impl redis::aio::ConnectionLike) -> RedisResult<()> {
    redis::cmd("PING").exec_async(connection).await
}

fn count(purpose: &'static str, outcome: &'static str) {
    metrics::counter!("parlor_redis_calls_total", "purpose" => purpose, "outcome" => outcome).increment(1);
}
