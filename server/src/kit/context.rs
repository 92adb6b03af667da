//! What handlers work with.

use parlor_engine::app::App;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::metrics::Metrics;

/// The application and the server around it. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// What Parlor does.
    pub app: App,
    /// Cancelled when the server begins to stop: idle WebSockets close then.
    pub draining: CancellationToken,
    /// WebSockets, which outlive their request.
    pub sockets: TaskTracker,
    /// What is measured.
    pub metrics: Metrics,
}
