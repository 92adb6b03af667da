//! The surface that speaks OpenAI's protocol.

use super::reader::Reader;

/// The surface that speaks OpenAI's protocol.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Models that its callers may name besides chat's; `*` is any.
    pub models: Vec<String>,
    /// Its largest request body in bytes.
    pub max_body_bytes: usize,
    /// Calls under way at once.
    pub max_running_calls: usize,
}

impl GatewaySettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            models: reader.list("gateway.models"),
            max_body_bytes: reader.integer("gateway.max_body_bytes"),
            max_running_calls: reader.integer("gateway.max_running_calls"),
        }
    }
}
