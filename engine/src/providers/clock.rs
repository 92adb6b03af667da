//! Time and chance, as the retries, the breaker and the key ring see them.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// What decides on times between attempts; tests put their own in its place.
pub trait RetryClock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Instant;
    /// Waits.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// A random number in `0.0..1.0`.
    fn jitter(&self) -> f64;
}

/// The machine's clock and the thread's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl RetryClock for SystemClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }

    fn jitter(&self) -> f64 {
        rand::random()
    }
}
