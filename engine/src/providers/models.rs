//! What a model is called at which service.

use super::wire::WireEndpoint;

/// What Groq answers with when it stands in for OpenAI; <https://console.groq.com/docs/models>.
const GROQ_MODEL: &str = "llama-3.3-70b-versatile";
/// What Gemini answers with when it stands in for OpenAI; <https://ai.google.dev/gemini-api/docs/models>.
const GEMINI_MODEL: &str = "gemini-2.5-flash";

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
            Self::Groq if is_openais(requested) => GROQ_MODEL.to_owned(),
            Self::Gemini if is_openais(requested) => GEMINI_MODEL.to_owned(),
            _ => requested.to_owned(),
        }
    }

    /// Whether the service takes requests of this endpoint; one that is known by its address alone is thought to take
    /// all, and its 404 goes to the next.
    pub(super) fn speak(self, endpoint: WireEndpoint) -> bool {
        match endpoint {
            WireEndpoint::ChatCompletions => true,
            WireEndpoint::Responses => self != Self::Gemini,
            WireEndpoint::Embeddings => self != Self::Groq,
            WireEndpoint::Moderations => matches!(self, Self::AsIs | Self::OpenAi),
        }
    }

    /// Whether the model is one of OpenAI's reasoning models, at OpenAI itself.
    pub(super) fn is_reasoning(self, model: &str) -> bool {
        self == Self::OpenAi && (is_o_series(model) || model.starts_with("gpt-5"))
    }
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
