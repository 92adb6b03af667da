//! Judging texts: by the operator's own rules, then, where the settings say so, by OpenAI's moderation API.

mod openai;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{ModerationProvider, Settings};
use crate::domain::Clock;
use crate::providers::ProviderError;
use crate::shared::Cache;
use openai::OpenAiModeration;
use rules::Rules;

/// Where the cache keeps what OpenAI said.
const SPACE: &str = "moderation";
/// How long that is taken for true.
const SAID_LASTS: Duration = Duration::from_secs(10 * 60);

/// What OpenAI said of a text, as the cache keeps it.
#[derive(Serialize, Deserialize)]
struct Said {
    /// The gravest category that blocks.
    category: Option<String>,
}

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
    /// What OpenAI said lately, by the text's hash and whatever else its word depends on.
    said: Arc<Cache>,
    clock: Clock,
    timeout: Duration,
}

impl Moderator {
    /// # Errors
    /// [`ProviderError::Settings`] for what cannot work.
    pub fn from_settings(settings: &Settings, said: Arc<Cache>, clock: Clock) -> Result<Self, ProviderError> {
        let moderation = &settings.moderation;
        let is_on = moderation.provider != ModerationProvider::Off;
        let rules = (is_on && !moderation.rules.is_empty()).then(|| Rules::new(&moderation.rules)).transpose()?;
        let openai = match moderation.provider {
            ModerationProvider::OpenAi => Some(OpenAiModeration::new(moderation, &settings.providers)?),
            ModerationProvider::Off | ModerationProvider::Rules => None,
        };
        Ok(Self { rules, openai, said, clock, timeout: moderation.timeout })
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
                Some(openai) => self.ask(openai, text).await,
                None => Ok(Judgement::default()),
            }
        };
        tokio::time::timeout(self.timeout, judging).await.unwrap_or(Err(Outage("timeout")))
    }

    /// What OpenAI says of a text: what it said lately, else what it says now. What is repeated costs no call.
    async fn ask(&self, openai: &OpenAiModeration, text: &str) -> Result<Judgement, Outage> {
        let key = openai.key_of(text);
        if let Some(said) = self.said.get(SPACE, &key, &self.clock).await
            && let Ok(Said { category }) = serde_json::from_str(&said)
        {
            return Ok(Judgement { flag: category.map(|category| Flag { source: "openai", category }), metered: None });
        }
        let judgement = openai.judge(text).await?;
        let said = Said { category: judgement.flag.as_ref().map(|flag| flag.category.clone()) };
        if let Ok(said) = serde_json::to_string(&said) {
            self.said.put(SPACE, &key, &said, SAID_LASTS, &self.clock).await;
        }
        Ok(judgement)
    }
}
