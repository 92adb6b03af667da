//! Which kinds of work there are.

use std::sync::Arc;

use super::Job;
use super::release_files::ReleaseFiles;
use super::release_reservations::ReleaseReservations;
use super::remove_ended_jobs::RemoveEndedJobs;
use super::remove_expired::RemoveExpired;
use super::remove_moderation_events::RemoveModerationEvents;
use super::tidy_search_index::TidySearchIndex;

/// The kinds of work that a worker does. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    jobs: Arc<[Arc<dyn Job>]>,
}

impl Default for Registry {
    /// All that Parlor has.
    fn default() -> Self {
        Self::of(vec![
            Arc::new(ReleaseFiles),
            Arc::new(ReleaseReservations),
            Arc::new(RemoveEndedJobs),
            Arc::new(RemoveExpired),
            Arc::new(RemoveModerationEvents),
            Arc::new(TidySearchIndex),
        ])
    }
}

impl Registry {
    /// These, each of a kind of its own.
    #[must_use]
    pub fn of(jobs: Vec<Arc<dyn Job>>) -> Self {
        Self { jobs: jobs.into() }
    }

    /// The one of that kind.
    #[must_use]
    pub fn find(&self, kind: &str) -> Option<&Arc<dyn Job>> {
        self.jobs.iter().find(|job| job.kind() == kind)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Settings;

    #[test]
    fn every_kind_that_recurs_has_its_setting_and_every_setting_its_kind() {
        let registry = Registry::default();
        let mut kinds: Vec<&str> = registry.jobs.iter().map(|job| job.kind()).collect();
        let settings = Settings::for_tests(Path::new("."));
        let mut scheduled: Vec<&str> = settings.jobs.schedules.iter().map(|(name, _)| *name).collect();
        kinds.sort_unstable();
        scheduled.sort_unstable();
        assert_eq!(kinds, scheduled);
    }
}
