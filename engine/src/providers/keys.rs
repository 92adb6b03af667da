//! Several keys of one provider: used in turn, and rested when the provider refuses one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::ProviderError;

/// How long a key rests when the provider does not say.
const REST: Duration = Duration::from_secs(30);
/// How long a key rests that was refused or is out of credit: only somebody's doing mends that.
const LONG_REST: Duration = Duration::from_secs(300);
/// The longest rest that a provider may ask for.
const MAX_REST: Duration = Duration::from_secs(3600);

/// The keys of one provider. A single key never rests: there is none to take its place, and the
/// caller's own retries and breaker spare it.
pub struct KeyRing {
    keys: Vec<Key>,
    next: AtomicUsize,
}

struct Key {
    header: HeaderValue,
    rest: Mutex<Option<Rest>>,
}

#[derive(Clone)]
struct Rest {
    until: Instant,
    because: ProviderError,
}

/// How many keys a provider has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyCount {
    /// All of them.
    pub all: usize,
    /// Those that rest after a refusal.
    pub resting: usize,
}

/// A key to use once.
pub(super) struct Picked {
    /// Its place, for [`KeyRing::rest`].
    pub(super) index: usize,
    /// The `Authorization` header; marked sensitive.
    pub(super) header: HeaderValue,
}

impl KeyRing {
    /// A ring of these keys; without any, requests carry none.
    ///
    /// # Errors
    /// [`ProviderError::Settings`] for a key that cannot stand in a header.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a SecretString>) -> Result<Self, ProviderError> {
        let keys = keys.into_iter().map(Key::new).collect::<Result<_, _>>()?;
        Ok(Self { keys, next: AtomicUsize::new(0) })
    }

    /// How often one request may be tried, each time with another key.
    pub(super) fn tries(&self) -> usize {
        self.keys.len().max(1)
    }

    /// The next key that does not rest; `None` when there are no keys at all.
    ///
    /// # Errors
    /// When all of them rest: [`ProviderError::RateLimited`] until the first of those that the
    /// provider limits is back, else [`ProviderError::Unauthorized`].
    pub(super) fn pick(&self, now: Instant) -> Result<Option<Picked>, ProviderError> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let mut limited_until = None;
        for offset in 0..self.keys.len() {
            let index = start.wrapping_add(offset) % self.keys.len();
            let Some(key) = self.keys.get(index) else { continue };
            let rest = key.rest.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match rest {
                Some(rest) if now < rest.until => {
                    if matches!(rest.because, ProviderError::RateLimited { .. }) {
                        limited_until = Some(limited_until.map_or(rest.until, |until: Instant| until.min(rest.until)));
                    }
                }
                _ => return Ok(Some(Picked { index, header: key.header.clone() })),
            }
        }
        Err(limited_until.map_or(ProviderError::Unauthorized, |until| ProviderError::RateLimited {
            retry_after: Some(until.saturating_duration_since(now)),
        }))
    }

    /// How many there are, and how many of them rest.
    pub(super) fn count(&self, now: Instant) -> KeyCount {
        let rests = |key: &&Key| {
            let rest = key.rest.lock().unwrap_or_else(PoisonError::into_inner);
            rest.as_ref().is_some_and(|rest| now < rest.until)
        };
        KeyCount { all: self.keys.len(), resting: self.keys.iter().filter(rests).count() }
    }

    /// Rests a key that the provider refused with `error`, when it was the key that it refused and
    /// there are others. Whether it did.
    pub(super) fn rest(&self, index: usize, error: &ProviderError, now: Instant) -> bool {
        let span = match error {
            ProviderError::RateLimited { retry_after } => retry_after.unwrap_or(REST).min(MAX_REST),
            ProviderError::Unauthorized => LONG_REST,
            _ => return false,
        };
        let Some(key) = self.keys.get(index).filter(|_| self.keys.len() > 1) else { return false };
        let rest = Rest { until: now + span, because: error.clone() };
        *key.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
        true
    }
}

impl Key {
    fn new(secret: &SecretString) -> Result<Self, ProviderError> {
        let mut header = HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret()))
            .map_err(|_| ProviderError::Settings("a key holds characters that no header may hold"))?;
        header.set_sensitive(true);
        Ok(Self { header, rest: Mutex::new(None) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ring(count: usize) -> KeyRing {
        let keys: Vec<SecretString> = (0..count).map(|i| SecretString::from(format!("key-{i}"))).collect();
        KeyRing::new(&keys).unwrap()
    }

    fn picks(ring: &KeyRing, now: Instant, count: usize) -> Vec<usize> {
        (0..count).map(|_| ring.pick(now).unwrap().unwrap().index).collect()
    }

    #[test]
    fn keys_are_used_in_turn() {
        assert_eq!(picks(&ring(3), Instant::now(), 5), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_limited_key_rests_as_long_as_the_provider_says() {
        let (ring, now) = (ring(2), Instant::now());
        let wait = Duration::from_secs(7);
        assert!(ring.rest(0, &ProviderError::RateLimited { retry_after: Some(wait) }, now));
        assert_eq!(ring.count(now), KeyCount { all: 2, resting: 1 });
        assert_eq!(ring.count(now + wait), KeyCount { all: 2, resting: 0 });
        assert_eq!(picks(&ring, now, 3), [1, 1, 1]);
        let later = picks(&ring, now + wait, 4);
        assert!(later.contains(&0) && later.contains(&1));
    }

    #[test]
    fn when_all_keys_rest_the_error_says_until_when() {
        let (ring, now) = (ring(2), Instant::now());
        ring.rest(0, &ProviderError::Unauthorized, now);
        ring.rest(1, &ProviderError::RateLimited { retry_after: Some(Duration::from_secs(9)) }, now);
        let error = ring.pick(now + Duration::from_secs(4)).err().unwrap();
        assert_eq!(error, ProviderError::RateLimited { retry_after: Some(Duration::from_secs(5)) });
    }

    #[test]
    fn when_all_keys_are_refused_the_error_says_so() {
        let (ring, now) = (ring(2), Instant::now());
        ring.rest(0, &ProviderError::Unauthorized, now);
        ring.rest(1, &ProviderError::Unauthorized, now);
        assert_eq!(ring.pick(now).err(), Some(ProviderError::Unauthorized));
    }

    #[test]
    fn an_error_that_is_not_about_the_key_rests_none() {
        assert!(!ring(2).rest(0, &ProviderError::Unavailable { status: 500 }, Instant::now()));
    }

    #[test]
    fn a_single_key_never_rests() {
        let (ring, now) = (ring(1), Instant::now());
        assert!(!ring.rest(0, &ProviderError::Unauthorized, now));
        assert_eq!(picks(&ring, now, 2), [0, 0]);
    }

    #[test]
    fn a_key_that_no_header_may_hold_is_refused_and_not_shown() {
        let error = KeyRing::new(&[SecretString::from("se\ncret")]).err().unwrap();
        assert!(matches!(error, ProviderError::Settings(_)));
        assert!(!format!("{error} {error:?}").contains("cret"));
    }
}
