//! What Parlor tells its operator.

use secrecy::SecretString;

use super::reader::Reader;
use super::setting::Choose;

/// What Parlor tells its operator.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// How log lines look.
    pub log_format: LogFormat,
    /// A level, or directives as `tracing_subscriber::EnvFilter` reads them.
    pub log_filter: String,
    /// The bearer token that `/metrics` asks for.
    pub metrics_token: Option<SecretString>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

impl Choose for LogFormat {
    const NAMES: &'static [&'static str] = &["auto", "json", "pretty"];
    const ALL: &'static [Self] = &[Self::Auto, Self::Json, Self::Pretty];
}

impl TelemetrySettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let level = reader.text("telemetry.log_level");
        Self {
            log_format: reader.choice("telemetry.log_format"),
            log_filter: log_filter(&level).unwrap_or_else(|| {
                let what = "expected trace, debug, info, warn, error or off, or a filter such as \
                            `info,parlor_engine=debug`";
                reader.problem("telemetry.log_level", what);
                level
            }),
            metrics_token: reader.opt_secret("telemetry.metrics_token"),
        }
    }
}

/// A level in Rust's or Python's words, or a filter as it is. A lone unknown word is no filter: it would silence
/// everything else.
fn log_filter(text: &str) -> Option<String> {
    let level = match text.to_ascii_lowercase().as_str() {
        "warning" => "warn",
        "critical" | "fatal" => "error",
        level @ ("trace" | "debug" | "info" | "warn" | "error" | "off") => level,
        _ if text.contains(['=', ',']) => text,
        _ => return None,
    }
    .to_owned();
    Some(level)
}
