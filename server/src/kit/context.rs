//! What handlers work with.

use std::ops::Deref;
use std::sync::Arc;

use http::HeaderMap;
use parlor_engine::app::App;
use parlor_engine::config::GuestAccess;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::host_is_loopback;
use super::bearer::{self, Authorization};
use super::metrics::Metrics;

/// The application and the server around it. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Parts>);

/// What a [`Context`] holds.
pub struct Parts {
    /// What Parlor does.
    pub app: App,
    /// Cancelled when the server begins to stop: idle WebSockets close then.
    pub draining: CancellationToken,
    /// WebSockets, which outlive their request.
    pub sockets: TaskTracker,
    /// What is measured.
    pub metrics: Metrics,
}

impl Deref for Context {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl From<Parts> for Context {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Context {
    /// What the request says of who calls, for surfaces that take guests. Where guests are allowed only because the server listens on this
    /// machine alone, a request that names another host is no guest's: a web page had its own name looked up as this machine's address.
    pub fn authorization(&self, headers: &HeaderMap) -> Authorization {
        match bearer::authorization(headers) {
            Authorization::Absent
                if self.app.settings().security.guest_access == GuestAccess::Loopback && !host_is_loopback(headers) =>
            {
                Authorization::Other
            }
            found => found,
        }
    }
}
