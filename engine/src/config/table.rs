//! Every setting that Parlor knows, in one table.
//!
//! A row gives the key in `parlor.toml`, the kind of value, the default (empty: unset) and a line of
//! help; `.env` adds environment names and `.later` marks what is accepted but does not act yet.
//! Besides the names given here, each setting answers to its key in capitals with `__` for the dot
//! (`chat.model` is `CHAT__MODEL`). The first name is the one the examples show.
//!
//! A duration's unit is the last word of its name: `…_seconds`, `…_minutes`, `…_hours`, `…_days`, and
//! `…_expires_in`, which counts seconds as OAuth 2's field of that name does.

use super::setting::Kind::{
    Bool, Choice, Database, Email, Endpoint, Host, Integer, Key, Keys, List, Networks, Number, Origins, Path, Secret,
    ServiceUrl, Text, WebUrl,
};
use super::setting::{Choose, DAY, HOUR, Kind, Setting, up_to};
use super::{GuestAccess, HealthDialect, JwtAlgorithm, LogFormat, PasswordScheme};

/// The sections of `parlor.toml`, in the order in which examples and listings show them.
pub const SECTIONS: &[(&str, &str)] = &[
    ("server", "Where Parlor listens, and what it lets in."),
    ("database", "Where accounts and conversations are kept."),
    ("security", "Who may call, and how that is proved."),
    ("providers", "The AI services. With none set, the built-in mock provider answers."),
    ("chat", "How answers are asked for, and how large they may grow."),
    ("files", "Where attached files are kept, and which are taken. Unset: a folder beside the database."),
    ("limits", "How often one may call."),
    ("mail", "How mail leaves. Unset: mails are written to the log."),
    ("shared", "What replicas share. Unset: the same features within one process."),
    ("telemetry", "What Parlor tells its operator."),
];

const fn setting(key: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting::new(key, kind, default, help)
}

const MIB: &str = "1048576";

