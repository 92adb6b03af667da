//! What metering needs of a response that is handed on as it came.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::wire::{NO_JSON, Usage};
use crate::domain::TokenUsage;
use crate::providers::error::ProviderError;
use crate::providers::failure::Failure;

/// How far a response has come, by one event of its stream or by the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The tokens, where it tells them.
    pub usage: Option<TokenUsage>,
    /// Whether it has come to its end: it is `completed`, or `incomplete` for want of tokens or for what it says.
    pub is_over: bool,
    /// Why it failed.
    pub failure: Option<ProviderError>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    /// An `error` event holds its error, or is it.
    error: Option<Value>,
    code: Option<Value>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

impl Outcome {
    /// Of an event of a stream.
    ///
    /// # Errors
    /// [`ProviderError::Protocol`] when its data is not the expected JSON.
    pub fn of_event(json: &[u8]) -> Result<Self, ProviderError> {
        let event: Event<'_> = serde_json::from_slice(json).map_err(|_| NO_JSON)?;
        let failed = |error: &Value| Self { failure: Some(failure_of(error)), ..Self::default() };
        Ok(match (event.r#type.as_deref(), event.error, event.response) {
            (Some("response.completed" | "response.incomplete" | "response.failed"), _, Some(response)) => {
                response.outcome()
            }
            (Some("error"), Some(error), _) | (None, Some(error), _) => failed(&error),
            (Some("error"), None, _) => failed(&serde_json::json!({"code": event.code})),
            _ => Self::default(),
        })
    }

    /// Of a response that comes whole.
    ///
    /// # Errors
    /// As [`Self::of_event`].
    pub fn of_whole(json: &[u8]) -> Result<Self, ProviderError> {
        let response: Response<'_> = serde_json::from_slice(json).map_err(|_| NO_JSON)?;
        Ok(response.outcome())
    }
}

impl Response<'_> {
    fn outcome(self) -> Outcome {
        let status = self.status.as_deref();
        let failure = match (status, &self.error) {
            (Some("failed"), error) => Some(failure_of(error.as_ref().unwrap_or(&Value::Null))),
            (_, Some(error)) => Some(failure_of(error)),
            (_, None) => None,
        };
        Outcome {
            usage: self.usage.map(|usage| usage.tokens()),
            is_over: failure.is_none() && matches!(status, Some("completed" | "incomplete")),
            failure,
        }
    }
}

fn failure_of(error: &Value) -> ProviderError {
    Failure::of(error).classify(None, None)
}

/// The error in place of an answer, where the first piece of a body begins with one.
pub(in crate::providers) fn failure_in(piece: &[u8]) -> Option<ProviderError> {
    let mut lines = piece.split(|&byte| byte == b'\n');
    let event = lines.find_map(|line| line.strip_prefix(b"data:")).map(<[u8]>::trim_ascii);
    let json = event.unwrap_or_else(|| piece.trim_ascii_start());
    let begins_with_one = [&br#"{"error""#[..], br#"{"type":"error""#, br#"{"type": "error""#];
    if !begins_with_one.iter().any(|beginning| json.starts_with(beginning)) {
        return None;
    }
    Outcome::of_event(json).ok()?.failure
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_says_that_it_is_over_is() {
        let over = |json: &str| Outcome::of_event(json.as_bytes()).unwrap();
        let usage =
            r#""usage":{"input_tokens":9,"output_tokens":2,"input_tokens_details":{"cached_tokens":4},"more":{}}"#;
        let ended = over(&format!(r#"{{"response":{{"status":"completed",{usage}}},"type":"response.completed"}}"#));
        assert!(ended.is_over && ended.failure.is_none());
        assert_eq!(ended.usage.map(|usage| (usage.total(), usage.cached_tokens)), Some((11, 4)));
        assert!(over(r#"{"type":"response.incomplete","response":{"status":"incomplete","usage":null}}"#).is_over);
        for going_on in [
            r#"{"type":"response.created","response":{"status":"in_progress","error":null,"usage":null}}"#,
            r#"{"type":"response.output_text.delta","delta":"response.completed"}"#,
            r#"{"type":"response.completed"}"#,
            r#"{"type":"response.completed","response":{"status":"in_progress"}}"#,
        ] {
            assert_eq!(over(going_on), Outcome::default(), "{going_on}");
        }
    }

    #[test]
    fn failures_are_known_by_their_codes_in_all_their_forms() {
        let failure = |json: &str| Outcome::of_event(json.as_bytes()).unwrap().failure;
        let failed =
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded"}}}"#;
        assert!(matches!(failure(failed), Some(ProviderError::RateLimited { .. })));
        for error in [r#"{"type":"error","code":"model_not_found"}"#, r#"{"error":{"code":"model_not_found"}}"#] {
            assert_eq!(failure(error), Some(ProviderError::UnknownModel));
            assert_eq!(failure_in(error.as_bytes()), Some(ProviderError::UnknownModel));
            let event = format!("event: error\ndata: {error}\n\n");
            assert_eq!(failure_in(event.as_bytes()), Some(ProviderError::UnknownModel));
        }
        let whole = Outcome::of_whole(br#"{"status":"failed","error":{"code":"server_error"}}"#).unwrap();
        assert!(!whole.is_over && whole.failure.is_some());
        assert_eq!(failure_in(br#"{"id":"resp_1","error":null}"#), None);
        assert!(Outcome::of_event(b"<html>").is_err());
    }
}
