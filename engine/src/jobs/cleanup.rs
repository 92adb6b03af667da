//! Removes what has expired: refresh tokens, idempotency keys, counters of quotas, what moderation blocked; gives back what calls held of
//! quotas that nobody settled.

use std::time::Duration;

use crate::app::App;
use crate::store::StoreError;

/// Rows removed in one transaction at most, so that messages never wait long for it.
const BATCH: i64 = 500;

/// How long a counter stays after its window: calls that began in it may still end.
const COUNTERS_STAY: Duration = Duration::from_secs(86_400);

/// Removes everything that has expired, in small transactions. Returns how many rows went.
///
/// # Errors
/// What the database says; what was removed before stays removed.
pub async fn clean_up(app: &App) -> Result<u64, StoreError> {
    app.rest();
    let mut removed = 0;
    loop {
        let (db, now) = (app.db(), app.clock().now());
        let blocked_until = now.minus(app.settings().moderation.retention);
        let gone = db.delete_expired(now, BATCH).await?
            + db.release_expired_reservations(now, BATCH).await?
            + db.delete_old_quota_counters(now.minus(COUNTERS_STAY), BATCH).await?
            + db.delete_moderation_events(blocked_until, BATCH).await?;
        removed += gone;
        if gone == 0 {
            return Ok(removed);
        }
    }
}
