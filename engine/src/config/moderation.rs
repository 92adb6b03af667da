//! What keeps messages and answers out: by whom, and by which rules.

use std::time::Duration;

use regex::{RegexSet, RegexSetBuilder};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::fields::Name;
use super::reader::Reader;
use super::sections::{Check, Entry, Section, Shape};
use super::setting::Choose;

/// Words or patterns in one rule.
const ITEMS_MAX: usize = 1_000;
/// Characters of a word or a pattern.
const ITEM_MAX_CHARS: usize = 1_000;
/// What the words and patterns of one rule may be compiled to, in bytes: the time that a text takes is its length times this at most.
const COMPILED_MAX: usize = 1 << 20;

/// What keeps messages and answers out.
#[derive(Debug, Clone)]
pub struct ModerationSettings {
    /// Who judges.
    pub provider: ModerationProvider,
    /// The rules that are looked at before anybody else is asked.
    pub rules: Vec<ModerationRule>,
    /// What becomes of texts that nobody could judge.
    pub outage: OutagePolicy,
    /// How long judging a text may take.
    pub timeout: Duration,
    /// Whether whole answers are judged too.
    pub answers: bool,
    /// What stands in for an answer that was blocked.
    pub refusal: String,
    /// OpenAI's model.
    pub model: String,
    /// OpenAI's key, where it is not that of `providers`.
    pub api_key: Option<SecretString>,
    /// Where OpenAI's API is, where it is not that of `providers`.
    pub base_url: Option<String>,
    /// OpenAI's categories that block; empty: all.
    pub categories: Vec<String>,
    /// A category's score that blocks; 0: where OpenAI itself flags it.
    pub threshold: f64,
    /// How long what was blocked is kept.
    pub retention: Duration,
}

/// Who judges texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModerationProvider {
    /// Nobody: everything passes.
    #[default]
    Off,
    /// The rules of the configuration.
    Rules,
    /// The rules of the configuration, then OpenAI's moderation API.
    OpenAi,
}

impl Choose for ModerationProvider {
    const NAMES: &'static [&'static str] = &["off", "rules", "openai"];
    const ALL: &'static [Self] = &[Self::Off, Self::Rules, Self::OpenAi];
}

/// What becomes of texts while nobody can judge them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutagePolicy {
    /// They are refused, to be sent again.
    #[default]
    Closed,
    /// They pass.
    Open,
}

impl Choose for OutagePolicy {
    const NAMES: &'static [&'static str] = &["closed", "open"];
    const ALL: &'static [Self] = &[Self::Closed, Self::Open];
}

impl ModerationSettings {
    /// `openai_key`: whether the providers have a key of OpenAI's.
    pub(super) fn read(reader: &mut Reader, openai_key: bool) -> Self {
        let settings = Self {
            provider: reader.choice("moderation.provider"),
            rules: reader.list_of(),
            outage: reader.choice("moderation.outage"),
            timeout: reader.duration("moderation.timeout_seconds"),
            answers: reader.boolean("moderation.answers"),
            refusal: reader.text("moderation.refusal"),
            model: reader.text("moderation.model"),
            api_key: reader.opt_secret("moderation.api_key"),
            base_url: reader.opt_text("moderation.base_url"),
            categories: reader.list("moderation.categories"),
            threshold: reader.number("moderation.threshold"),
            retention: reader.duration("moderation.retention_days"),
        };
        match settings.provider {
            ModerationProvider::OpenAi if settings.api_key.is_none() && !openai_key => {
                reader.problem("moderation.provider", "openai needs moderation.api_key or providers.openai_api_key");
            }
            ModerationProvider::Rules if settings.rules.is_empty() => {
                reader.problem("moderation.provider", "rules needs [[moderation_rules]] in parlor.toml");
            }
            _ => {}
        }
        settings
    }
}

/// Words and patterns that block a text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModerationRule {
    /// What admins are told that it found.
    pub category: Name,
    /// Words and phrases, found as wholes, in any case.
    #[serde(default)]
    pub words: Vec<String>,
    /// Regular expressions (<https://docs.rs/regex/latest/regex/#syntax>), found anywhere.
    #[serde(default)]
    pub patterns: Vec<String>,
}

