//! Judging texts: by the operator's own rules, then, where the settings say so, by OpenAI's moderation API.

mod openai;
mod rules;

use std::time::Duration;

use crate::config::{ModerationProvider, Settings};
use crate::providers::ProviderError;
use openai::OpenAiModeration;
use rules::Rules;

/// What was found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Who found it: `rules` or `openai`.
    pub source: &'static str,
    /// The rule's category, or OpenAI's.
    pub category: String,
}

/// A call that somebody else did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    /// Whom.
    pub provider: &'static str,
    /// Its model.
    pub model: String,
    /// About how many tokens were judged; nobody says how many.
    pub tokens: u64,
}

/// What came of judging a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Why it is to be blocked; `None` when it may pass.
    pub flag: Option<Flag>,
    /// The call that was made for it.
    pub metered: Option<Metered>,
}

/// Nobody could judge the text: a stable word for why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("moderation is unavailable: {0}")]
pub struct Outage(pub &'static str);

/// Judges texts.
pub struct Moderator {
    rules: Option<Rules>,
    openai: Option<OpenAiModeration>,
    timeout: Duration,
}

impl Moderator {
    /// # Errors
    /// [`ProviderError::Settings`] for what cannot work.
    pub fn from_settings(settings: &Settings) -> Result<Self, ProviderError> {
        let moderation = &settings.moderation;
        let is_on = moderation.provider != ModerationProvider::Off;
        let rules = (is_on && !moderation.rules.is_empty()).then(|| Rules::new(&moderation.rules)).transpose()?;
        let openai = match moderation.provider {
            ModerationProvider::OpenAi => Some(OpenAiModeration::new(moderation, &settings.providers)?),
            ModerationProvider::Off | ModerationProvider::Rules => None,
        };
        Ok(Self { rules, openai, timeout: moderation.timeout })
    }

    /// Whether anybody judges.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.rules.is_some() || self.openai.is_some()
    }

    /// Judges a text, within the settings' time.
    ///
    /// # Errors
    /// [`Outage`] when that was not possible.
    pub async fn judge(&self, text: &str) -> Result<Judgement, Outage> {
        let judging = async {
            if let Some(rules) = &self.rules
                && let Some(flag) = rules.find(text).await?
            {
                return Ok(Judgement { flag: Some(flag), metered: None });
            }
            match &self.openai {
                Some(openai) => openai.judge(text).await,
                None => Ok(Judgement::default()),
            }
        };
        tokio::time::timeout(self.timeout, judging).await.unwrap_or(Err(Outage("timeout")))
    }
}
