//! What providers say when they fail: OpenAI's error object, and the others' that are much like it.
//!
//! <https://platform.openai.com/docs/guides/error-codes>, <https://docs.anthropic.com/en/api/errors>,
//! <https://ai.google.dev/gemini-api/docs/troubleshooting>.

use std::time::Duration;

use serde_json::Value;

use super::error::{ProviderError, Word};
use super::http::of_status;

/// The words by which an error object tells its kind. What else it says is not kept.
#[derive(Debug, Default)]
pub(super) struct Failure {
    code: Option<String>,
    kind: Option<String>,
    number: Option<u16>,
    param: Option<String>,
    /// Gemini's `ErrorInfo` in `details`: it calls a key that it does not take a bad request.
    reason: Option<String>,
    /// Gemini's `RetryInfo` in `details`, which it sends in place of `Retry-After`.
    retry_delay: Option<Duration>,
}

impl Failure {
    /// Of an error response's body: `{"error":{…}}`, Gemini's also in a list, or anything else,
    /// which tells nothing.
    pub(super) fn of_body(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        body.get(0).unwrap_or(&body).get("error").map(Self::of).unwrap_or_default()
    }

    /// Of an error object.
    pub(super) fn of(error: &Value) -> Self {
        let word = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let details = || error.get("details").and_then(Value::as_array).into_iter().flatten();
        let detail = |name: &str| details().find_map(|detail| detail.get(name)).and_then(Value::as_str);
        let seconds = detail("retryDelay").and_then(|delay| delay.strip_suffix('s')?.parse().ok());
        let number = error.get("code").or_else(|| error.get("status"));
        Self {
            code: word("code"),
            param: word("param"),
            kind: word("type").or_else(|| word("status")),
            number: number.and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok()),
            reason: detail("reason").map(str::to_owned),
            retry_delay: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }
    }

    /// The error of this failure; `status` is the response's, unless that was 200.
    pub(super) fn classify(&self, status: Option<u16>, retry_after: Option<Duration>) -> ProviderError {
        for word in [&self.code, &self.kind, &self.reason].into_iter().flatten() {
            match word.as_str() {
                "insufficient_quota"
                | "invalid_api_key"
                | "authentication_error"
                | "billing_hard_limit_reached"
                | "billing_error"
                | "API_KEY_INVALID" => {
                    return ProviderError::Unauthorized;
                }
                "model_not_found" => return ProviderError::UnknownModel,
                "content_filter" | "content_policy_violation" => return ProviderError::ContentFiltered,
                _ => {}
            }
        }
        let status = status.or(self.number).or_else(|| self.status_of_words()).unwrap_or(500);
        match of_status(status, retry_after.or(self.retry_delay)) {
            ProviderError::BadRequest { status, .. } => ProviderError::BadRequest {
                status,
                code: self.code.as_deref().and_then(Word::of),
                param: self.param.as_deref().and_then(Word::of),
            },
            error => error,
        }
    }

    /// The status that a failure inside of a stream would have had as a response.
    fn status_of_words(&self) -> Option<u16> {
        [&self.code, &self.kind].into_iter().flatten().find_map(|word| match word.as_str() {
            "rate_limit_exceeded" | "rate_limit_error" | "tokens" | "requests" | "RESOURCE_EXHAUSTED" => Some(429),
            "invalid_request_error" | "context_length_exceeded" | "request_too_large" => Some(400),
            "permission_error" => Some(403),
            "not_found_error" => Some(404),
            "overloaded_error" => Some(503),
            number => number.parse().ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_known_by_its_words_or_its_status() {
        let classify = |status, body: &str| Failure::of_body(body.as_bytes()).classify(status, None);
        let limited = ProviderError::RateLimited { retry_after: None };
        assert_eq!(classify(Some(429), ""), limited);
        assert_eq!(classify(Some(429), r#"{"error":{"code":"insufficient_quota"}}"#), ProviderError::Unauthorized);
        assert_eq!(classify(Some(404), "<html>"), ProviderError::UnknownModel);
        assert_eq!(classify(Some(400), r#"{"error":{"code":"model_not_found"}}"#), ProviderError::UnknownModel);
        assert_eq!(classify(Some(400), r#"{"error":{"code":"content_filter"}}"#), ProviderError::ContentFiltered);
        assert_eq!(classify(Some(422), r#"{"error":"text"}"#), ProviderError::bad_request(422));
        assert_eq!(classify(Some(402), "{}"), ProviderError::Unauthorized);
        assert_eq!(classify(Some(529), "{}"), ProviderError::Unavailable { status: 529 });
    }

    #[test]
    fn anthropics_and_geminis_failures_are_known_too() {
        let classify = |status, body: &str| Failure::of_body(body.as_bytes()).classify(Some(status), None);
        let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        assert_eq!(classify(529, overloaded), ProviderError::Unavailable { status: 529 });
        let bad_key =
            r#"[{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]"#;
        assert_eq!(classify(400, bad_key), ProviderError::Unauthorized);
        let limited = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{},{"retryDelay":"1.5s"}]}}"#;
        assert_eq!(
            classify(429, limited),
            ProviderError::RateLimited { retry_after: Some(Duration::from_millis(1500)) }
        );
    }
}
