//! OpenAI's moderation API: <https://platform.openai.com/docs/api-reference/moderations>.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Flag, Judgement, Metered, Outage};
use crate::config::{ModerationSettings, ProviderSettings};
use crate::domain::estimate_tokens;
use crate::providers::{ProviderError, http};

pub(super) struct OpenAiModeration {
    client: Client,
    url: String,
    key: SecretString,
    model: String,
    /// Those that block; empty: all.
    categories: Vec<String>,
    /// 0 leaves it to OpenAI.
    threshold: f64,
}

#[derive(Deserialize)]
struct Answer {
    model: Option<String>,
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    categories: BTreeMap<String, bool>,
    #[serde(default)]
    category_scores: BTreeMap<String, f64>,
}

impl OpenAiModeration {
    /// # Errors
    /// [`ProviderError::Settings`] without a key, or when TLS cannot be set up.
    pub(super) fn new(settings: &ModerationSettings, providers: &ProviderSettings) -> Result<Self, ProviderError> {
        let key = settings.api_key.as_ref().or(providers.openai.api_key.as_ref());
        let base_url = settings.base_url.as_ref().unwrap_or(&providers.openai.base_url);
        Ok(Self {
            client: http::client(providers)?,
            url: format!("{}/moderations", base_url.trim_end_matches('/')),
            key: key.ok_or(ProviderError::Settings("moderation by OpenAI has no key"))?.clone(),
            model: settings.model.clone(),
            categories: settings.categories.clone(),
            threshold: settings.threshold,
        })
    }

    /// What this says of `text` is the same under the same key: a hash of the text and of whatever its judgement depends on.
    pub(super) fn key_of(&self, text: &str) -> String {
        let mut hash = Sha256::new();
        let threshold = self.threshold.to_string();
        let settings =
            [self.url.as_str(), &self.model, &threshold].into_iter().chain(self.categories.iter().map(String::as_str));
        for part in settings.chain([text]) {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        STANDARD.encode(hash.finalize())
    }

    /// Asks once; the caller bounds the time.
    ///
    /// # Errors
    /// [`Outage`] for whatever is no judgement.
    pub(super) async fn judge(&self, text: &str) -> Result<Judgement, Outage> {
        let request = self
            .client
            .post(&self.url)
            .bearer_auth(self.key.expose_secret())
            .json(&json!({"model": self.model, "input": text}));
        let response = request.send().await.map_err(|_| Outage("connect"))?;
        if !response.status().is_success() {
            return Err(Outage(match response.status().as_u16() {
                401 | 403 => "unauthorized",
                429 => "rate_limited",
                _ => "status",
            }));
        }
        let body = http::read_body(response).await.map_err(|_| Outage("broken"))?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| Outage("protocol"))?;
        if answer.results.is_empty() {
            return Err(Outage("protocol"));
        }
        let flag = answer.results.iter().find_map(|outcome| self.flag(outcome));
        let model = answer.model.unwrap_or_else(|| self.model.clone());
        Ok(Judgement { flag, metered: Some(Metered { provider: "openai", model, tokens: estimate_tokens(text) }) })
    }

    /// The gravest category that blocks, if any does.
    fn flag(&self, outcome: &Outcome) -> Option<Flag> {
        let score = |category: &str| outcome.category_scores.get(category).copied().unwrap_or_default();
        let blocks = |category: &str| {
            let counts = self.categories.is_empty() || self.categories.iter().any(|known| known == category);
            let flagged = outcome.categories.get(category).copied().unwrap_or_default();
            counts && if self.threshold > 0.0 { score(category) >= self.threshold } else { flagged }
        };
        let all = outcome.categories.keys().chain(outcome.category_scores.keys()).map(String::as_str);
        let gravest = all.filter(|category| blocks(category)).max_by(|a, b| score(a).total_cmp(&score(b)))?;
        Some(Flag { source: "openai", category: gravest.to_owned() })
    }
}
