//! The way to Redis, and the breaker around it: whoever asks gets an answer or `None` within a bounded time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, PushInfo,
    RedisError, RedisResult, TlsCertificates,
};
use secrecy::ExposeSecret as _;

use crate::config::SharedSettings;

/// The longest wait for Redis' answer, a connection's included.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a Redis that failed is tried again, beside the requests.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Settings with which Redis cannot be asked. It shows no part of the URL.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The URL.
    #[error("REDIS_URL cannot be read: it should look like redis://user:password@host:6379")]
    Url,
    /// A URL that turns the check of certificates off.
    #[error("REDIS_URL says #insecure, but the server's certificate is always checked; name its CA in REDIS_SSL_CA")]
    Insecure,
    /// The certificates.
    #[error("REDIS_SSL_CA: {0}")]
    Certificate(String),
}

/// How Redis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// It answers.
    Up,
    /// It does not.
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
        let info = url.expose_secret().into_connection_info().map_err(|_| LinkError::Url)?;
        if let ConnectionAddr::TcpTls { insecure: true, .. } = info.addr() {
            return Err(LinkError::Insecure);
        }
        let mut redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        if settings.redis_db != 0 {
            redis = redis.set_db(i64::from(settings.redis_db));
        }
        let info = info.set_redis_settings(redis);
        let client = match &settings.redis_ssl_ca {
            Some(path) if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) => {
                let pem = std::fs::read(path).map_err(|error| LinkError::Certificate(error.to_string()))?;
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
                Client::build_with_tls(info, certificates)
                    .map_err(|_| LinkError::Certificate("it holds no certificates in PEM".to_owned()))?
            }
            _ => Client::open(info).map_err(|_| LinkError::Url)?,
        };
        Ok(Some(Self { client, manager: Mutex::default(), is_down: AtomicBool::new(false) }))
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
        let answer = match self.manager() {
            Ok(manager) => tokio::time::timeout(PATIENCE, ask(manager)).await,
            Err(error) => Ok(Err(error)),
        };
        let reason = match answer {
            Ok(Ok(answer)) => {
                count(purpose, "answered");
                return Some(answer);
            }
            Ok(Err(error)) => reason(&error),
            Err(_) => "it did not answer in time",
        };
        count(purpose, "failed");
        self.leave_alone(reason);
        None
    }

    /// How it is now.
    pub(super) async fn state(self: &Arc<Self>) -> LinkState {
        let answer = self.ask("health", |mut manager| async move { ping(&mut manager).await }).await;
        if answer.is_some() { LinkState::Up } else { LinkState::Down }
    }

    /// A connection of its own, whose pushed messages and end are told to `push`.
    pub(super) async fn listen(
        &self,
        push: impl Fn(PushInfo) -> Result<(), std::convert::Infallible> + Send + Sync + 'static,
    ) -> Option<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(push);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        tokio::time::timeout(PATIENCE, connecting).await.ok()?.ok()
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

    fn leave_alone(self: &Arc<Self>, reason: &'static str) {
        if self.is_down.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(address = %self.info().addr(), reason, "Redis fails: what replicas share is kept by each alone until it is back");
        tokio::spawn(probe(Arc::downgrade(self)));
    }
}

/// Looks after Redis until it answers on a new connection.
async fn probe(link: Weak<Link>) {
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        let Some(link) = link.upgrade() else { return };
        let Ok(mut manager) = link.new_manager() else { continue };
        if matches!(tokio::time::timeout(PATIENCE, ping(&mut manager)).await, Ok(Ok(()))) {
            *link.manager.lock().unwrap_or_else(PoisonError::into_inner) = Some(manager);
            link.is_down.store(false, Ordering::Relaxed);
            tracing::info!(address = %link.info().addr(), "Redis is back");
            return;
        }
    }
}

/// A sign of life.
pub(super) async fn ping(connection: &mut impl redis::aio::ConnectionLike) -> RedisResult<()> {
    redis::cmd("PING").exec_async(connection).await
}

fn count(purpose: &'static str, outcome: &'static str) {
    metrics::counter!("parlor_redis_calls_total", "purpose" => purpose, "outcome" => outcome).increment(1);
}

/// A word for a failure; the server's own words may repeat what it was sent.
fn reason(error: &RedisError) -> &'static str {
    match () {
        () if error.is_connection_refusal() => "nobody listens there",
        () if error.is_timeout() => "it did not answer in time",
        () if error.kind() == redis::ErrorKind::AuthenticationFailed => "it refuses the user or the password",
        () if error.is_io_error() => "the connection broke",
        () => "it refuses what it was asked",
    }
}
