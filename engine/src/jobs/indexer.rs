//! Takes messages into the index of words: one process at a time, in small pieces with long rests, so that turns keep their pace.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::Timestamp;
use crate::store::{IndexBatch, StoreError};

/// Who may index.
const LEASE: &str = "search_index";
/// How long the right to index lasts without a sign of life. More than one at a time would only do the same work.
const HELD_FOR: Duration = Duration::from_secs(60);
/// How often there is a look for more.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often one that may not index asks again.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// The longest wait between attempts while the database is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After a piece it rests so many times as long as the piece took, waiting for its turn included: at most a tenth of the time is work.
const RESTS: u32 = 9;
/// Messages taken in at once, and their text in bytes. SQLite has one writer, which is held for some milliseconds.
const MESSAGES: i64 = 50;
const BYTES: i64 = 256 << 10;
/// How long an id has been seen before everything below it must have appeared: longer than any transaction that stores messages.
const SETTLED_AFTER: Duration = Duration::from_secs(300);

/// Indexes until it is stopped.
pub(super) async fn index(app: App, holder: String, stop: CancellationToken) {
    let mut indexer = Indexer { app, holder, held_until: None, settled: Settled::default() };
    let mut failures = 0_u32;
    loop {
        let pause = match indexer.step().await {
            Ok(pause) => {
                failures = 0;
                pause
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, failures, "messages could not be indexed; searches look through them meanwhile");
                LOOK_EVERY.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE)
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    if indexer.held_until.is_some()
        && let Err(error) = indexer.app.db().give_up_lease(LEASE, indexer.holder).await
    {
        tracing::debug!(%error, "the right to index was not given up");
    }
}

struct Indexer {
    app: App,
    holder: String,
    /// Until when the right to index is this one's.
    held_until: Option<Timestamp>,
    settled: Settled,
}

impl Indexer {
    /// Takes in the next piece. Returns how long to wait before the one after it.
    async fn step(&mut self) -> Result<Duration, StoreError> {
        let began = Instant::now();
        let db = self.app.db().clone();
        let has_forgotten = db.forget_deleted_messages(MESSAGES).await?;
        // Without anything to do nothing is written.
        let state = db.index_state().await?;
        let now = self.app.clock().now();
        let up_to = if db.shows_ids_in_order() { state.newest } else { self.settled.after(state.newest, began) };
        let behind = u32::try_from((state.newest - state.cursor).max(0)).unwrap_or(u32::MAX);
        metrics::gauge!("parlor_search_unindexed_messages").set(f64::from(behind));
        if up_to <= state.cursor {
            return Ok(if has_forgotten { began.elapsed().saturating_mul(RESTS) } else { LOOK_EVERY });
        }
        if !self.may_index(now).await? {
            return Ok(ASK_EVERY);
        }
        let cursor = db.index_messages(IndexBatch { up_to, messages: MESSAGES, bytes: BYTES }).await?;
        let took = began.elapsed();
        metrics::histogram!("parlor_search_index_seconds").record(took);
        let rest = took.saturating_mul(RESTS);
        // An answer that is being written is in the way, or all is done: many small pieces would cost more than few large ones.
        if cursor == state.cursor || cursor >= up_to {
            return Ok(rest.max(LOOK_EVERY));
        }
        Ok(rest)
    }

    /// Takes the right to index, or keeps it, when the half of its time is over.
    async fn may_index(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        if self.held_until.is_some_and(|until| now.plus(HELD_FOR / 2) < until) {
            return Ok(true);
        }
        let until = now.plus(HELD_FOR);
        let taken = self.app.db().take_lease(LEASE, self.holder.clone(), now, until).await?;
        self.held_until = taken.then_some(until);
        Ok(taken)
    }
}

/// The highest id below which nothing can appear any more.
#[derive(Default)]
struct Settled {
    id: i64,
    /// An id that was the highest, and when.
    seen: Option<(i64, Instant)>,
}

impl Settled {
    /// What is settled after the highest id of `now` is this.
    fn after(&mut self, newest: i64, now: Instant) -> i64 {
        match self.seen {
            Some((_, at)) if now.saturating_duration_since(at) < SETTLED_AFTER => {}
            Some((id, _)) => {
                self.id = id;
                self.seen = Some((newest, now));
            }
            None => self.seen = Some((newest, now)),
        }
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_settled_when_it_has_been_seen_for_five_minutes() {
        let start = Instant::now();
        let mut settled = Settled::default();
        for (newest, minutes, expected) in
            [(10, 0, 0), (20, 2, 0), (30, 4, 0), (40, 5, 10), (50, 9, 10), (60, 10, 40), (60, 30, 60), (60, 60, 60)]
        {
            assert_eq!(settled.after(newest, start + Duration::from_secs(minutes * 60)), expected, "at {minutes}");
        }
    }
}
