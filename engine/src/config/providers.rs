//! The AI services and how patiently they are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use secrecy::SecretString;

use super::reader::Reader;
use super::{RouteSettings, UpstreamSettings, routes, upstreams};

/// The AI services and how patiently they are asked.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// OpenAI.
    pub openai: OpenAiSettings,
    /// OpenRouter.
    pub openrouter: OpenRouterSettings,
    /// Anthropic.
    pub anthropic: AnthropicSettings,
    /// Groq.
    pub groq: GroqSettings,
    /// Gemini.
    pub gemini: GeminiSettings,
    /// An OpenAI-compatible base URL or a plain generate endpoint, as it was written.
    pub endpoint: Option<String>,
    /// Providers beside those above.
    pub upstreams: Vec<UpstreamSettings>,
    /// Who answers to which model's name, by that name.
    pub routes: BTreeMap<String, RouteSettings>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a provider may think before the answer begins.
    pub first_token_timeout: Duration,
    /// How long an answer that is asked for in one piece may take to come.
    pub whole_timeout: Duration,
    /// How long an answer may pause once begun.
    pub idle_timeout: Duration,
    /// How long one answer may take in all.
    pub total_timeout: Duration,
    /// Further attempts after one that failed before its first token.
    pub max_retries: u32,
    /// Retries, as a share of the calls of a target.
    pub retry_share: f64,
    /// Failures in a row after which a target is left alone.
    pub breaker_failures: u32,
    /// How long it is then left alone.
    pub breaker_cooldown: Duration,
}

/// OpenAI. Base URLs have no `/` at their end, here and below.
#[derive(Debug, Clone)]
pub struct OpenAiSettings {
    /// Its key; visible ASCII, here and below.
    pub api_key: Option<SecretString>,
    /// Where its API is.
    pub base_url: String,
}

/// OpenRouter.
#[derive(Debug, Clone)]
pub struct OpenRouterSettings {
    /// Its keys, in the order of their numbers.
    pub api_keys: Vec<SecretString>,
    /// Where its API is.
    pub base_url: String,
    /// The site that it counts the calls for, and shows in its rankings.
    pub site_url: Option<String>,
    /// What it calls that site.
    pub app_name: Option<String>,
}

/// Anthropic.
#[derive(Debug, Clone)]
pub struct AnthropicSettings {
    /// Its key.
    pub api_key: Option<SecretString>,
    /// Where its API is.
    pub base_url: String,
}

/// Groq.
#[derive(Debug, Clone)]
pub struct GroqSettings {
    /// Its key.
    pub api_key: Option<SecretString>,
    /// Where its API is.
    pub base_url: String,
}

/// Gemini.
#[derive(Debug, Clone)]
pub struct GeminiSettings {
    /// Its key.
    pub api_key: Option<SecretString>,
    /// Where its API is.
    pub base_url: String,
}

impl ProviderSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let settings = Self {
            openai: OpenAiSettings {
                api_key: reader.opt_secret("providers.openai_api_key"),
                base_url: reader.text("providers.openai_base_url"),
            },
            openrouter: OpenRouterSettings {
                api_keys: reader.secrets("providers.openrouter_api_keys"),
                base_url: reader.text("providers.openrouter_base_url"),
                site_url: reader.opt_text("providers.openrouter_site_url"),
                app_name: reader.opt_text("providers.openrouter_app_name"),
            },
            anthropic: AnthropicSettings {
                api_key: reader.opt_secret("providers.anthropic_api_key"),
                base_url: reader.text("providers.anthropic_base_url"),
            },
            groq: GroqSettings {
                api_key: reader.opt_secret("providers.groq_api_key"),
                base_url: reader.text("providers.groq_base_url"),
            },
            gemini: GeminiSettings {
                api_key: reader.opt_secret("providers.gemini_api_key"),
                base_url: reader.text("providers.gemini_base_url"),
            },
            endpoint: reader.opt_text("providers.endpoint"),
            upstreams: reader.list_of(),
            routes: reader.named(),
            connect_timeout: reader.duration("providers.connect_timeout_seconds"),
            first_token_timeout: reader.duration("providers.first_token_timeout_seconds"),
            whole_timeout: reader.duration("providers.whole_timeout_seconds"),
            idle_timeout: reader.duration("providers.idle_timeout_seconds"),
            total_timeout: reader.duration("providers.total_timeout_seconds"),
            max_retries: reader.integer("providers.max_retries"),
            retry_share: reader.number("providers.retry_share"),
            breaker_failures: reader.integer("providers.breaker_failures"),
            breaker_cooldown: reader.duration("providers.breaker_cooldown_seconds"),
        };
        upstreams::check_names(&settings.upstreams, reader);
        routes::check_all(&settings.routes, &settings.names(), reader);
        settings
    }

    /// The names of the providers that are configured, the built-in mock's where there is no other.
    fn names(&self) -> BTreeSet<&str> {
        let built_in = [
            ("openai", self.openai.api_key.is_some()),
            ("openrouter", !self.openrouter.api_keys.is_empty()),
            ("anthropic", self.anthropic.api_key.is_some()),
            ("groq", self.groq.api_key.is_some()),
            ("gemini", self.gemini.api_key.is_some()),
            ("endpoint", self.endpoint.is_some()),
        ];
        let built_in = built_in.into_iter().filter_map(|(name, is_configured)| is_configured.then_some(name));
        let mut names: BTreeSet<&str> = built_in.collect();
        names.extend(self.upstreams.iter().map(|upstream| upstream.name.0.as_str()));
        if names.is_empty() {
            names.insert("mock");
        }
        names
    }
}
