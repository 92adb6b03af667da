//! The work that nobody asks for: how much of it at once, and when.

use std::time::Duration;

use super::reader::Reader;
use super::table::TABLE;
use crate::domain::Schedule;

/// How jobs are done.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// Whether `serve` does them too.
    pub in_server: bool,
    /// How many one process does at once.
    pub concurrency: usize,
    /// How long those that have ended are kept.
    pub keep: Duration,
    /// When recurring ones run, by their names.
    pub schedules: Vec<(&'static str, Schedule)>,
}

impl JobSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let rows = TABLE.iter().filter_map(|row| Some((row.key, row.key.strip_prefix("schedules.")?)));
        let schedules = rows.filter_map(|(key, name)| Some((name, Schedule::parse(&reader.text(key)).ok()?))).collect();
        Self {
            in_server: reader.boolean("jobs.in_server"),
            concurrency: reader.integer("jobs.concurrency"),
            keep: reader.duration("jobs.keep_days"),
            schedules,
        }
    }

    /// When recurring work of this name runs.
    #[must_use]
    pub fn schedule(&self, name: &str) -> Option<&Schedule> {
        self.schedules.iter().find(|(known, _)| *known == name).map(|(_, schedule)| schedule)
    }
}
