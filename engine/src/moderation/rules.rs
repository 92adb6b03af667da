//! The operator's own rules. The `regex` crate takes time linear in the text, times the size of the patterns, which the settings bound.

use std::sync::Arc;

use regex::RegexSet;
use tokio::sync::Semaphore;

use super::{Flag, Outage};
use crate::config::ModerationRule;
use crate::providers::ProviderError;

/// Texts up to this length are looked through where they are; longer ones on a thread for such work, so that no patterns hold up others.
const SHORT_BYTES: usize = 4 * 1024;
/// Long texts looked through at once.
const AT_ONCE: usize = 4;

/// What is looked for. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rules {
    rules: Arc<[(String, RegexSet)]>,
    places: Arc<Semaphore>,
}

impl Rules {
    pub(super) fn new(rules: &[ModerationRule]) -> Result<Self, ProviderError> {
        let compiled = rules.iter().map(|rule| Ok((rule.category.0.clone(), rule.compile()?)));
        let rules = compiled
            .collect::<Result<_, String>>()
            .map_err(|_| ProviderError::Settings("a moderation rule cannot be compiled"))?;
        Ok(Self { rules, places: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// The first rule that the text breaks.
    ///
    /// # Errors
    /// [`Outage`] when the server stops.
    pub(super) async fn find(&self, text: &str) -> Result<Option<Flag>, Outage> {
        if text.len() <= SHORT_BYTES {
            return Ok(self.look(text));
        }
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Outage("stopping"))?;
        let (rules, text) = (self.clone(), text.to_owned());
        #[allow(clippy::disallowed_methods, reason = "bounded by the semaphore")]
        let found = tokio::task::spawn_blocking(move || {
            let found = rules.look(&text);
            drop(place);
            found
        });
        found.await.map_err(|_| Outage("stopping"))
    }

    fn look(&self, text: &str) -> Option<Flag> {
        let (category, _) = self.rules.iter().find(|(_, set)| set.is_match(text))?;
        Some(Flag { source: "rules", category: category.clone() })
    }
}
