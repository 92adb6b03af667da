//! What need not be found out twice: small values that anybody could find out again, each for a while.
//!
//! Redis sees neither what a value stands for nor, beyond the value's own words, what it is about: keys are names under the installation's
//! secret. Secrets and what people say do not belong in values.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::link::Link;
use super::pseudonyms::Pseudonyms;
use crate::domain::{Clock, Timestamp};

/// The longest value, in bytes.
const VALUE_MAX: usize = 4096;
/// Values that one process keeps, at least the newest of them.
const KEPT: usize = 10_000;

/// A cache: within one process, or of all replicas. While Redis is away nothing is found in it.
#[derive(Debug)]
pub struct Cache {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Mutex<Generations>),
    Redis { link: Arc<Link>, names: Pseudonyms },
}

/// When the young ones are as many as may be, they become the old ones, and the old ones go.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Entry, Value>,
    old: HashMap<Entry, Value>,
}

/// A space and a key in it.
type Entry = (&'static str, String);

#[derive(Debug, Clone)]
struct Value {
    text: String,
    ends: Timestamp,
}

impl Cache {
    /// A cache within this process.
    #[must_use]
    pub fn memory() -> Self {
        Self { place: Place::Memory(Mutex::default()) }
    }

    /// A cache of all replicas.
    pub(super) fn redis(link: Arc<Link>, names: Pseudonyms) -> Self {
        Self { place: Place::Redis { link, names } }
    }

    /// What was put under `key` in `space`, while its time lasts. It takes half a second at most.
    pub async fn get(&self, space: &'static str, key: &str, clock: &Clock) -> Option<String> {
        let found = match &self.place {
            Place::Memory(values) => {
                let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
                values.get((space, key.to_owned()), clock.now())
            }
            Place::Redis { link, names } => {
                let mut command = redis::cmd("GET");
                command.arg(names.name("cache", &[space, key])?);
                let ask = |mut manager| async move { command.query_async::<Option<String>>(&mut manager).await };
                link.ask("cache_read", ask).await.flatten()
            }
        };
        let outcome = if found.is_some() { "found" } else { "missed" };
        metrics::counter!("parlor_cache_total", "space" => space, "outcome" => outcome).increment(1);
        found
    }

    /// Keeps `value` for `lasts`, unless it is longer than 4 KiB. It takes half a second at most.
    pub async fn put(&self, space: &'static str, key: &str, value: &str, lasts: Duration, clock: &Clock) {
        if value.len() > VALUE_MAX {
            return;
        }
        match &self.place {
            Place::Memory(values) => {
                let value = Value { text: value.to_owned(), ends: clock.now().plus(lasts) };
                values.lock().unwrap_or_else(PoisonError::into_inner).put((space, key.to_owned()), value);
            }
            Place::Redis { link, names } => {
                let Some(name) = names.name("cache", &[space, key]) else { return };
                let mut command = redis::cmd("SET");
                command.arg(name).arg(value).arg("PX").arg(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX).max(1));
                link.ask("cache_write", |mut manager| async move { command.exec_async(&mut manager).await }).await;
            }
        }
    }

    /// Forgets what was put under `key`. While Redis is away it is kept there until its time is over.
    pub async fn invalidate(&self, space: &'static str, key: &str) {
        match &self.place {
            Place::Memory(values) => {
                values.lock().unwrap_or_else(PoisonError::into_inner).remove(&(space, key.to_owned()));
            }
            Place::Redis { link, names } => {
                let Some(name) = names.name("cache", &[space, key]) else { return };
                let mut command = redis::cmd("DEL");
                command.arg(name);
                link.ask("cache_write", |mut manager| async move { command.exec_async(&mut manager).await }).await;
            }
        }
    }
}

impl Generations {
    fn get(&mut self, entry: Entry, now: Timestamp) -> Option<String> {
        if let Some(value) = self.young.get(&entry) {
            return (value.ends > now).then(|| value.text.clone());
        }
        let value = self.old.remove(&entry).filter(|value| value.ends > now)?;
        self.put(entry, value.clone());
        Some(value.text)
    }

    fn put(&mut self, entry: Entry, value: Value) {
        if self.young.len() >= KEPT && !self.young.contains_key(&entry) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&entry);
        self.young.insert(entry, value);
    }

    fn remove(&mut self, entry: &Entry) {
        self.young.remove(entry);
        self.old.remove(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn clock() -> Clock {
        Clock::manual(Timestamp::from_micros(1_000_000_000))
    }

    #[tokio::test]
    async fn a_value_is_found_under_its_key_and_space_until_its_time_is_over() {
        let (cache, clock) = (Cache::memory(), clock());
        cache.put("a", "key", "value", MINUTE, &clock).await;
        assert_eq!(cache.get("a", "key", &clock).await.as_deref(), Some("value"));
        assert_eq!(cache.get("a", "other", &clock).await, None);
        assert_eq!(cache.get("b", "key", &clock).await, None);
        clock.advance(MINUTE);
        assert_eq!(cache.get("a", "key", &clock).await, None);
        cache.put("a", "key", "newer", MINUTE, &clock).await;
        assert_eq!(cache.get("a", "key", &clock).await.as_deref(), Some("newer"));
    }

    #[tokio::test]
    async fn what_is_invalidated_or_too_long_is_not_found() {
        let (cache, clock) = (Cache::memory(), clock());
        cache.put("a", "key", "value", MINUTE, &clock).await;
        cache.invalidate("a", "key").await;
        assert_eq!(cache.get("a", "key", &clock).await, None);
        cache.put("a", "key", &"x".repeat(VALUE_MAX + 1), MINUTE, &clock).await;
        assert_eq!(cache.get("a", "key", &clock).await, None);
    }

    #[tokio::test]
    async fn a_full_cache_keeps_what_is_newest_and_what_is_asked_for() {
        let (cache, clock) = (Cache::memory(), clock());
        for number in 0..KEPT * 3 {
            cache.put("a", &number.to_string(), "value", MINUTE, &clock).await;
            if number % 1000 == 0 {
                assert!(cache.get("a", "0", &clock).await.is_some(), "{number}");
            }
        }
        assert_eq!(cache.get("a", "1", &clock).await, None);
        assert!(cache.get("a", &(KEPT * 3 - 1).to_string(), &clock).await.is_some());
        let Place::Memory(values) = &cache.place else { return };
        let values = values.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(values.young.len() + values.old.len() <= KEPT * 2);
    }
}