/// The settings, grouped by section.
#[rustfmt::skip]
pub static TABLE: &[Setting] = &[
    setting("server.host", Host, "127.0.0.1",
        "The address to listen on; 0.0.0.0 is every interface.").env(&["HOST"]),
    setting("server.port", Integer(0, 65_535), "8000",
        "The port to listen on; 0 lets the system choose.").env(&["PORT"]),
    setting("server.data_dir", Path, "./data",
        "The folder for what Parlor keeps: the SQLite database, a generated secret.").env(&["DATA_DIR"]),
    setting("server.public_url", WebUrl, "",
        "Where people reach Parlor: what links in mails begin with. Unset: http://HOST:PORT.").env(&["PUBLIC_URL"]),
    setting("server.cors_origins", Origins, "http://localhost:3000",
        "Web pages of these origins may call, with credentials; so `*` is refused.").env(&["CORS_ORIGINS"]),
    setting("server.trusted_proxies", Networks, "",
        "Addresses or networks (10.0.0.0/8) whose X-Forwarded-For is believed.").env(&["TRUSTED_PROXIES"]),
    setting("server.outbound_hosts", List, "",
        "The only hosts that addresses from elsewhere may lead to, besides those of tools; empty: any at a public address, on port 80 or 443."),
    setting("server.health_dialect", Choice(HealthDialect::NAMES), "classic",
        "Whose answer GET /health gives.").env(&["HEALTH_DIALECT"]),
    setting("server.debug", Bool, "false",
        "Log more, for development.").env(&["DEBUG"]),
    setting("server.max_connections", Integer(1, 1_000_000), "10000",
        "Connections open at once; more wait to be accepted."),
    setting("server.max_body_bytes", Integer(1_024, 1_073_741_824), MIB,
        "The largest request body; a larger one is refused with 413."),
    setting("server.shutdown_grace_seconds", up_to(HOUR).or_zero(), "25",
        "How long running answers may take to finish after a stop signal."),
    setting("server.keep_alive_seconds", up_to(HOUR), "15",
        "A silent stream says `: keep-alive` this often."),

    setting("database.url", Database, "",
        "sqlite:///chatbot.db, postgresql://… or mysql://…. Unset: chatbot.db in the data folder.").env(&["DATABASE_URL"]),
    setting("database.user", Text, "",
        "With database.url unset, this and the following make a MySQL URL.").env(&["DB_USER"]),
    setting("database.password", Secret, "",
        "The MySQL user's password.").env(&["DB_PASSWORD"]),
    setting("database.host", Host, "",
        "The MySQL server (localhost when only the name is set).").env(&["DB_HOST"]),
    setting("database.port", Integer(1, 65_535), "3306",
        "The MySQL server's port.").env(&["DB_PORT"]),
    setting("database.name", Text, "",
        "The MySQL database.").env(&["DB_NAME"]),
    setting("database.ssl_ca", Path, "",
        "The certificate (PEM) that the MySQL server's is checked against.").env(&["DB_SSL_CA"]),
    setting("database.pool_size", Integer(1, 1_000), "20",
        "Connections kept to a database server.").env(&["DATABASE_POOL_SIZE"]).later(),
    setting("database.max_overflow", Integer(0, 1_000), "30",
        "Connections above pool_size when it is busy.").env(&["DATABASE_MAX_OVERFLOW"]).later(),
    setting("database.busy_timeout_seconds", up_to(HOUR), "5",
        "How long a query waits for a busy database."),

    setting("security.secret_key", Secret, "",
        "Required. Signs tokens: 32 random characters or more, e.g. from `openssl rand -base64 48`.")
        .env(&["SECRET_KEY", "JWT_SECRET_KEY", "JWT_SECRET", "SECURITY__JWT_SECRET"]),
    setting("security.algorithm", Choice(JwtAlgorithm::NAMES), "HS256",
        "How tokens are signed.").env(&["ALGORITHM", "JWT_ALGORITHM"]),
    setting("security.access_token_expire_minutes", up_to(30 * DAY), "30",
        "How long an access token is good.").env(&["ACCESS_TOKEN_EXPIRE_MINUTES", "SECURITY__JWT_EXPIRES_IN"]),
    setting("security.refresh_token_days", up_to(365 * DAY), "7",
        "How long a refresh token is good."),
    setting("security.bcrypt_rounds", Integer(4, 16), "12",
        "bcrypt's work factor; each step doubles the time of a login."),
    setting("security.password_hash", Choice(PasswordScheme::NAMES), "bcrypt-sha256",
        "How new passwords are hashed; older hashes keep working."),
    setting("security.guest_access", Choice(GuestAccess::NAMES), "loopback",
        "Whether callers without a login are served; `loopback`: only while listening on a loopback address.")
        .env(&["GUEST_ACCESS"]),
    setting("security.require_verified_email", Bool, "false",
        "Whether signing in waits until the account's address has been verified."),
    setting("security.admin_email", Email, "",
        "On an empty database, makes the first admin, together with admin_password.").env(&["ADMIN_EMAIL"]),
    setting("security.admin_password", Secret, "",
        "The first admin's password: 8 to 128 characters.").env(&["ADMIN_PASSWORD"]),

    setting("providers.openai_api_key", Key, "",
        "OpenAI's key.").env(&["OPENAI_API_KEY", "AI_SERVICES__OPENAI_API_KEY"]),
    setting("providers.openai_base_url", WebUrl, "https://api.openai.com/v1",
        "Where OpenAI's API is.").env(&["OPENAI_BASE_URL", "AI_SERVICES__OPENAI_BASE_URL"]),
    setting("providers.openrouter_api_keys", Keys, "",
        "OpenRouter's keys, used in turn: _1, _2 and as many as there are.").env(&["AI_SERVICES__OPEN_ROUTER_API_KEY_#"]),
    setting("providers.openrouter_base_url", WebUrl, "https://openrouter.ai/api/v1",
        "Where OpenRouter's API is.").env(&["AI_SERVICES__OPEN_ROUTER_BASE_URL"]),
    setting("providers.groq_api_key", Key, "",
        "Groq's key.").env(&["AI_SERVICES__GROQ_API_KEY"]),
    setting("providers.groq_base_url", WebUrl, "https://api.groq.com/openai/v1",
        "Where Groq's API is.").env(&["AI_SERVICES__GROQ_BASE_URL"]),
    setting("providers.gemini_api_key", Key, "",
        "Gemini's key.").env(&["AI_SERVICES__GEMINI_API_KEY"]),
    setting("providers.gemini_base_url", WebUrl, "https://generativelanguage.googleapis.com/v1beta",
        "Where Gemini's API is.").env(&["AI_SERVICES__GEMINI_BASE_URL"]),
    setting("providers.endpoint", Endpoint, "",
        "Any OpenAI-compatible base URL, or a plain generate endpoint.").env(&["AI_MODEL_ENDPOINT"]),
    setting("providers.connect_timeout_seconds", up_to(HOUR), "5",
        "How long connecting to a provider may take."),
    setting("providers.first_token_timeout_seconds", up_to(HOUR), "60",
        "How long a provider may think before a streamed answer begins."),
    setting("providers.whole_timeout_seconds", up_to(HOUR), "120",
        "How long an answer that is asked for in one piece may take to come; then the next try."),
    setting("providers.idle_timeout_seconds", up_to(HOUR), "60",
        "How long an answer may pause once begun."),
    setting("providers.total_timeout_seconds", up_to(DAY), "600",
        "How long one answer may take in all."),
    setting("providers.max_retries", Integer(0, 10), "2",
        "Further attempts after one that failed before its first token."),
    setting("providers.retry_share", Number(0.0, 1.0), "0.2",
        "The most retries for each call of a target, over many calls; a few are always allowed."),
    setting("providers.breaker_failures", Integer(1, 1_000), "5",
        "Failures in a row after which a provider is left alone."),
    setting("providers.breaker_cooldown_seconds", up_to(HOUR), "30",
        "How long it is then left alone."),

    setting("chat.model", Text, "gpt-4o-mini",
        "The model that answers unless the caller names another."),
    setting("chat.models", List, "",
        "Models that a caller may name besides; `*` allows any."),
    setting("chat.system_prompt", Text, "You are a helpful assistant chatbot.",
        "What the model is told first."),
    setting("chat.temperature", Number(0.0, 2.0), "0.7",
        "How varied answers are: 0 (steady) to 2."),
    setting("chat.max_tokens", Integer(1, 1_000_000), "1024",
        "The longest answer, in tokens, unless its asker prefers otherwise."),
    setting("chat.titles", Bool, "false",
        "Whether the model gives a conversation its title after the first answer; each title is a call of its own, metered as `title`."),
    setting("chat.vision_models", List, "",
        "Models that see pictures, `*` at the end for any rest. Unset: those that are known to."),
    setting("chat.images", Integer(0, 100), "8",
        "Pictures that go with a message and its history, the newest first."),
    setting("chat.image_bytes", Integer(0, 67_108_864), "16777216",
        "How large those that are files may be in all."),
    setting("chat.context_tokens", Integer(1, 10_000_000), "8000",
        "How much history goes with a message, in tokens."),
    setting("chat.message_max_chars", Integer(1, 10_000_000), "32000",
        "The longest message, in characters."),
    setting("chat.answer_max_bytes", Integer(1_024, 1_073_741_824), MIB,
        "An answer is cut off here, whatever the provider sends."),
    setting("chat.max_running_turns", Integer(1, 1_000_000), "2000",
        "Answers being made at once."),
    setting("chat.checkpoint_interval_seconds", up_to(HOUR), "5",
        "How often a running answer is saved."),
    setting("chat.idempotency_ttl_hours", up_to(30 * DAY), "24",
        "How long an Idempotency-Key is remembered."),

    setting("files.url", ServiceUrl(&["s3"]), "",
        "s3://bucket or s3://bucket/prefix, for this Parlor alone. Unset: the folder `files` in the data folder."),
    setting("files.endpoint", WebUrl, "",
        "Where the S3 service is. Unset: Amazon's own.").env(&["AWS_ENDPOINT_URL"]),
    setting("files.region", Text, "us-east-1",
        "The bucket's region.").env(&["AWS_REGION"]),
    setting("files.access_key_id", Key, "",
        "The key's id. Without a key, the role that the machine has counts.").env(&["AWS_ACCESS_KEY_ID"]),
    setting("files.secret_access_key", Key, "",
        "The key itself.").env(&["AWS_SECRET_ACCESS_KEY"]),
    setting("files.max_bytes", Integer(1, 1_073_741_824), "20971520",
        "The largest file; a larger one is refused with 413."),
    setting("files.per_account_bytes", Integer(0, 1_000_000_000_000_000), "1073741824",
        "What one account may keep in all; 0 is nothing."),
    setting("files.types", List, "image/png,image/jpeg,image/gif,image/webp,application/pdf,text/plain,text/markdown,text/csv,application/json",
        "What is taken, by what the content shows it to be; `*` allows any."),

    setting("limits.per_minute", Integer(0, 1_000_000), "60",
        "Requests per caller and minute, ten times as many per address; 0 is no limit.").env(&["RATE_LIMIT__PER_MINUTE"]),
    setting("limits.per_hour", Integer(0, 1_000_000_000), "1000",
        "Requests per caller and hour, ten times as many per address; 0 is no limit.").env(&["RATE_LIMIT__PER_HOUR"]),
    setting("limits.login_attempts_per_account", Integer(1, 1_000_000), "10",
        "Failed logins per account within the window."),
    setting("limits.login_attempts_per_address", Integer(1, 1_000_000), "50",
        "Failed logins per address within the window."),
    setting("limits.login_window_minutes", up_to(DAY), "15",
        "The window in which failed logins are counted."),

    setting("mail.from_email", Email, "",
        "The address that mails come from.").env(&["EMAIL__GMAIL_FROM_EMAIL"]),
    setting("mail.app_password", Secret, "",
        "Gmail's app password for that address.").env(&["EMAIL__GMAIL_APP_PASSWORD"]),
    setting("mail.smtp_url", ServiceUrl(&["smtp", "smtps"]), "",
        "Another server than Gmail's: smtps://user:password@host, or smtp:// for STARTTLS.").env(&["EMAIL__SMTP_URL"]),

    setting("shared.redis_url", ServiceUrl(&["redis", "rediss"]), "",
        "Redis, for more than one replica.").env(&["REDIS_URL"]).later(),
    setting("shared.redis_db", Integer(0, 65_535), "0",
        "The number of the Redis database.").env(&["REDIS_DB"]).later(),
    setting("shared.mongo_uri", ServiceUrl(&["mongodb", "mongodb+srv"]), "",
        "MongoDB, where finished turns and analytics events are also written.").env(&["MONGO_URI"]).later(),

    setting("telemetry.log_format", Choice(LogFormat::NAMES), "auto",
        "`auto`: pretty on a terminal, JSON otherwise.").env(&["LOG_FORMAT"]),
    setting("telemetry.log_level", Text, "info",
        "A level, or a filter such as `info,parlor_engine=debug`.").env(&["LOG_LEVEL"]),
    setting("telemetry.metrics_token", Key, "",
        "The bearer token that /metrics asks for.").env(&["METRICS_TOKEN"]),
];

/// The row whose key in `parlor.toml` is `key`.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.key == key)
}
