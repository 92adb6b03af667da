//! What Redis does not do although it is there, by purpose; and when that is worth a line in the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::reason::Reason;

/// How long one counts without being seen again: nobody may have asked for it since.
const LASTS: Duration = Duration::from_secs(60);
/// How often the same is told again.
const TOLD_EVERY: Duration = Duration::from_secs(10 * 60);

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Told {
    last: Option<(Reason, Instant)>,
}

impl Told {
    /// Whether to tell `reason` now: it is another one than before, or long ago.
    pub(super) fn is_due(&mut self, reason: Reason) -> bool {
        let is_due = self.last.is_none_or(|(last, at)| last != reason || at.elapsed() >= TOLD_EVERY);
        if is_due {
            self.last = Some((reason, Instant::now()));
        }
        is_due
    }
}

/// What is not done, by its purpose.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    inner: Mutex<BTreeMap<&'static str, Trouble>>,
}

#[derive(Debug)]
struct Trouble {
    told: Told,
    seen: Instant,
}

impl Troubles {
    fn inner(&self) -> MutexGuard<'_, BTreeMap<&'static str, Trouble>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `purpose` is not done now. Returns whether to tell so.
    pub(super) fn note(&self, purpose: &'static str, reason: Reason) -> bool {
        let now = Instant::now();
        let mut inner = self.inner();
        let trouble = inner.entry(purpose).or_insert_with(|| Trouble { told: Told::default(), seen: now });
        trouble.seen = now;
        trouble.told.is_due(reason)
    }

    /// `purpose` is done. Returns whether it was not before.
    pub(super) fn end(&self, purpose: &'static str) -> bool {
        self.inner().remove(purpose).is_some()
    }

    /// Whether `purpose` is not done now.
    pub(super) fn has(&self, purpose: &'static str) -> bool {
        self.inner().get(purpose).is_some_and(Trouble::lasts)
    }

    /// Whether anything is not done now.
    pub(super) fn is_any(&self) -> bool {
        self.inner().values().any(Trouble::lasts)
    }
}

impl Trouble {
    fn lasts(&self) -> bool {
        self.seen.elapsed() < LASTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_reason_is_told_once_and_then_rarely() {
        let mut told = Told::default();
        assert!(told.is_due(Reason::NoRight));
        assert!(!told.is_due(Reason::NoRight));
        assert!(told.is_due(Reason::Login) && told.is_due(Reason::NoRight));
        tokio::time::advance(TOLD_EVERY - Duration::from_secs(1)).await;
        assert!(!told.is_due(Reason::NoRight));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(told.is_due(Reason::NoRight));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_lasts_until_it_ends_or_is_seen_no_more() {
        let troubles = Troubles::default();
        assert!(troubles.note("hear", Reason::NoRight) && !troubles.note("hear", Reason::NoRight));
        assert!(troubles.has("hear") && !troubles.has("publish") && troubles.is_any());
        assert!(troubles.end("hear") && !troubles.end("hear") && !troubles.is_any());
        troubles.note("hear", Reason::NoRight);
        tokio::time::advance(LASTS).await;
        assert!(!troubles.is_any(), "nobody has tried since");
        assert!(!troubles.note("hear", Reason::NoRight), "it was told already");
        assert!(troubles.is_any());
    }
}
