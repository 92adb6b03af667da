//! A counter for each provider. Looking one up by its labels each time costs more than counting.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use metrics::Counter;

/// The counters of one measurement. There are as many as providers that are set up.
pub(super) struct ByProvider {
    name: &'static str,
    known: RwLock<HashMap<String, Counter>>,
}

impl ByProvider {
    /// The measurement of that name.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, known: RwLock::default() }
    }

    /// Counts `amount` more for a provider.
    pub(super) fn add(&self, provider: &str, amount: u64) {
        if let Some(counter) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(provider) {
            return counter.increment(amount);
        }
        let counter = metrics::counter!(self.name, "provider" => provider.to_owned());
        counter.increment(amount);
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(provider.to_owned(), counter);
    }
}
