//! What a row of the table says about one setting.

use std::time::Duration;

/// One second, in the unit of [`Kind::Duration`].
pub(super) const SECOND: u64 = 1;
/// One hour in seconds.
pub(super) const HOUR: u64 = 3_600 * SECOND;
/// One day in seconds.
pub(super) const DAY: u64 = 24 * HOUR;

/// One setting: its names, what it takes and what it is for.
#[derive(Clone, Copy)]
pub struct Setting {
    /// The key in `parlor.toml`, `section.name`.
    pub key: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// The default, spelled as in the environment; empty when there is none.
    pub default: &'static str,
    /// One line for the examples.
    pub help: &'static str,
    /// Environment names besides the key's own; a `#` at the end stands for 1, 2, 3 and so on.
    pub env: &'static [&'static str],
}

/// What values a setting takes.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that is never shown.
    Secret,
    /// A secret that travels in an HTTP header: visible ASCII.
    Key,
    /// Several [`Kind::Key`]s.
    Keys,
    /// A path; a relative one starts in the working directory.
    Path,
    /// An IP address or a host name.
    Host,
    /// An email address.
    Email,
    /// `true`, `false`, `1`, `0`, `on`, `off`, `yes`, `no`.
    Bool,
    /// A whole number within these bounds.
    Integer(u64, u64),
    /// A number within these bounds.
    Number(f64, f64),
    /// A time in the unit of the name; may have a fraction. At most `max` seconds.
    Duration {
        /// The longest, in seconds.
        max: u64,
        /// Whether 0 is meaningful.
        zero: bool,
    },
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// Several texts.
    List,
    /// Several web origins, `https://app.example`.
    Origins,
    /// Several IP addresses or networks.
    Networks,
    /// The base of an HTTP API; the `/` at its end is dropped.
    WebUrl,
    /// The whole URL of an HTTP endpoint.
    Endpoint,
    /// A URL that may hold a password, with one of these schemes.
    ServiceUrl(&'static [&'static str]),
    /// The URL of a Redis.
    Redis,
    /// A connection string of MongoDB.
    Mongo,
    /// A database URL.
    Database,
    /// A cron expression of five fields, or `off`.
    Cron,
}

/// A duration above 0 and of at most `max` seconds.
pub(super) const fn up_to(max: u64) -> Kind {
    Kind::Duration { max, zero: false }
}

impl Kind {
    /// Lets a duration be 0.
    pub(super) const fn or_zero(self) -> Self {
        match self {
            Self::Duration { max, .. } => Self::Duration { max, zero: true },
            other => other,
        }
    }

    /// Whether values are never shown.
    pub(super) const fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Key | Self::Keys)
    }

    /// Whether values may hold a password, so that errors do not repeat them.
    pub(super) const fn may_hold_secret(self) -> bool {
        self.is_secret() || self.is_url_with_password() || matches!(self, Self::WebUrl | Self::Endpoint | Self::Origins)
    }

    /// Whether values are URLs of which a part may be a password.
    pub(super) const fn is_url_with_password(self) -> bool {
        matches!(self, Self::ServiceUrl(_) | Self::Redis | Self::Mongo | Self::Database)
    }

    /// Whether there can be several values.
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::Keys | Self::List | Self::Origins | Self::Networks)
    }

    /// Whether `parlor.toml` writes values without quotes.
    pub(super) const fn is_bare_in_toml(self) -> bool {
        matches!(self, Self::Bool | Self::Integer(..) | Self::Number(..) | Self::Duration { .. })
    }
}

impl Setting {
    pub(super) const fn new(key: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Self {
        Self { key, kind, default, help, env: &[] }
    }

    pub(super) const fn env(mut self, names: &'static [&'static str]) -> Self {
        self.env = names;
        self
    }

    /// The section, and the key within it.
    #[must_use]
    pub fn section_and_name(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').unwrap_or(("", self.key))
    }

    /// Every environment name, the preferred one first. One that ends in `#` is a pattern.
    #[must_use]
    pub fn env_names(&self) -> Vec<String> {
        let own = self.key.replace('.', "__").to_uppercase();
        let mut names: Vec<String> = self.env.iter().map(|&name| name.to_owned()).collect();
        if !names.contains(&own) {
            names.push(own);
        }
        names
    }
}

/// The seconds in the unit that a duration's name (key or environment name) ends with.
pub(super) fn unit_of(name: &str) -> Option<Duration> {
    let name = name.to_lowercase();
    let units =
        [("_seconds", SECOND), ("_expires_in", SECOND), ("_minutes", 60 * SECOND), ("_hours", HOUR), ("_days", DAY)];
    units.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, seconds)| Duration::from_secs(seconds))
}

/// A closed set of words: an enum with a name for each variant.
pub(super) trait Choose: Copy + 'static {
    /// The words, as documented.
    const NAMES: &'static [&'static str];
    /// The variants, in the order of the words.
    const ALL: &'static [Self];
}
