//! What a value says when it breaks a rule.

/// A value that parses but breaks a rule. Shown to the caller as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The wire name of the field that is wrong.
    pub field: &'static str,
    /// One sentence for the caller; never repeats a secret.
    pub message: String,
}

impl Invalid {
    /// Says that `field` is wrong, and why.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}
