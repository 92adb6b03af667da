//! How often one may call.

use std::time::Duration;

use super::reader::Reader;

/// How often one may call.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Requests per caller and minute; 0 is no limit.
    pub per_minute: u32,
    /// Requests per caller and hour; 0 is no limit.
    pub per_hour: u32,
    /// Failed logins per account within the window.
    pub login_attempts_per_account: u32,
    /// Failed logins per address within the window.
    pub login_attempts_per_address: u32,
    /// The window in which failed logins are counted.
    pub login_window: Duration,
}

impl LimitSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            per_minute: reader.integer("limits.per_minute"),
            per_hour: reader.integer("limits.per_hour"),
            login_attempts_per_account: reader.integer("limits.login_attempts_per_account"),
            login_attempts_per_address: reader.integer("limits.login_attempts_per_address"),
            login_window: reader.duration("limits.login_window_minutes"),
        }
    }
}
