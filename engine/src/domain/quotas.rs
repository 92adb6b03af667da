//! Quotas: how much may be spent in a minute, a day or a month.

use chrono::{DateTime, Datelike, Months, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AccountRole, Invalid, Timestamp};

const MINUTE: i64 = 60 * 1_000_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// The highest limit that a quota may have: what is counted stays far from where integers end.
const LIMIT_MAX: u64 = 1 << 53;

/// The time in which a quota counts: the running minute, day or month of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaWindow {
    /// A minute.
    Minute,
    /// A day.
    Day,
    /// A month.
    Month,
}

impl QuotaWindow {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Day, Self::Month];

    /// The word that the database, the settings and the wire use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The window of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.as_str() == word)
    }

    /// Where the window that `at` lies in begins, and where the next one does.
    #[must_use]
    pub fn bounds(self, at: Timestamp) -> (Timestamp, Timestamp) {
        let aligned = |length: i64| {
            let start = at.micros().div_euclid(length).saturating_mul(length);
            (Timestamp::from_micros(start), Timestamp::from_micros(start.saturating_add(length)))
        };
        match self {
            Self::Minute => aligned(MINUTE),
            Self::Day => aligned(DAY),
            Self::Month => {
                let time = DateTime::<Utc>::from_timestamp_micros(at.micros()).unwrap_or_default();
                let first = time.date_naive().with_day(1).unwrap_or_default();
                let next = first.checked_add_months(Months::new(1)).unwrap_or(first);
                let micros = |date: chrono::NaiveDate| date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
                (Timestamp::from_micros(micros(first)), Timestamp::from_micros(micros(next)))
            }
        }
    }
}

/// What a quota limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaMetric {
    /// Metered calls.
    Requests,
    /// Tokens, read and written.
    Tokens,
    /// Money, in millionths of a US dollar.
    Micros,
}

impl QuotaMetric {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Tokens, Self::Micros];

    /// The word that the wire and the metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Micros => "micros",
        }
    }
}

/// So much of each metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// Metered calls.
    pub requests: i64,
    /// Tokens.
    pub tokens: i64,
    /// Millionths of a US dollar.
    pub micros: i64,
}

impl Amounts {
    /// How much of that.
    #[must_use]
    pub const fn of(self, metric: QuotaMetric) -> i64 {
        match metric {
            QuotaMetric::Requests => self.requests,
            QuotaMetric::Tokens => self.tokens,
            QuotaMetric::Micros => self.micros,
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            tokens: self.tokens.saturating_add(more.tokens),
            micros: self.micros.saturating_add(more.micros),
        }
    }

    /// What is left without the other.
    #[must_use]
    pub const fn minus(self, less: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(less.requests),
            tokens: self.tokens.saturating_sub(less.tokens),
            micros: self.micros.saturating_sub(less.micros),
        }
    }
}

/// What may be spent in one window; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuotaLimits {
    /// Metered calls.
    pub requests: Option<i64>,
    /// Tokens.
    pub tokens: Option<i64>,
    /// Millionths of a US dollar.
    pub micros: Option<i64>,
}

impl QuotaLimits {
    /// # Errors
    /// When none is given, or one is over 2^53.
    pub fn parse(requests: Option<u64>, tokens: Option<u64>, micros: Option<u64>) -> Result<Self, Invalid> {
        if requests.or(tokens).or(micros).is_none() {
            return Err(Invalid::new("quota", "a quota limits requests, tokens or usd, one of them at least"));
        }
        let bounded = |value: Option<u64>| match value {
            Some(value) if value > LIMIT_MAX => Err(Invalid::new("quota", format!("a quota is {LIMIT_MAX} at most"))),
            value => Ok(value.and_then(|value| i64::try_from(value).ok())),
        };
        Ok(Self { requests: bounded(requests)?, tokens: bounded(tokens)?, micros: bounded(micros)? })
    }

    /// The limit of that.
    #[must_use]
    pub const fn of(self, metric: QuotaMetric) -> Option<i64> {
        match metric {
            QuotaMetric::Requests => self.requests,
            QuotaMetric::Tokens => self.tokens,
            QuotaMetric::Micros => self.micros,
        }
    }
}

/// Whom a quota holds for. Each account, and each key, has it for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaScope {
    /// Every account.
    Account,
    /// Every account of that role.
    Role(AccountRole),
    /// Every API key.
    ApiKey,
}

impl QuotaScope {
    /// Reads `account`, `api_key` or `role:user`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "account" => Some(Self::Account),
            "api_key" => Some(Self::ApiKey),
            _ => text.strip_prefix("role:").and_then(AccountRole::from_word).map(Self::Role),
        }
    }
}

impl std::fmt::Display for QuotaScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account => f.write_str("account"),
            Self::Role(role) => write!(f, "role:{}", role.as_str()),
            Self::ApiKey => f.write_str("api_key"),
        }
    }
}

/// A quota as the settings have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// For whom.
    pub scope: QuotaScope,
    /// In what time.
    pub window: QuotaWindow,
    /// How much.
    pub limits: QuotaLimits,
}

/// What an admin allows one account, in the stead of what the settings say of that window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountQuota {
    /// In what time.
    pub window: QuotaWindow,
    /// How much.
    #[serde(flatten)]
    pub limits: QuotaLimits,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn bounds(window: QuotaWindow, at: &str) -> (String, String) {
        let (start, end) = window.bounds(Timestamp::from_rfc3339(at).unwrap());
        (start.rfc3339().replace(".000000", ""), end.rfc3339().replace(".000000", ""))
    }

    #[test]
    fn windows_are_those_of_the_calendar_in_utc() {
        let of = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        let minute = bounds(QuotaWindow::Minute, "2026-02-28T23:59:59.999999Z");
        assert_eq!(minute, of("2026-02-28T23:59:00Z", "2026-03-01T00:00:00Z"));
        let day = bounds(QuotaWindow::Day, "2026-03-01T01:00:00+02:00");
        assert_eq!(day, of("2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"));
        let months = [
            ("2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("2028-02-29T23:59:59.999999Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("2026-12-31T23:59:59.999999Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ];
        for (at, start, end) in months {
            assert_eq!(bounds(QuotaWindow::Month, at), of(start, end), "{at}");
        }
    }

    #[test]
    fn a_quota_limits_something_and_its_words_are_read() {
        assert!(QuotaLimits::parse(None, None, None).is_err());
        assert!(QuotaLimits::parse(Some(u64::MAX), None, None).is_err());
        assert_eq!(QuotaLimits::parse(None, Some(0), None).unwrap().tokens, Some(0));
        for scope in ["account", "role:guest", "api_key"] {
            assert_eq!(QuotaScope::parse(scope).unwrap().to_string(), scope);
        }
        assert!(QuotaScope::parse("role:").is_none() && QuotaScope::parse("key").is_none());
    }

    #[test]
    fn an_accounts_quota_is_stored_as_small_json() {
        let quota = AccountQuota {
            window: QuotaWindow::Day,
            limits: QuotaLimits { tokens: Some(5), ..QuotaLimits::default() },
        };
        let text = serde_json::to_string(&quota).unwrap();
        assert_eq!(text, r#"{"window":"day","requests":null,"tokens":5,"micros":null}"#);
        assert_eq!(serde_json::from_str::<AccountQuota>(&text).unwrap(), quota);
    }
}
