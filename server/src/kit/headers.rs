//! Reading our own request headers.

use http::HeaderMap;
use parlor_engine::domain::{IdempotencyKey, Invalid};

/// The `Idempotency-Key`, when there is one. The draft writes it as a quoted string; most clients do not quote it; both are the same key.
///
/// # Errors
/// When it is no key.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Invalid> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    IdempotencyKey::parse(bare).map(Some)
}

/// The number in `Last-Event-ID`: the newest event that the client has; 0 without one.
///
/// # Errors
/// When it is no number.
pub fn last_event_id(headers: &HeaderMap) -> Result<u64, Invalid> {
    let Some(value) = headers.get("last-event-id") else { return Ok(0) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| Invalid::new("Last-Event-ID", "Last-Event-ID must be the number of an event"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        let key = |value: &str| idempotency_key(&with("idempotency-key", value));
        assert_eq!(key("\"abc\"").unwrap(), key("abc").unwrap());
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        assert!(key("\"\"").is_err());
    }

    #[test]
    fn the_last_event_is_a_number() {
        assert_eq!(last_event_id(&HeaderMap::new()).unwrap(), 0);
        assert_eq!(last_event_id(&with("last-event-id", "17")).unwrap(), 17);
        assert!(last_event_id(&with("last-event-id", "x")).is_err());
    }
}
