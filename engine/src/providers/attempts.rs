//! What attempts at an answer cost that came to nothing: whoever pays for a call pays for them too.

use std::sync::{Arc, Mutex, PoisonError};

use super::error::{ProviderError, TimeoutPhase};
use crate::domain::TokenUsage;

/// An attempt that a provider took and that did not become the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostAttempt {
    /// The provider's name.
    pub provider: String,
    /// Its name for the model.
    pub model: String,
    /// The tokens that it counted, where it came to say.
    pub usage: Option<TokenUsage>,
    /// About how many it read.
    pub prompt_tokens: u64,
}

/// The lost attempts of one call, oldest first. Clones are the same list: whoever asks keeps one.
#[derive(Debug, Clone, Default)]
pub struct Attempts(Arc<Mutex<Vec<LostAttempt>>>);

impl Attempts {
    /// Takes the list.
    #[must_use]
    pub fn take(&self) -> Vec<LostAttempt> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the last of them.
    #[must_use]
    pub fn take_last(&self) -> Option<LostAttempt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn push(&self, lost: LostAttempt) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(lost);
    }
}

/// An attempt under way. Dropped before it is known how it goes, it counts as taken: a provider that has neither refused a request nor been
/// out of reach works at it, and its bill does not stop with our patience.
pub(super) struct Trying<'a> {
    provider: &'a str,
    model: &'a str,
    attempts: &'a Attempts,
    /// About how many tokens it reads.
    prompt_tokens: &'a (dyn Fn() -> u64 + Sync),
    is_open: bool,
    /// What the provider has counted so far.
    pub(super) usage: Option<TokenUsage>,
    /// Whether the provider has begun to answer.
    pub(super) is_accepted: bool,
}

impl<'a> Trying<'a> {
    pub(super) fn begin(
        (provider, model): (&'a str, &'a str),
        attempts: &'a Attempts,
        prompt_tokens: &'a (dyn Fn() -> u64 + Sync),
    ) -> Self {
        Self { provider, model, attempts, prompt_tokens, is_open: true, usage: None, is_accepted: false }
    }

    /// It becomes the answer.
    pub(super) fn answers(mut self) {
        self.is_open = false;
    }

    /// It ends with `error`.
    pub(super) fn fail(mut self, error: &ProviderError) {
        self.is_open = match error {
            ProviderError::Timeout(TimeoutPhase::FirstToken | TimeoutPhase::Idle | TimeoutPhase::Total)
            | ProviderError::Cut => true,
            ProviderError::Protocol(_) => self.is_accepted,
            ProviderError::Settings(_)
            | ProviderError::Connect
            | ProviderError::Timeout(TimeoutPhase::Connect)
            | ProviderError::RateLimited { .. }
            | ProviderError::Unauthorized
            | ProviderError::BadRequest { .. }
            | ProviderError::ContentFiltered
            | ProviderError::UnknownModel
            | ProviderError::Unsupported
            | ProviderError::Unavailable { .. }
            | ProviderError::BreakerOpen => false,
        };
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.attempts.push(LostAttempt {
                provider: self.provider.to_owned(),
                model: self.model.to_owned(),
                usage: self.usage,
                prompt_tokens: (self.prompt_tokens)(),
            });
        }
    }
}
