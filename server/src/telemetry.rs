//! Logs.

use std::io::IsTerminal;

use parlor_engine::config::{LogFormat, TelemetrySettings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// Libraries whose own tracing holds what people say: they stay silent whatever the filter.
const TELLTALES: [&str; 2] = ["tungstenite=warn", "tokio_tungstenite=warn"];

/// Sends logs to standard error: for eyes on a terminal, as JSON elsewhere, unless the settings say which.
pub fn start(settings: &TelemetrySettings) {
    let filter = EnvFilter::try_new(&settings.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = TELLTALES.iter().filter_map(|telltale| telltale.parse().ok()).fold(filter, EnvFilter::add_directive);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let is_json = match settings.log_format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    // An error only says that logging has been started already.
    let _ = if is_json {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).finish().try_init()
    } else {
        builder.with_target(false).finish().try_init()
    };
}
