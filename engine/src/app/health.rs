//! Whether the parts work.

use std::time::Duration;

use super::App;
use crate::providers::TargetState;
use crate::shared::LinkState;

/// The longest wait for a part's sign of life.
const PATIENCE: Duration = Duration::from_secs(2);

/// How one part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// It answers.
    Up,
    /// It does not.
    Down,
    /// It is not configured, and not needed.
    Off,
}

/// How the whole is.
#[derive(Debug, Clone)]
pub struct Health {
    /// The database: without it nothing works.
    pub database: Check,
    /// Redis: without it each replica goes on alone.
    pub redis: Check,
    /// MongoDB, as it was when it was last heard of.
    pub mongo: Check,
    /// What may answer messages, in the order in which it is asked.
    pub providers: Vec<TargetState>,
    /// Whether answers come from the built-in mock.
    pub is_mock: bool,
    /// False while the server is stopping.
    pub is_accepting: bool,
    /// Since the start.
    pub uptime: Duration,
}

impl Health {
    /// Whether requests should be sent here.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.database == Check::Up && self.is_accepting
    }
}

impl App {
    /// Looks at every part, each for two seconds at most.
    #[allow(clippy::disallowed_methods, reason = "uptime is no business time")]
    pub async fn health(&self) -> Health {
        let ping = tokio::time::timeout(PATIENCE, self.db.ping());
        let (ping, redis) = tokio::join!(ping, self.shared.state());
        Health {
            database: if matches!(ping, Ok(Ok(()))) { Check::Up } else { Check::Down },
            redis: match redis {
                LinkState::Up => Check::Up,
                LinkState::Down => Check::Down,
                LinkState::Off => Check::Off,
            },
            mongo: match &self.mongo {
                None => Check::Off,
                Some(mongo) if mongo.is_up() => Check::Up,
                Some(_) => Check::Down,
            },
            providers: self.providers.states(),
            is_mock: self.providers.is_mock(),
            is_accepting: !self.is_shutting_down(),
            uptime: self.started.elapsed(),
        }
    }

    /// Puts what is measured by looking, not by counting, into the metrics.
    pub fn observe(&self) {
        let (writes, reads) = self.db.queue_depths();
        let gauge = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        metrics::gauge!("parlor_queue_depth", "queue" => "database_writes").set(gauge(writes));
        metrics::gauge!("parlor_queue_depth", "queue" => "database_reads").set(gauge(reads));
        if let Some(works) = self.shared.works() {
            metrics::gauge!("parlor_redis_up").set(f64::from(u8::from(works)));
        }
        metrics::gauge!("parlor_bus_topics").set(gauge(self.shared.bus.topics()));
        let (sockets, accounts) = self.presence.count();
        metrics::gauge!("parlor_sockets_open").set(gauge(sockets));
        metrics::gauge!("parlor_accounts_online").set(gauge(accounts));
        metrics::gauge!("parlor_turns_mirrored").set(gauge(self.turns.mirrored()));
        metrics::gauge!("parlor_turns_running").set(gauge(self.turns.running()));
    }
}
