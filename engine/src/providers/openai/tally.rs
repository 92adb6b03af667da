//! What metering needs of an answer that is handed on as it came.

use super::wire::Completion;
use crate::domain::TokenUsage;
use crate::providers::error::ProviderError;

/// What one JSON of an answer says for the bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The tokens, where it tells them.
    pub usage: Option<TokenUsage>,
    /// What the provider says it cost, in millionths of a US dollar.
    pub cost_micros: Option<u64>,
    /// Whether it holds no choices: a stream's chunk that is there for the usage alone.
    pub is_bare: bool,
}

impl Tally {
    /// Reads a whole answer, or a chunk of one.
    ///
    /// # Errors
    /// [`ProviderError::Protocol`] when it is no JSON, and the error that it reports when it does.
    pub fn read(json: &[u8]) -> Result<Self, ProviderError> {
        let completion = Completion::parse(json)?;
        let (usage, cost_micros) = (completion.usage(), completion.cost());
        Ok(Self { usage, cost_micros, is_bare: completion.is_bare() })
    }
}
