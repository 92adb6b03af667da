//! Logs.

mod lines;

use std::io::IsTerminal;
use std::sync::OnceLock;

use parlor_engine::config::{LogFormat, TelemetrySettings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use self::lines::Lines;

/// What has been logged and not written yet.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Libraries whose own tracing holds what people say: they stay silent whatever the filter.
const TELLTALES: [&str; 2] = ["tungstenite=warn", "tokio_tungstenite=warn"];

/// Sends logs to standard error, a moment later unless they say that something is wrong: for eyes on a terminal, as JSON elsewhere, unless the settings say which.
pub fn start(settings: &TelemetrySettings) {
    let filter = EnvFilter::try_new(&settings.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = TELLTALES.iter().filter_map(|telltale| telltale.parse().ok()).fold(filter, EnvFilter::add_directive);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines());
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

/// Writes what was logged last. For the end of the process: nobody else will.
pub fn finish() {
    if let Some(lines) = LINES.get() {
        lines.flush();
    }
}

fn lines() -> Lines {
    LINES.get_or_init(|| Lines::new(std::io::stderr())).clone()
}
