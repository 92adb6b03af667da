//! What a model is called at which service.

use super::wire::WireEndpoint;

/// What Groq answers with when it stands in for OpenAI: its larger production model, and what it names for its Llama 3.3, which was
/// shut down in August 2026; <https://console.groq.com/docs/models>, <https://console.groq.com/docs/deprecations>.
const GROQ_MODEL: &str = "openai/gpt-oss-120b";
/// What Anthropic answers with when it stands in for OpenAI: the newest Sonnet that thinks only when it is asked to, so that a short
/// answer has room; <https://platform.claude.com/docs/en/about-claude/models/overview>.
const ANTHROPIC_MODEL: &str = "claude-sonnet-4-6";
/// What Gemini answers with when it stands in for OpenAI: what Google names for Gemini 2.5 Flash, which is shut down in December 2026;
/// <https://ai.google.dev/gemini-api/docs/deprecations>.
const GEMINI_MODEL: &str = "gemini-3.5-flash-lite";

/// How a service translates the name of the model that was asked for. Names of OpenAI's own models
/// are translated, so that the other services can stand in; all other names go through as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelNames {
    /// Not at all.
    AsIs,
    /// OpenAI: not at all, but it has models that take other parameters.
    OpenAi,
    /// OpenRouter calls them `openai/…`.
    OpenRouter,
    /// Anthropic has none of them: its own takes their place.
    Anthropic,
    /// Groq has none of them: its own takes their place.
    Groq,
    /// Gemini has none of them: its own takes their place.
    Gemini,
}

impl ModelNames {
    /// Of a service that is known by nothing but its address.
    pub(super) fn at(base_url: &str) -> Self {
        if base_url.starts_with("https://api.openai.com/") { Self::OpenAi } else { Self::AsIs }
    }

    /// The service's name for `requested`.
    #[must_use]
    pub fn resolve(self, requested: &str) -> String {
        match self {
            Self::OpenRouter if is_openais(requested) => format!("openai/{requested}"),
            Self::Anthropic if is_openais(requested) => ANTHROPIC_MODEL.to_owned(),
            Self::Groq if is_openais(requested) => GROQ_MODEL.to_owned(),
            Self::Gemini if is_openais(requested) => GEMINI_MODEL.to_owned(),
            _ => requested.to_owned(),
        }
    }

    /// Whether the service takes requests of this endpoint beside those for responses; one that is known by its address alone is thought to
    /// take all, and its 404 goes to the next.
    pub(super) fn speak(self, endpoint: WireEndpoint) -> bool {
        match endpoint {
            WireEndpoint::ChatCompletions => true,
            // Its address tells.
            WireEndpoint::Responses => false,
            WireEndpoint::Embeddings => self != Self::Groq,
            WireEndpoint::Moderations => matches!(self, Self::AsIs | Self::OpenAi),
        }
    }

    /// Whether the model is one of OpenAI's reasoning models, at OpenAI itself.
    pub(super) fn is_reasoning(self, model: &str) -> bool {
        self == Self::OpenAi && (is_o_series(model) || model.starts_with("gpt-5"))
    }
}

/// Which models see pictures.
#[derive(Debug, Clone, Default)]
pub struct Vision {
    named: Vec<String>,
}

impl Vision {
    /// The models of these names, with `*` at the end for any rest; with an empty list, those that are known to see.
    #[must_use]
    pub const fn of(named: Vec<String>) -> Self {
        Self { named }
    }

    /// All models.
    #[must_use]
    pub fn all() -> Self {
        Self::of(vec!["*".to_owned()])
    }

    /// Whether that model sees. `provider/model` counts as `model` too.
    #[must_use]
    pub fn sees(&self, model: &str) -> bool {
        let bare = model.rsplit('/').next().unwrap_or(model);
        if self.named.is_empty() {
            return is_known_to_see(&bare.to_ascii_lowercase());
        }
        self.named.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => model.starts_with(beginning) || bare.starts_with(beginning),
            None => model == name || bare == name,
        })
    }
}

/// By the families' names, as their makers document them.
fn is_known_to_see(model: &str) -> bool {
    const FAMILIES: [&str; 15] = [
        "gpt-4o",
        "gpt-4.1",
        "gpt-4.5",
        "gpt-4-turbo",
        "gpt-5",
        "chatgpt-",
        "claude-",
        "gemini-",
        "gemma-3",
        "llama-4",
        "pixtral",
        "llava",
        "grok-4",
        "mistral-medium-3",
        "mistral-small-3",
    ];
    const BLIND: [&str; 10] = [
        "claude-2",
        "claude-instant",
        "o1-mini",
        "o1-preview",
        "o3-mini",
        "audio",
        "realtime",
        "transcribe",
        "tts",
        "embedding",
    ];
    if BLIND.iter().any(|part| model.contains(part)) {
        return false;
    }
    FAMILIES.iter().any(|family| model.starts_with(family))
        || is_o_series(model)
        || model.contains("vision")
        || model.contains("-vl")
}

