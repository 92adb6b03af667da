//! What is left of the rate limits, in OpenAI's names. <https://platform.openai.com/docs/guides/rate-limits>

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::kit::limits::Meter;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");

/// Tells the limit of which the least is left.
pub fn tell(headers: &mut HeaderMap, meter: &Meter) {
    if let Some(allowance) = meter.left().into_iter().min_by_key(|allowance| allowance.remaining) {
        headers.insert(LIMIT, HeaderValue::from(allowance.quota));
        headers.insert(REMAINING, HeaderValue::from(allowance.remaining));
        if let Ok(span) = HeaderValue::from_str(&span(allowance.resets)) {
            headers.insert(RESET, span);
        }
    }
}

/// As OpenAI writes it: `1h2m3s`.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_in_hours_minutes_and_seconds() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m0s"), (3723, "1h2m3s")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
