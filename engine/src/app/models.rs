//! Which models may be asked for: those that the settings name, and those that routes answer to.

use super::App;
use crate::domain::Invalid;

/// The longest name of a model, in bytes.
const NAME_MAX: usize = 200;

impl App {
    /// The models that a message may ask for by name, the default first: those of the settings, and the names and aliases of routes. Others
    /// may be allowed too, by `*`.
    #[must_use]
    pub fn offered_models(&self) -> Vec<String> {
        self.models_offered_with(&[])
    }

    /// The same with those of one surface besides.
    pub(in crate::app) fn models_offered_with(&self, besides: &[String]) -> Vec<String> {
        let chat = &self.settings.chat;
        let set = std::iter::once(&chat.model).chain(&chat.models).map(String::as_str);
        let named = set.chain(self.providers.route_names()).chain(besides.iter().map(String::as_str));
        let mut models: Vec<String> = Vec::new();
        for model in named.filter(|&model| model != "*") {
            if !models.iter().any(|known| known == model) {
                models.push(model.to_owned());
            }
        }
        models
    }

    /// Whether a caller may name that model, on a surface that offers some besides.
    pub(in crate::app) fn offers_model(&self, model: &str, besides: &[String]) -> bool {
        let chat = &self.settings.chat;
        let listed = |models: &[String]| models.iter().any(|known| known == model || known == "*");
        is_name(model)
            && (model == chat.model || listed(&chat.models) || listed(besides) || self.providers.has_route(model))
    }

    /// The model that a message asks for, when its sender may.
    pub(in crate::app) fn allowed_model(&self, wanted: Option<&str>) -> Result<String, Invalid> {
        match wanted.map(str::trim).filter(|model| !model.is_empty()) {
            None => Ok(self.settings.chat.model.clone()),
            Some(model) if !is_name(model) => Err(Invalid::new("model", "model is not a model's name")),
            Some(model) if self.offers_model(model, &[]) => Ok(model.to_owned()),
            Some(_) => Err(Invalid::new("model", "this model is not offered here")),
        }
    }
}

fn is_name(model: &str) -> bool {
    model.len() <= NAME_MAX && !model.chars().any(char::is_control)
}
