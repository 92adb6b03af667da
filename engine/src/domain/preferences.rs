//! Preferences: how a person wants to be answered.

use serde::{Deserialize, Serialize};

use super::Invalid;

/// The longest answer that may be preferred, in tokens.
const MAX_TOKENS_MOST: i64 = 32_768;
/// The longest prompt of one's own, in characters.
const SYSTEM_PROMPT_CHARS: usize = 8_000;
/// The longest name of a language, in characters.
const LANGUAGE_CHARS: usize = 50;
/// The longest name of a model, in bytes.
const MODEL_BYTES: usize = 200;

/// How a person wants to be answered; what is absent is left to the server's settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// The model, where a message names none.
    pub model: Option<String>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// The longest answer, in tokens.
    pub max_tokens: Option<u32>,
    /// What the model is told after the server's own prompt.
    pub system_prompt: Option<String>,
    /// A language's name or tag, as its speaker writes it.
    pub language: Option<String>,
}

impl Preferences {
    /// The instructions put before a conversation: the server's own, then the person's.
    #[must_use]
    pub fn instructions(&self, own: &str) -> String {
        let mut parts = vec![own.to_owned()];
        parts.extend(self.system_prompt.clone());
        parts.extend(self.language.as_ref().map(|language| format!("Answer in this language: {language}.")));
        parts.retain(|part| !part.is_empty());
        parts.join("\n\n")
    }
}

/// What becomes of one preference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Remove,
    /// It becomes this.
    Set(T),
}

impl<T> Change<T> {
    fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Remove => None,
        }
    }

    fn onto(self, old: Option<T>) -> Option<T> {
        match self {
            Self::Keep => old,
            Self::Remove => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// A change of preferences. A blank text removes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PreferencesChange {
    /// See [`Preferences::model`].
    pub model: Change<String>,
    /// See [`Preferences::temperature`].
    pub temperature: Change<f64>,
    /// See [`Preferences::max_tokens`].
    pub max_tokens: Change<i64>,
    /// See [`Preferences::system_prompt`].
    pub system_prompt: Change<String>,
    /// See [`Preferences::language`].
    pub language: Change<String>,
}

impl PreferencesChange {
    /// # Errors
    /// When a value breaks its rule. Which models there are is not known here.
    pub fn check(&self) -> Result<(), Invalid> {
        if let Some(model) = self.model.value()
            && (model.len() > MODEL_BYTES || model.chars().any(char::is_control))
        {
            return Err(Invalid::new("model", "model is not a model's name"));
        }
        if self.temperature.value().is_some_and(|value| !(0.0..=2.0).contains(value)) {
            return Err(Invalid::new("temperature", "temperature must be 0 to 2"));
        }
        if self.max_tokens.value().is_some_and(|value| !(1..=MAX_TOKENS_MOST).contains(value)) {
            return Err(Invalid::new("max_tokens", format!("max_tokens must be 1 to {MAX_TOKENS_MOST}")));
        }
        if let Some(prompt) = self.system_prompt.value()
            && (prompt.chars().count() > SYSTEM_PROMPT_CHARS || prompt.contains('\0'))
        {
            let rule = format!("system_prompt must have at most {SYSTEM_PROMPT_CHARS} characters, and no NUL");
            return Err(Invalid::new("system_prompt", rule));
        }
        if let Some(language) = self.language.value()
            && (language.chars().count() > LANGUAGE_CHARS
                || !language.chars().all(|c| c.is_alphanumeric() || " -_()'".contains(c)))
        {
            return Err(Invalid::new("language", "language must be a language's name or tag"));
        }
        Ok(())
    }

    /// The preferences after this change, which has been checked.
    #[must_use]
    pub fn apply(self, old: Preferences) -> Preferences {
        let text = |change: Change<String>, old| {
            change.onto(old).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        Preferences {
            model: text(self.model, old.model),
            temperature: self.temperature.onto(old.temperature),
            max_tokens: self
                .max_tokens
                .onto(old.max_tokens.map(i64::from))
                .and_then(|tokens| u32::try_from(tokens).ok()),
            system_prompt: text(self.system_prompt, old.system_prompt),
            language: text(self.language, old.language),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Change<String> {
        Change::Set(text.to_owned())
    }

    #[test]
    fn each_preference_has_its_bounds() {
        let none = PreferencesChange::default;
        assert_eq!(none().check(), Ok(()));
        for good in [0.0, 0.7, 2.0] {
            assert_eq!(PreferencesChange { temperature: Change::Set(good), ..none() }.check(), Ok(()));
        }
        for bad in [-0.1, 2.1, f64::NAN, f64::INFINITY] {
            assert!(PreferencesChange { temperature: Change::Set(bad), ..none() }.check().is_err(), "{bad}");
        }
        for bad in [0, -1, MAX_TOKENS_MOST + 1] {
            assert!(PreferencesChange { max_tokens: Change::Set(bad), ..none() }.check().is_err(), "{bad}");
        }
        for bad in [&"x".repeat(51), "de\nIgnore", "a\0"] {
            assert!(PreferencesChange { language: set(bad), ..none() }.check().is_err(), "{bad:?}");
        }
        assert_eq!(PreferencesChange { language: set("português (Brasil)"), ..none() }.check(), Ok(()));
        assert!(PreferencesChange { system_prompt: set(&"x".repeat(8_001)), ..none() }.check().is_err());
        assert!(PreferencesChange { model: set("a\nb"), ..none() }.check().is_err());
    }

    #[test]
    fn what_is_not_named_stays_and_what_is_blank_goes() {
        let old = Preferences { temperature: Some(0.5), language: Some("de".into()), ..Preferences::default() };
        let change =
            PreferencesChange { language: set(" "), max_tokens: Change::Set(7), ..PreferencesChange::default() };
        let new = change.apply(old);
        assert_eq!(new, Preferences { temperature: Some(0.5), max_tokens: Some(7), ..Preferences::default() });
    }

    #[test]
    fn the_servers_own_prompt_comes_first() {
        let mine =
            Preferences { system_prompt: Some("Rhyme.".into()), language: Some("de".into()), ..Preferences::default() };
        assert_eq!(mine.instructions("Be kind."), "Be kind.\n\nRhyme.\n\nAnswer in this language: de.");
        assert_eq!(Preferences::default().instructions("Be kind."), "Be kind.");
    }
}
