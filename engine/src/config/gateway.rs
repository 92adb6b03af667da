//! The surface that speaks OpenAI's protocol.

use super::reader::Reader;
use super::setting::Choose;

/// The surface that speaks OpenAI's protocol.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Models that its callers may name besides chat's; `*` is any.
    pub models: Vec<String>,
    /// Its largest request body in bytes.
    pub max_body_bytes: usize,
    /// Calls under way at once.
    pub max_running_calls: usize,
    /// Which of its chat completions become conversations.
    pub store: GatewayStore,
}

/// Which chat completions of the gateway's become conversations of their callers'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GatewayStore {
    /// None.
    #[default]
    Off,
    /// Those that ask for it: `"store": true`.
    Asked,
    /// All but those that ask not to be: `"store": false`.
    On,
}

impl Choose for GatewayStore {
    const NAMES: &'static [&'static str] = &["off", "asked", "on"];
    const ALL: &'static [Self] = &[Self::Off, Self::Asked, Self::On];
}

impl GatewayStore {
    /// Whether a call becomes one that asks so.
    #[must_use]
    pub fn keeps(self, asked: Option<bool>) -> bool {
        match self {
            Self::Off => false,
            Self::Asked => asked == Some(true),
            Self::On => asked != Some(false),
        }
    }
}

impl GatewaySettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            models: reader.list("gateway.models"),
            max_body_bytes: reader.integer("gateway.max_body_bytes"),
            max_running_calls: reader.integer("gateway.max_running_calls"),
            store: reader.choice("gateway.store"),
        }
    }
}
