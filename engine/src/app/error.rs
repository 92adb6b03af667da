//! Why the application refuses, whatever the surface; each dialect says it in its own way.

use std::time::Duration;

use crate::blobs::BlobError;
use crate::domain::{Invalid, QuotaMetric, QuotaScope, QuotaWindow, Timestamp, usd};
use crate::store::StoreError;

/// A refusal, or a failure of ours.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Nobody is known to call; the text says why.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The caller is known, and may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is none, or it is somebody else's.
    #[error("{0} not found")]
    NotFound(Noun),
    /// A value breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The file is larger than so many bytes.
    #[error("the file is too large: it must have at most {0} bytes")]
    TooLarge(u64),
    /// The name or address is taken.
    #[error("{0}")]
    Conflict(&'static str),
    /// The idempotency key stands for another body.
    #[error("this Idempotency-Key was used with a different request body")]
    KeyReused,
    /// Too often.
    #[error("too many {}: try again later", .0.what())]
    TooMany(Limited),
    /// A quota has no room for it.
    #[error("{0}")]
    QuotaExceeded(QuotaExceeded),
    /// Moderation blocked the message.
    #[error("the message was blocked by the content filter")]
    Blocked,
    /// Nobody could judge the message, and unjudged ones are refused.
    #[error("the content filter is unavailable: try again shortly")]
    ModerationDown,
    /// No provider answered.
    #[error("the AI service is unavailable: {code}")]
    ProviderDown {
        /// A stable word for what went wrong.
        code: String,
    },
    /// The provider took too long.
    #[error("the AI service did not answer in time")]
    ProviderTimeout,
    /// The server has more to do than it can.
    #[error("the server is busy: try again shortly")]
    Overloaded,
    /// The database server does not answer; the text, why, is for the log alone. What was asked may be asked again.
    #[error("the server cannot work right now: try again shortly")]
    DatabaseAway(&'static str),
    /// The server is stopping.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The server was stopped before it could answer the message, which is stored: its idempotency key stands for that from then on.
    #[error("the server was stopped before it answered: send the message again, under another key if it had one")]
    Interrupted {
        /// Whether it was asked again under the same key, which will hear nothing else.
        is_replay: bool,
    },
    /// A failure of ours. The text is for the log alone.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// An API key.
    ApiKey,
    /// A conversation.
    Conversation,
    /// A message.
    Message,
    /// A model that is offered.
    Model,
    /// A session.
    Session,
    /// An account.
    Account,
    /// A link to a conversation.
    Share,
    /// A file.
    File,
    /// Something that moderation blocked.
    ModerationEvent,
    /// A job.
    Job,
    /// Work that recurs.
    Schedule,
}

impl std::fmt::Display for Noun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ApiKey => "API key",
            Self::Conversation => "Conversation",
            Self::Message => "Message",
            Self::Model => "Model",
            Self::Session => "Session",
            Self::Account => "User",
            Self::Share => "Shared conversation",
            Self::File => "File",
            Self::ModerationEvent => "Moderation event",
            Self::Job => "Job",
            Self::Schedule => "Schedule",
        })
    }
}

/// A quota that a call would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// Whose it is.
    pub scope: QuotaScope,
    /// The time that it counts in.
    pub window: QuotaWindow,
    /// What there is not enough of.
    pub metric: QuotaMetric,
    /// The limit; money in millionths of a US dollar, here and below.
    pub limit: i64,
    /// What is left of it.
    pub left: i64,
    /// What the call may need.
    pub needed: i64,
    /// When the next window begins.
    pub resets_at: Timestamp,
    /// How long the window is.
    pub length: Duration,
    /// Until the next one begins.
    pub retry_after: Duration,
}

impl QuotaExceeded {
    /// The policy's name, such as `account-day-tokens`.
    #[must_use]
    pub fn policy(&self) -> String {
        let scope = self.scope.to_string().replace([':', '_'], "-");
        format!("{scope}-{}-{}", self.window.as_str(), self.metric.as_str())
    }
}

impl std::fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let amount = |value: i64| match self.metric {
            QuotaMetric::Micros => format!("{} USD", usd(value.unsigned_abs())),
            QuotaMetric::Requests => format!("{value} requests"),
            QuotaMetric::Tokens => format!("{value} tokens"),
        };
        write!(
            f,
            "quota exceeded ({}): of {} per {} there are {} left, and this may need {}; it resets at {}",
            self.scope,
            amount(self.limit),
            self.window.as_str(),
            amount(self.left),
            amount(self.needed),
            self.resets_at.rfc3339()
        )
    }
}

/// A limit that was hit, in the terms of draft-ietf-httpapi-ratelimit-headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// The policy's name.
    pub policy: &'static str,
    /// How many it allows in a window.
    pub quota: u32,
    /// The window.
    pub window: Duration,
    /// When to come again.
    pub retry_after: Duration,
}

impl Limited {
    fn what(&self) -> &'static str {
        if self.policy.starts_with("login") { "attempts" } else { "requests" }
    }
}

impl AppError {
    /// A stable word for refusals that a client may want to tell from others of their status.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Blocked => Some("content_filter"),
            Self::Interrupted { .. } => Some("interrupted"),
            _ => None,
        }
    }
}

impl From<BlobError> for AppError {
    fn from(error: BlobError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded => Self::Overloaded,
            StoreError::Unreachable(reason) => Self::DatabaseAway(reason),
            StoreError::Closed => Self::ShuttingDown,
            // What no rule of a field's has refused before.
            StoreError::Nul => Self::Invalid(Invalid::new("text", "a text must not contain a NUL character")),
            other => Self::Internal(other.to_string()),
        }
    }
}
