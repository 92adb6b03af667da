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

    /// Reads an expression of five fields, or `off`; `None` for what is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.eq_ignore_ascii_case(Self::OFF) {
            return Some(Self { text: Self::OFF.to_owned(), cron: None });
        }
        let cron = CronParser::builder().seconds(Seconds::Disallowed).build().parse(text).ok()?;
        Some(Self { text: text.to_owned(), cron: Some(cron) })
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
    fn off_is_never_and_so_is_a_day_that_does_not_exist() {
        assert_eq!(next("OFF", "2026-01-01T00:00:00Z"), None);
        assert_eq!(next("0 0 31 2 *", "2026-01-01T00:00:00Z"), None);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for wrong in ["", "* * * *", "* * * * * *", "61 * * * *", "never", "* * * * x"] {
            assert!(Schedule::parse(wrong).is_none(), "{wrong:?}");
        }
    }
}