/// Whether a model of Anthropic's takes a temperature: from Opus 4.7 and Sonnet 5 on they refuse requests that set one
/// (<https://platform.claude.com/docs/en/models/sonnet-5/overview>). Names that are not Anthropic's are somebody else's.
pub(super) fn takes_temperature(model: &str) -> bool {
    const LATER: [&str; 2] = ["claude-opus-4-7", "claude-opus-4-8"];
    let Some(family) = model.strip_prefix("claude-") else { return true };
    let is_older =
        ["3-", "2", "instant", "opus-4", "sonnet-4", "haiku-4"].iter().any(|known| family.starts_with(known));
    is_older && !LATER.iter().any(|later| model.starts_with(later))
}

fn is_openais(model: &str) -> bool {
    let bare = !model.contains('/');
    bare && (model.starts_with("gpt-") && !model.starts_with("gpt-oss")
        || model.starts_with("chatgpt-")
        || is_o_series(model))
}

/// `o1`, `o3-mini`, `o4-mini` and so on.
fn is_o_series(model: &str) -> bool {
    let mut bytes = model.bytes();
    bytes.next() == Some(b'o')
        && bytes.next().is_some_and(|byte| byte.is_ascii_digit())
        && bytes.next().is_none_or(|byte| byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openais_names_are_translated_and_others_are_not() {
        assert_eq!(ModelNames::OpenRouter.resolve("gpt-4o-mini"), "openai/gpt-4o-mini");
        assert_eq!(ModelNames::OpenRouter.resolve("anthropic/claude-sonnet-4"), "anthropic/claude-sonnet-4");
        assert_eq!(ModelNames::Groq.resolve("o3-mini"), GROQ_MODEL);
        assert_eq!(ModelNames::Groq.resolve("llama-3.1-8b-instant"), "llama-3.1-8b-instant");
        assert_eq!(ModelNames::Groq.resolve("openai/gpt-oss-120b"), "openai/gpt-oss-120b");
        assert_eq!(ModelNames::OpenAi.resolve("gpt-4o-mini"), "gpt-4o-mini");
        assert_eq!(ModelNames::Anthropic.resolve("gpt-4o-mini"), ANTHROPIC_MODEL);
        assert_eq!(ModelNames::Anthropic.resolve("claude-opus-4-1"), "claude-opus-4-1");
    }

    #[test]
    fn models_that_see_are_known_by_their_families() {
        let vision = Vision::default();
        for model in [
            "gpt-4o-mini",
            "gpt-4.1",
            "gpt-5-nano",
            "o1",
            "o3",
            "o4-mini",
            "chatgpt-4o-latest",
            "anthropic/claude-sonnet-4",
            "google/gemini-2.5-flash",
            "meta-llama/llama-4-scout:free",
            "qwen/qwen2.5-vl-72b-instruct",
            "Llama-3.2-90b-Vision-Preview",
            "pixtral-12b",
        ] {
            assert!(vision.sees(model), "{model}");
        }
        for model in [
            "gpt-3.5-turbo",
            "gpt-4",
            "o3-mini",
            "llama-3.3-70b-versatile",
            "mixtral-8x7b",
            "claude-2.1",
            "gpt-4o-audio-preview",
            "echo",
            "",
        ] {
            assert!(!vision.sees(model), "{model}");
        }
    }

    #[test]
    fn the_settings_say_otherwise() {
        let vision = Vision::of(vec!["my-model".to_owned(), "ours/*".to_owned(), "local-*".to_owned()]);
        for model in ["my-model", "somebody/my-model", "ours/anything", "local-1", "endpoint/local-2"] {
            assert!(vision.sees(model), "{model}");
        }
        assert!(!vision.sees("gpt-4o"));
        assert!(Vision::all().sees("anything"));
    }

    #[test]
    fn newer_models_of_anthropics_take_no_temperature() {
        for model in
            ["claude-3-7-sonnet-latest", "claude-sonnet-4-6", "claude-opus-4-20250514", "claude-haiku-4-5", "kimi"]
        {
            assert!(takes_temperature(model), "{model}");
        }
        for model in ["claude-opus-4-7", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-1", "claude-opus-5"] {
            assert!(!takes_temperature(model), "{model}");
        }
    }

    #[test]
    fn reasoning_models_are_known_at_openai_only() {
        for model in ["o1", "o3-mini", "gpt-5", "gpt-5-mini"] {
            assert!(ModelNames::OpenAi.is_reasoning(model), "{model}");
            assert!(!ModelNames::AsIs.is_reasoning(model), "{model}");
        }
        for model in ["gpt-4o", "omni", "o", "o1x"] {
            assert!(!ModelNames::OpenAi.is_reasoning(model), "{model}");
        }
    }
}
