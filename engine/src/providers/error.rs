//! What goes wrong with a provider.

use std::time::Duration;

/// Why a provider did not answer, or stopped answering.
///
/// No variant holds what the provider sent (but for a plain [`Word`]), a key or an address: these are safe to log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The settings cannot work.
    #[error("provider settings: {0}")]
    Settings(&'static str),
    /// No connection, or it broke before the provider began to answer.
    #[error("the provider cannot be reached")]
    Connect,
    /// It took too long.
    #[error("the provider took too long ({})", .0.as_str())]
    Timeout(TimeoutPhase),
    /// 429: too many requests, at the provider's own limits.
    #[error("the provider limits our requests")]
    RateLimited {
        /// How long the provider wants us to wait.
        retry_after: Option<Duration>,
    },
    /// 401, 402 or 403: the provider does not take our key, or its credit is used up.
    #[error("the provider refuses our key")]
    Unauthorized,
    /// Any other 4xx: the provider does not take this request.
    #[error("the provider refuses the request (status {status})")]
    BadRequest {
        /// The HTTP status.
        status: u16,
        /// What kind of mistake it sees, such as `context_length_exceeded`.
        code: Option<Word>,
        /// Where it sees it, such as `messages[0].content`.
        param: Option<Word>,
    },
    /// The provider cannot be asked for such a thing.
    #[error("the provider has no such function")]
    Unsupported,
    /// The provider's own moderation refuses the request.
    #[error("the provider's content filter refuses the request")]
    ContentFiltered,
    /// The provider does not have this model.
    #[error("the provider does not know the model")]
    UnknownModel,
    /// 5xx: the provider fails.
    #[error("the provider is unavailable (status {status})")]
    Unavailable {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is not in the provider's own protocol.
    #[error("the provider breaks its protocol: {0}")]
    Protocol(&'static str),
    /// The answer ended without saying why.
    #[error("the provider cut the answer off")]
    Cut,
    /// Too many failures lately; it was not asked.
    #[error("the provider is paused after repeated failures")]
    BreakerOpen,
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutPhase {
    /// The connection.
    Connect,
    /// The first piece of text.
    FirstToken,
    /// The next piece of text.
    Idle,
    /// The whole answer, attempts and waits included.
    Total,
}

impl TimeoutPhase {
    /// The phase as a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstToken => "first token",
            Self::Idle => "idle",
            Self::Total => "total",
        }
    }
}

/// A word of a provider that can be shown as it is: 1 to 64 letters, digits and `_ . - [ ]`, such as an error's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(Box<str>);

impl Word {
    /// `text` where it is such a word.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-[]".contains(&byte));
        // Nothing that could be a key: those have digits, and are long.
        let is_name = text.len() <= 32 || text.bytes().filter(u8::is_ascii_digit).count() <= 4;
        ((1..=64).contains(&text.len()) && plain && is_name && !text.starts_with("sk-")).then(|| Self(text.into()))
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ProviderError {
    /// A refusal with this status, a 4xx, of which no more is known.
    #[must_use]
    pub fn bad_request(status: u16) -> Self {
        Self::BadRequest { status, code: None, param: None }
    }

    /// Whether the same request may well succeed at the same provider a little later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect
            | Self::Timeout(TimeoutPhase::Connect | TimeoutPhase::FirstToken)
            | Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::Cut => true,
            Self::Settings(_)
            | Self::Timeout(TimeoutPhase::Idle | TimeoutPhase::Total)
            | Self::Unauthorized
            | Self::BadRequest { .. }
            | Self::Unsupported
            | Self::ContentFiltered
            | Self::UnknownModel
            | Self::Protocol(_)
            | Self::BreakerOpen => false,
        }
    }

    /// Whether another provider may answer where this one did not. A request that one provider
    /// refuses for what it says is not carried to the next.
    #[must_use]
    pub fn fails_over(&self) -> bool {
        !matches!(self, Self::BadRequest { .. } | Self::ContentFiltered | Self::Timeout(TimeoutPhase::Total))
    }

    /// How long the provider wants us to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// A stable label for metrics and error events.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Settings(_) => "provider_settings",
            Self::Connect => "provider_unreachable",
            Self::Timeout(TimeoutPhase::Connect) => "connect_timeout",
            Self::Timeout(TimeoutPhase::FirstToken) => "first_token_timeout",
            Self::Timeout(TimeoutPhase::Idle) => "idle_timeout",
            Self::Timeout(TimeoutPhase::Total) => "total_timeout",
            Self::RateLimited { .. } => "provider_rate_limited",
            Self::Unauthorized => "provider_unauthorized",
            Self::BadRequest { .. } => "provider_bad_request",
            Self::Unsupported => "provider_unsupported",
            Self::ContentFiltered => "content_filtered",
            Self::UnknownModel => "unknown_model",
            Self::Unavailable { .. } => "provider_unavailable",
            Self::Protocol(_) => "provider_protocol",
            Self::Cut => "provider_cut",
            Self::BreakerOpen => "breaker_open",
        }
    }

    /// What the error says about the provider's health.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Connect
            | Self::Timeout(TimeoutPhase::Connect | TimeoutPhase::FirstToken | TimeoutPhase::Idle)
            | Self::Unauthorized
            | Self::Unavailable { .. }
            | Self::Protocol(_)
            | Self::Cut => Verdict::Failing,
            Self::RateLimited { .. } | Self::BadRequest { .. } | Self::ContentFiltered | Self::UnknownModel => {
                Verdict::Answering
            }
            Self::Settings(_) | Self::Unsupported | Self::Timeout(TimeoutPhase::Total) | Self::BreakerOpen => {
                Verdict::Unknown
            }
        }
    }
}

/// What an error says about the provider's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does not work.
    Failing,
    /// It works and says no.
    Answering,
    /// Nothing.
    Unknown,
}
