//! Waiting for a condition, never for a time.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::PATIENCE;

/// Waits until `condition` holds; fails when it never does.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
