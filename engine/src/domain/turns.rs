//! Turns: one user message and the answer that it gets; the unit of work, of accounting and of recovery.

use super::Invalid;

/// Where a turn stands. It only ever moves from the first two to one of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TurnState {
    /// Stored; nothing has come from the provider.
    Pending,
    /// The first words have come.
    Streaming,
    /// The provider finished.
    Complete,
    /// The provider broke off half-way; what it said is kept.
    Incomplete,
    /// Its owner stopped it; what was said is kept.
    Cancelled,
    /// No provider answered.
    Failed,
    /// The server stopped under it; what had been checkpointed is kept.
    Interrupted,
}

impl TurnState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Streaming,
        Self::Complete,
        Self::Incomplete,
        Self::Cancelled,
        Self::Failed,
        Self::Interrupted,
    ];

    /// The word that the database and the metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Streaming => "streaming",
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether the turn has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Streaming)
    }
}

/// Why an answer ends where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The token limit was reached.
    Length,
    /// The provider's filter cut in.
    ContentFilter,
    /// The model wants tools called and their results shown to it.
    ToolCalls,
    /// Its owner stopped it.
    Cancelled,
    /// It broke off, or never began.
    Error,
}

impl FinishReason {
    /// The word that the wire and the database use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
        }
    }

    /// The reason of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Stop, Self::Length, Self::ContentFilter, Self::ToolCalls, Self::Cancelled, Self::Error]
            .into_iter()
            .find(|reason| reason.as_str() == word)
    }
}

/// Tokens that a call cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenUsage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Of the tokens read, those that the provider still had from an earlier request: cheaper ones.
    pub cached_tokens: u64,
}

impl TokenUsage {
    /// So many read, none of them from a cache, and so many written.
    #[must_use]
    pub const fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self { prompt_tokens, completion_tokens, cached_tokens: 0 }
    }

    /// These and those.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// The key under which a POST is made once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// # Errors
    /// When it is not 1 to 255 printable ASCII characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > 255 || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(Invalid::new("Idempotency-Key", "Idempotency-Key must be 1 to 255 printable ASCII characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word_of_its_own() {
        for state in TurnState::ALL {
            assert_eq!(TurnState::from_word(state.as_str()), Some(state));
        }
    }

    #[test]
    fn a_key_is_short_and_printable() {
        assert!(IdempotencyKey::parse("8e03978e-40d5-43dd-bc93-6894a57f9324").is_ok());
        assert!(IdempotencyKey::parse("").is_err());
        assert!(IdempotencyKey::parse("a\n").is_err());
        assert!(IdempotencyKey::parse(&"k".repeat(256)).is_err());
    }
}
