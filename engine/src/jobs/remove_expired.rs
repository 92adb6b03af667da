//! Removes tokens, links and idempotency keys that have expired, and counters of quotas whose windows are over.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use super::{BATCH, Job, JobError, Payload};
use crate::app::App;

/// How long a counter stays after its window: calls that began in it may still end.
const COUNTERS_STAY: Duration = Duration::from_secs(86_400);

pub(super) struct RemoveExpired;

impl Job for RemoveExpired {
    fn kind(&self) -> &'static str {
        "remove_expired"
    }

    fn run<'a>(&'a self, app: &'a App, _: &'a Payload) -> BoxFuture<'a, Result<(), JobError>> {
        async move {
            loop {
                let (db, now) = (app.db(), app.clock().now());
                let gone = db.delete_expired(now, BATCH).await?
                    + db.delete_old_quota_counters(now.minus(COUNTERS_STAY), BATCH).await?;
                if gone == 0 {
                    return Ok(());
                }
                tracing::info!(rows = gone, "removed what had expired");
            }
        }
        .boxed()
    }
}
