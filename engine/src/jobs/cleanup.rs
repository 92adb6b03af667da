//! Removes what has expired: refresh tokens and idempotency keys.

use crate::app::App;
use crate::store::StoreError;

/// Rows removed in one transaction at most, so that messages never wait long for it.
const BATCH: i64 = 500;

/// Removes everything that has expired, in small transactions. Returns how many rows went.
///
/// # Errors
/// What the database says; what was removed before stays removed.
pub async fn clean_up(app: &App) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let gone = app.db().delete_expired(app.clock().now(), BATCH).await?;
        removed += gone;
        if gone == 0 {
            return Ok(removed);
        }
    }
}
