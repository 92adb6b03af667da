//! When recurring work runs.

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use super::Timestamp;

/// Minutes, hours, days, months and weekdays as `crontab(5)` has them, in UTC; or never. Names of months and days, `@hourly` and its like, `L` and
/// `#` are understood too.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    cron: Option<Cron>,
}

impl Schedule {
    /// The word for never.
    pub const OFF: &'static str = "off";

    /// Reads an expression of five fields, or `off`.
    ///
    /// # Errors
    /// When it is neither, or names a time that never comes.
    pub fn parse(text: &str) -> Result<Self, NoSchedule> {
        let text = text.trim();
        if text.eq_ignore_ascii_case(Self::OFF) {
            return Ok(Self { text: Self::OFF.to_owned(), cron: None });
        }
        let cron = CronParser::builder().seconds(Seconds::Disallowed).build().parse(text);
        let schedule = Self { text: text.to_owned(), cron: Some(cron.map_err(|_| NoSchedule::Unreadable)?) };
        // Whichever moment this is: days and weekdays come again and again.
        schedule.after(Timestamp::from_micros(0)).map(|_| schedule).ok_or(NoSchedule::Never)
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first time after `moment`; `None` where there is none.
    #[must_use]
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let moment = DateTime::<Utc>::from_timestamp_micros(moment.micros())?;
        let next = self.cron.as_ref()?.find_next_occurrence(&moment, false).ok()?;
        Some(Timestamp::from_micros(next.timestamp_micros()))
    }
}

/// What is no schedule: what should stand there instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSchedule {
    /// It cannot be read.
    #[error("a cron expression such as `*/15 * * * *`, or off")]
    Unreadable,
    /// It names a day that no month has.
    #[error("a cron expression of times that come, which these never do, or off")]
    Never,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn next(expression: &str, after: &str) -> Option<String> {
        let after = Timestamp::from_rfc3339(after).unwrap();
        Schedule::parse(expression).unwrap().after(after).map(Timestamp::rfc3339)
    }

    #[test]
    fn the_next_time_is_the_first_one_after_a_moment() {
        let at = |time: &str| Some(format!("{time}.000000Z"));
        assert_eq!(next("*/15 * * * *", "2026-01-31T23:50:00Z"), at("2026-02-01T00:00:00"));
        assert_eq!(next("*/15 * * * *", "2026-02-01T00:00:00Z"), at("2026-02-01T00:15:00"), "not the moment itself");
        assert_eq!(next("30 3 * * mon", "2026-02-01T00:00:00Z"), at("2026-02-02T03:30:00"));
        assert_eq!(next("@daily", "2026-02-01T00:00:01Z"), at("2026-02-02T00:00:00"));
        assert_eq!(next("0 0 29 feb *", "2026-03-01T00:00:00Z"), at("2028-02-29T00:00:00"));
    }

    #[test]
    fn off_is_never() {
        assert_eq!(next("OFF", "2026-01-01T00:00:00Z"), None);
    }

    #[test]
    fn an_expression_that_never_comes_is_refused() {
        for wrong in ["30 2 30 2 *", "0 0 31 2 *", "0 0 31 4,6,9,11 *"] {
            assert_eq!(Schedule::parse(wrong).unwrap_err(), NoSchedule::Never, "{wrong:?}");
        }
        for rare in ["0 0 29 2 *", "0 0 29 feb mon", "0 0 * feb mon#5", "0 0 31 12 *"] {
            assert!(Schedule::parse(rare).is_ok(), "{rare:?}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for wrong in ["", "* * * *", "* * * * * *", "61 * * * *", "never", "* * * * x"] {
            assert_eq!(Schedule::parse(wrong).unwrap_err(), NoSchedule::Unreadable, "{wrong:?}");
        }
    }
}
