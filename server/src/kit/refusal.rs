//! The headers that refusals carry, whatever the body's shape.

use std::time::Duration;

use axum::response::Response;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};
use parlor_engine::app::{AppError, Limited};

use super::json::{BadBody, FieldError};

/// Why a surface refuses: the application's reasons, and its own.
#[derive(Debug)]
pub enum Refusal {
    /// The application says no.
    App(AppError),
    /// The body is longer than allowed.
    TooLarge,
    /// The body did not arrive in time.
    Unfinished,
    /// The request does not say what it should.
    Malformed(Vec<FieldError>),
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        Self::App(error)
    }
}

impl From<parlor_engine::domain::Invalid> for Refusal {
    fn from(invalid: parlor_engine::domain::Invalid) -> Self {
        Self::App(invalid.into())
    }
}

impl From<BadBody> for Refusal {
    fn from(bad: BadBody) -> Self {
        match bad {
            BadBody::TooLarge => Self::TooLarge,
            BadBody::Unfinished => Self::Unfinished,
            BadBody::Busy => Self::App(AppError::Overloaded),
            BadBody::Malformed(faults) => Self::Malformed(faults),
        }
    }
}

/// Adds what the refusal's status calls for: the challenge, when to come again, and which limit was hit
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>). Logs a failure of ours, once.
pub fn with_headers(mut response: Response, refusal: &Refusal) -> Response {
    let headers = response.headers_mut();
    match refusal {
        Refusal::App(AppError::Unauthenticated(_)) => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Refusal::App(AppError::TooMany(limited)) => {
            let Limited { policy, quota, window, retry_after } = limited;
            tell_limit(headers, policy, u64::from(*quota), *window, 0, *retry_after);
        }
        Refusal::App(AppError::QuotaExceeded(over)) => {
            let [limit, left] = [over.limit, over.left].map(i64::unsigned_abs);
            tell_limit(headers, &over.policy(), limit, over.length, left, over.retry_after);
        }
        Refusal::App(
            AppError::Overloaded
            | AppError::DatabaseAway(_)
            | AppError::ShuttingDown
            | AppError::Interrupted { is_replay: false }
            | AppError::ModerationDown
            | AppError::ProviderDown { .. },
        ) => {
            if let Refusal::App(AppError::DatabaseAway(reason)) = refusal {
                tracing::warn!(reason, "a request was refused: the database is away");
            }
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        Refusal::App(AppError::Internal(reason)) => tracing::error!(reason, "a request failed"),
        _ => {}
    }
    response
}

/// `left` of `quota` per `window` is what there is until the window ends.
fn tell_limit(headers: &mut HeaderMap, policy: &str, quota: u64, window: Duration, left: u64, retry_after: Duration) {
    // Rounded up: who comes again then is let in.
    let seconds = u64::try_from(retry_after.as_millis().div_ceil(1000).max(1)).unwrap_or(u64::MAX);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    let policies = format!("\"{policy}\";q={quota};w={}", window.as_secs());
    let state = format!("\"{policy}\";r={left};t={seconds}");
    for (name, value) in [("ratelimit-policy", policies), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