impl ModerationRule {
    /// All of it as one set that is looked for in one pass, in time linear in the text.
    ///
    /// # Errors
    /// What is wrong with a pattern, or that all together are too large.
    pub fn compile(&self) -> Result<RegexSet, String> {
        let words = self.words.iter().map(|word| {
            let word = regex::escape(word.trim());
            format!(r"(?i)\b{{start-half}}(?:{word})\b{{end-half}}")
        });
        RegexSetBuilder::new(words.chain(self.patterns.iter().cloned()))
            .size_limit(COMPILED_MAX)
            .dfa_size_limit(COMPILED_MAX)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "the words and patterns are too large together: divide them".into(),
                _ => "a pattern is no regular expression (look-around and back-references do not exist)".into(),
            })
    }
}

impl Entry for ModerationRule {
    const SECTION: Section = Section {
        name: "moderation_rules",
        shape: Shape::List,
        about: "What blocks messages and answers, with moderation.provider = \"rules\" or \"openai\": words and phrases (as wholes,\n\
                in any case) and regular expressions. The category is what admins are told.",
        example: r#"
[[moderation_rules]]
category = "secrets"
words = ["project zephyr"]
patterns = ['\b\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b']
"#,
    };

    fn check(&mut self, check: &mut Check<'_>) {
        for (field, items) in [("words", &self.words), ("patterns", &self.patterns)] {
            if items.len() > ITEMS_MAX {
                check.problem(field, format!("expected at most {ITEMS_MAX}"));
            }
            let wrong = |item: &String| item.trim().is_empty() || item.chars().count() > ITEM_MAX_CHARS;
            if let Some(index) = items.iter().position(wrong) {
                check.problem(&format!("{field}[{index}]"), format!("expected 1 to {ITEM_MAX_CHARS} characters"));
            }
        }
        if self.words.is_empty() && self.patterns.is_empty() {
            check.problem("", "expected words or patterns");
        }
        if let Err(problem) = self.compile() {
            check.problem("patterns", problem);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rule(words: &[&str], patterns: &[&str]) -> ModerationRule {
        let own = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect();
        ModerationRule { category: Name("test".to_owned()), words: own(words), patterns: own(patterns) }
    }

    #[test]
    fn who_judges_must_be_able_to() {
        let sources = |provider: &str| crate::config::Sources {
            flags: [("moderation.provider", provider), ("security.secret_key", "t3st-0nly/Vq8ZrK1mWc5YpXh9LsD2uFgB7")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..crate::config::Sources::default()
        };
        for provider in ["rules", "openai"] {
            let errors = crate::config::Settings::load(&sources(provider)).unwrap_err();
            assert!(errors.to_string().contains("moderation.provider (flag): "), "{errors}");
        }
    }

    #[test]
    fn words_are_found_as_wholes_in_any_case_and_script() {
        let set = rule(&["ass", "Straße", "c++", "two words"], &[]).compile().unwrap();
        for text in ["you ASS!", "die STRAßE", "I like C++.", "well,two words"] {
            assert!(set.is_match(text), "{text}");
        }
        for text in ["class", "assess", "Straßenbahn", "two  words", "c+"] {
            assert!(!set.is_match(text), "{text}");
        }
    }

    #[test]
    fn what_would_take_more_than_linear_time_is_no_pattern_here() {
        for pattern in [r"(a)\1", r"(?=a)b", r"(?<!a)b"] {
            assert!(rule(&[], &[pattern]).compile().is_err(), "{pattern}");
        }
        assert!(rule(&[], &[r"(?:(?:x{500}){500}){500}"]).compile().is_err());
    }

    #[test]
    fn a_pattern_that_ruins_backtracking_engines_comes_to_its_end() {
        let set = rule(&[], &[r"^(?:a+)+$", r"^(?:a|a)*b$", r"(?:.*,){20}X"]).compile().unwrap();
        assert!(!set.is_match(&format!("{}!", "a".repeat(200_000))));
        assert!(!set.is_match(&"1,".repeat(100_000)));
    }
}
