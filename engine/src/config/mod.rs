//! How Parlor is configured: flags, then the environment, then `.env`, then `parlor.toml`, then defaults.
//!
//! [`table::TABLE`] names every setting that is one value; what comes in any number is one of `sections`. [`Sources`] holds what was found, [`Settings::load`] checks all of it
//! at once and gives typed settings, and [`render`] shows them with where each came from.

mod certificates;
mod chat;
mod database;
mod database_url;
mod dotenv;
mod errors;
mod example;
mod fields;
mod file;
mod files;
mod gateway;
mod jobs;
mod limits;
mod mail;
mod metering;
mod moderation;
mod mongo_uri;
mod providers;
mod reader;
mod redis_url;
mod resolve;
mod routes;
mod secret_key;
mod sections;
mod security;
mod server;
mod setting;
mod shared;
mod show;
mod sources;
pub mod table;
mod telemetry;
#[cfg(test)]
mod tests;
mod tool_schema;
mod tools;
mod trusted_proxy;
mod upstreams;
mod value;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use certificates::read_certificates;
pub use chat::ChatSettings;
pub use database::DatabaseSettings;
pub use database_url::DatabaseUrl;
pub use errors::ConfigErrors;
pub use example::{env_example, toml_example};
pub use fields::{ApiKey, Milliseconds, Name, Seconds, WebUrl, Weight};
pub use files::{FileSettings, S3Settings};
pub use gateway::{GatewaySettings, GatewayStore};
pub use jobs::JobSettings;
pub use limits::LimitSettings;
pub use mail::MailSettings;
pub use metering::MeteringSettings;
pub use moderation::{ModerationProvider, ModerationRule, ModerationSettings, OutagePolicy};
pub use providers::{
    AnthropicSettings, GeminiSettings, GroqSettings, OpenAiSettings, OpenRouterSettings, ProviderSettings,
};
pub use redis_url::parse as parse_redis_url;
pub use routes::{RouteSettings, Strategy, TargetSettings, Timeouts};
pub use security::{GuestAccess, JwtAlgorithm, PasswordScheme, SecuritySettings};
pub use server::{HealthDialect, ServerSettings};
pub use setting::{Kind, Setting};
pub use shared::SharedSettings;
pub use show::{Provenance, ShownSetting, render};
pub use sources::{SourceText, Sources};
pub use telemetry::{LogFormat, TelemetrySettings};
pub use tool_schema::ToolSchema;
pub use tools::{HttpToolSettings, McpServerSettings, ToolMethod, ToolSettings};
pub use trusted_proxy::{NotANetwork, TrustedProxy};
pub use upstreams::{UpstreamKind, UpstreamSettings};

use reader::Reader;
use resolve::{Resolved, resolve};
use value::Value;

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Parlor listens, and what it lets in.
    pub server: ServerSettings,
    /// Where accounts and conversations are kept.
    pub database: DatabaseSettings,
    /// Who may call, and how that is proved.
    pub security: SecuritySettings,
    /// The AI services.
    pub providers: ProviderSettings,
    /// How answers are asked for.
    pub chat: ChatSettings,
    /// Where attached files are kept.
    pub files: FileSettings,
    /// The surface that speaks OpenAI's protocol.
    pub gateway: GatewaySettings,
    /// How often one may call.
    pub limits: LimitSettings,
    /// What models cost, and how much may be spent.
    pub metering: MeteringSettings,
    /// What models may call.
    pub tools: ToolSettings,
    /// What keeps messages and answers out.
    pub moderation: ModerationSettings,
    /// How mail leaves.
    pub mail: MailSettings,
    /// The work that nobody asks for.
    pub jobs: JobSettings,
    /// What replicas share.
    pub shared: SharedSettings,
    /// What Parlor tells its operator.
    pub telemetry: TelemetrySettings,
}

/// What must be known before a secret can be generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    /// The folder for what Parlor keeps.
    pub data_dir: PathBuf,
    /// Whether any source sets the secret key.
    pub secret_is_set: bool,
}

impl Settings {
    /// Checks `sources` and gives the settings, and where each came from.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn load(sources: &Sources) -> Result<(Self, Provenance), ConfigErrors> {
        let (settings, resolved, _) = Self::assemble(sources);
        if resolved.problems.is_empty() {
            let provenance = resolved.provenance();
            Ok((settings, provenance))
        } else {
            Err(ConfigErrors::new(resolved.problems))
        }
    }

    /// Looks only at what generating a secret needs. Problems wait for [`Settings::load`].
    #[must_use]
    pub fn peek(sources: &Sources) -> Peek {
        let resolved = resolve(sources);
        let value = |key| resolved.entries.get(key).and_then(|entry| entry.value.as_ref());
        let data_dir = match value("server.data_dir") {
            Some(Value::Text(path)) => PathBuf::from(path),
            _ => PathBuf::new(),
        };
        Peek { data_dir, secret_is_set: value("security.secret_key").is_some() }
    }

    /// Defaults over `data_dir`, for tests: a fixed secret, cheap password hashes, guests allowed, the mock provider.
    #[must_use]
    pub fn for_tests(data_dir: &Path) -> Self {
        let flags = [
            ("server.data_dir", data_dir.to_string_lossy().into_owned()),
            ("server.port", "0".to_owned()),
            ("security.secret_key", "t3st-0nly/Vq8ZrK1mWc5YpXh9LsD2uFgB7".to_owned()),
            ("security.bcrypt_rounds", "4".to_owned()),
            ("security.guest_access", "on".to_owned()),
        ];
        let sources = Sources {
            flags: flags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            ..Sources::default()
        };
        Self::assemble(&sources).0
    }

    /// Whether callers without a login are served.
    #[must_use]
    pub fn guests_allowed(&self) -> bool {
        match self.security.guest_access {
            GuestAccess::On => true,
            GuestAccess::Off => false,
            GuestAccess::Loopback => self.server.is_loopback(),
        }
    }

    /// The settings (with defaults for what is wrong), what was resolved, and the keys that were read.
    fn assemble(sources: &Sources) -> (Self, Resolved, BTreeSet<&'static str>) {
        let mut reader = Reader::new(resolve(sources));
        let server = ServerSettings::read(&mut reader);
        let providers = ProviderSettings::read(&mut reader);
        let settings = Self {
            database: DatabaseSettings::read(&mut reader, &server.data_dir),
            files: FileSettings::read(&mut reader, &server.data_dir),
            server,
            security: SecuritySettings::read(&mut reader, sources.generated_secret.as_ref()),
            moderation: ModerationSettings::read(&mut reader, providers.openai.api_key.is_some()),
            providers,
            chat: ChatSettings::read(&mut reader),
            gateway: GatewaySettings::read(&mut reader),
            tools: ToolSettings::read(&mut reader),
            limits: LimitSettings::read(&mut reader),
            metering: MeteringSettings::read(&mut reader),
            mail: MailSettings::read(&mut reader),
            jobs: JobSettings::read(&mut reader),
            shared: SharedSettings::read(&mut reader),
            telemetry: TelemetrySettings::read(&mut reader),
        };
        let (resolved, asked) = reader.finish();
        (settings, resolved, asked)
    }
}
