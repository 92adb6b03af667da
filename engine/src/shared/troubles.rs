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

/// What was told, and when: each reason once. They may take turns.
#[derive(Debug, Default)]
pub(super) struct Told {
    reasons: Vec<(Reason, Instant)>,
}

impl Told {
    /// Whether to tell `reason` now: it was not yet told, or long ago.
    pub(super) fn is_due(&mut self, reason: Reason) -> bool {
        self.reasons.retain(|(_, at)| at.elapsed() < TOLD_EVERY);
        let is_due = self.reasons.iter().all(|(told, _)| *told != reason);
        if is_due {
            self.reasons.push((reason, Instant::now()));
        }
        is_due
    }
}

/// What is not done, by its purpose.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    inner: Mutex<BTreeMap<&'static str, Trouble>>,
}

#[derive(Debug, Default)]
struct Trouble {
    told: Told,
    /// When it was seen last; `None` since it ended.
    seen: Option<Instant>,
    /// Whether it was told since it began.
    is_told: bool,
}

impl Troubles {
    fn inner(&self) -> MutexGuard<'_, BTreeMap<&'static str, Trouble>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `purpose` is not done now.
    pub(super) fn note(&self, purpose: &'static str) {
        self.inner().entry(purpose).or_default().seen = Some(Instant::now());
    }

    /// Whether to tell now why `purpose`, which was noted, is not done.
    pub(super) fn is_due(&self, purpose: &'static str, reason: Reason) -> bool {
        let mut inner = self.inner();
        let trouble = inner.entry(purpose).or_default();
        let is_due = trouble.told.is_due(reason);
        trouble.is_told |= is_due;
        is_due
    }

    /// `purpose` is done. Returns whether to tell so: that it was not done before was told.
    pub(super) fn end(&self, purpose: &'static str) -> bool {
        // What was told is kept: one that comes and goes is not told each time.
        self.inner().get_mut(purpose).is_some_and(|trouble| {
            trouble.seen = None;
            std::mem::take(&mut trouble.is_told)
        })
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
        self.seen.is_some_and(|seen| seen.elapsed() < LASTS)
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
        assert!(told.is_due(Reason::Login) && !told.is_due(Reason::NoRight));
        tokio::time::advance(TOLD_EVERY - Duration::from_secs(1)).await;
        assert!(!told.is_due(Reason::NoRight));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(told.is_due(Reason::NoRight));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_lasts_until_it_ends_or_is_seen_no_more() {
        let troubles = Troubles::default();
        troubles.note("hear");
        assert!(troubles.has("hear") && !troubles.has("publish") && troubles.is_any());
        assert!(!troubles.end("hear") && !troubles.is_any(), "nothing was told");
        troubles.note("hear");
        assert!(troubles.is_due("hear", Reason::NoRight) && !troubles.is_due("hear", Reason::NoRight));
        assert!(troubles.end("hear") && !troubles.end("hear") && !troubles.is_any());
        troubles.note("hear");
        tokio::time::advance(LASTS).await;
        assert!(!troubles.is_any(), "nobody has tried since");
        troubles.note("hear");
        assert!(!troubles.is_due("hear", Reason::NoRight), "it was told already");
        assert!(troubles.is_any() && !troubles.end("hear"));
    }
}
