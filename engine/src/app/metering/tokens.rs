//! Counting tokens where no provider did: with the model's own vocabulary where that is known, else by the length.
//!
//! A vocabulary takes some 50 MB once it is loaded, so that is done when one is needed, and undone when none was for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tiktoken_rs::CoreBPE;
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::domain::{TokenUsage, estimate_tokens};
use crate::providers::ChatMessage;

/// The longest prompt and answer that are counted, in bytes together; longer ones are estimated.
const BYTES_MAX: usize = 1024 * 1024;
/// How long the end of an answer waits for its tokens to be counted, loading and others' turns included.
const PATIENCE: Duration = Duration::from_secs(10);
/// What frames a message, and what begins the answer, in tokens:
/// <https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken>
const FRAME: u64 = 3;

/// The vocabularies, as far as they are loaded.
pub(in crate::app) struct Vocabularies {
    shared: Arc<Shared>,
    /// One text is counted at a time: it takes a processor.
    place: Arc<Semaphore>,
}

#[derive(Default)]
struct Shared {
    o200k: Mutex<Option<Arc<CoreBPE>>>,
    cl100k: Mutex<Option<Arc<CoreBPE>>>,
    was_used: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vocabulary {
    O200k,
    Cl100k,
}

impl Vocabulary {
    /// That of OpenAI's models, whoever hosts them.
    fn of(model: &str) -> Option<Self> {
        match get_tokenizer(model.rsplit('/').next().unwrap_or(model))? {
            // Harmony's differs in its special tokens alone.
            Tokenizer::O200kBase | Tokenizer::O200kHarmony => Some(Self::O200k),
            Tokenizer::Cl100kBase => Some(Self::Cl100k),
            _ => None,
        }
    }
}

impl Shared {
    fn slot(&self, which: Vocabulary) -> MutexGuard<'_, Option<Arc<CoreBPE>>> {
        let slot = match which {
            Vocabulary::O200k => &self.o200k,
            Vocabulary::Cl100k => &self.cl100k,
        };
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, which: Vocabulary) -> Option<Arc<CoreBPE>> {
        self.was_used.store(true, Ordering::Relaxed);
        let mut slot = self.slot(which);
        if slot.is_none() {
            let loaded = match which {
                Vocabulary::O200k => tiktoken_rs::o200k_base(),
                Vocabulary::Cl100k => tiktoken_rs::cl100k_base(),
            };
            *slot = loaded.ok().map(Arc::new);
        }
        slot.clone()
    }
}

impl Default for Vocabularies {
    fn default() -> Self {
        Self { shared: Arc::default(), place: Arc::new(Semaphore::new(1)) }
    }
}

impl Vocabularies {
    /// Gives the memory back, unless something was counted since the last time.
    fn rest(&self) {
        if !self.shared.was_used.swap(false, Ordering::Relaxed) {
            for which in [Vocabulary::O200k, Vocabulary::Cl100k] {
                *self.shared.slot(which) = None;
            }
        }
    }

    /// The tokens of all `prompt` together, and of `said`; `None` where they cannot be counted, or not in time.
    #[allow(clippy::disallowed_methods, reason = "one at a time, for as long as the place is held")]
    async fn count(&self, model: &str, prompt: Vec<String>, said: String) -> Option<(u64, u64)> {
        let which = Vocabulary::of(model)?;
        if prompt.iter().map(String::len).sum::<usize>() + said.len() > BYTES_MAX {
            return None;
        }
        let (shared, place) = (Arc::clone(&self.shared), Arc::clone(&self.place));
        let counted = async {
            let place = place.acquire_owned().await.ok()?;
            let counted = tokio::task::spawn_blocking(move || {
                let _place = place;
                let vocabulary = shared.get(which)?;
                let count = |text: &String| vocabulary.count_ordinary(text) as u64;
                Some((prompt.iter().map(count).sum(), count(&said)))
            });
            // It panics on texts that its patterns give up on.
            counted.await.ok().flatten()
        };
        tokio::time::timeout(PATIENCE, counted).await.ok().flatten()
    }
}

impl App {
    /// The tokens of what a model was asked and of what it `said`, where its provider does not tell: counted where the model's vocabulary is
    /// known, else estimated. Either way the bill is an estimate.
    pub async fn count_tokens(&self, model: &str, prompt: &[ChatMessage], said: &str) -> TokenUsage {
        // What is no text is estimated: calls, pictures.
        let others: u64 =
            prompt.iter().map(|message| message.estimated_tokens() - estimate_tokens(&message.content)).sum();
        let texts = prompt.iter().map(|message| message.content.clone()).collect();
        let framing = FRAME * (prompt.len() as u64 + 1);
        match self.vocabularies.count(model, texts, said.to_owned()).await {
            Some((read, written)) => TokenUsage::new(read + others + framing, written),
            None => {
                let read = prompt.iter().map(ChatMessage::estimated_tokens).sum();
                TokenUsage::new(read, estimate_tokens(said))
            }
        }
    }

    /// Gives back the memory of what has not been needed for a while.
    pub fn rest(&self) {
        self.vocabularies.rest();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn texts_are_counted_as_the_model_does() {
        let vocabularies = Vocabularies::default();
        // As the vendor's own tokenizer page has it.
        let texts = || vec!["Hello, world!".to_owned(), String::new()];
        assert_eq!(vocabularies.count("gpt-4o-mini-2024-07-18", texts(), "Grüße".to_owned()).await.unwrap().0, 4);
        assert_eq!(vocabularies.count("openai/gpt-4", texts(), String::new()).await, Some((4, 0)));
        assert!(vocabularies.shared.slot(Vocabulary::O200k).is_some());
        vocabularies.rest();
        assert!(vocabularies.shared.slot(Vocabulary::O200k).is_some(), "used since the last time");
        vocabularies.rest();
        assert!(vocabularies.shared.slot(Vocabulary::O200k).is_none());
    }

    #[tokio::test]
    async fn what_is_no_model_of_openais_or_too_long_is_not_counted() {
        let vocabularies = Vocabularies::default();
        for model in ["claude-sonnet-4", "", "mock", "llama-3.3-70b-versatile"] {
            assert_eq!(vocabularies.count(model, Vec::new(), "Hello".to_owned()).await, None, "{model}");
        }
        assert_eq!(vocabularies.count("gpt-4o", Vec::new(), "x".repeat(BYTES_MAX + 1)).await, None);
        assert!(vocabularies.shared.slot(Vocabulary::O200k).is_none(), "nothing was loaded for it");
    }
}
