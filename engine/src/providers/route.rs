//! Which targets answer to a model's name, and by which rules they are asked.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::target::Target;

/// The targets behind a name, and the rules of asking them.
pub(super) struct Route {
    pub(super) hops: Vec<Hop>,
    /// How long one call may take in all.
    pub(super) total: Duration,
}

/// One target of a route.
#[derive(Clone)]
pub(super) struct Hop {
    pub(super) target: Arc<Target>,
    /// The model that it is asked for; `None` for the one that the caller named.
    pub(super) model: Option<String>,
    pub(super) patience: Patience,
}

/// How long a target may keep one waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) first_token: Duration,
    /// For an answer that comes whole.
    pub(super) whole: Duration,
    pub(super) idle: Duration,
}

impl Hop {
    /// The target's name for what was asked for.
    pub(super) fn model<'a>(&'a self, requested: &str) -> Cow<'a, str> {
        match &self.model {
            Some(model) => Cow::Borrowed(model),
            None => Cow::Owned(self.target.provider.resolve_model(requested)),
        }
    }
}
