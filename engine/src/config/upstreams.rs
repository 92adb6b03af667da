//! `[[upstreams]]`: providers of one's own, beside those that have settings.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::fields::{ApiKey, Name, Seconds, WebUrl};
use super::reader::Reader;
use super::sections::{Check, Entry, Section, Shape};

/// A provider of one's own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSettings {
    /// What it is called in routes, metrics and `provider/model`.
    pub name: Name,
    /// What it speaks.
    #[serde(default)]
    pub kind: UpstreamKind,
    /// Where it is.
    pub url: WebUrl,
    /// How long connecting to it may take, where that is not as for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout_seconds: Option<Seconds>,
    /// Its keys, used in turn; without any, requests carry none.
    #[serde(default)]
    pub keys: Vec<ApiKey>,
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamKind {
    /// OpenAI's protocol, under this base URL.
    #[default]
    OpenAi,
    /// Anthropic's messages, under this base URL.
    Anthropic,
    /// Gemini's own API, under this base URL.
    Gemini,
    /// A plain generate endpoint: the whole URL.
    Generate,
}

impl Entry for UpstreamSettings {
    const SECTION: Section = Section {
        name: "upstreams",
        shape: Shape::List,
        about: "Providers of your own, asked after those of [providers] in this order: any number of accounts and servers.\n\
                kind is openai (any OpenAI-compatible base URL, or one that ends in /responses), anthropic, gemini or generate. A key is a text or env:NAME.",
        example: r#"
[[upstreams]]
name = "ollama"
url = "http://localhost:11434/v1"

[[upstreams]]
name = "second-account"
kind = "openai"
url = "https://api.openai.com/v1"
keys = ["env:SECOND_OPENAI_API_KEY"]
connect_timeout_seconds = 2
"#,
    };

    fn check(&mut self, check: &mut Check<'_>) {
        if BUILT_IN.contains(&self.name.0.as_str()) {
            check.problem("name", format!("{:?} is a provider with settings of its own", self.name.0));
        }
        if self.kind == UpstreamKind::Generate && !self.keys.is_empty() {
            check.problem("keys", "a generate endpoint takes none");
        }
        for (index, key) in self.keys.iter_mut().enumerate() {
            key.find(&format!("keys[{index}]"), check);
        }
    }
}

/// The names that providers with settings of their own have.
pub(super) const BUILT_IN: &[&str] = &["openai", "openrouter", "anthropic", "groq", "gemini", "endpoint", "mock"];

/// Reports names that two upstreams have.
pub(super) fn check_names(upstreams: &[UpstreamSettings], reader: &mut Reader) {
    let mut seen = BTreeSet::new();
    for upstream in upstreams.iter().filter(|upstream| !seen.insert(&upstream.name)) {
        reader.section_problem("upstreams", &format!("two are named {:?}", upstream.name.0));
    }
}
