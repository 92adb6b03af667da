use std::collections::BTreeSet;

use super::*;
use crate::config::Kind;
use crate::config::setting::unit_of;
use crate::config::table::{SECTIONS, TABLE};
use secrecy::ExposeSecret as _;

/// A good value for each kind that is no setting's default.
fn sample(key: &str, kind: Kind) -> String {
    match kind {
        Kind::Bool => "yes".to_owned(),
        Kind::Integer(min, _) => (min + 1).to_string(),
        Kind::Number(..) => "0.25".to_owned(),
        Kind::Duration { .. } => "0.5".to_owned(),
        Kind::Choice(names) => (*names.last().unwrap()).to_owned(),
        Kind::Email => "someone@example.org".to_owned(),
        Kind::Origins | Kind::WebUrl | Kind::Endpoint => "https://one.example".to_owned(),
        Kind::Networks => "10.1.0.0/16".to_owned(),
        Kind::ServiceUrl(schemes) => format!("{}://u:pw@one.example", schemes[0]),
        Kind::Redis => "rediss://u:pw@one.example/1".to_owned(),
        Kind::Mongo => "mongodb://u:pw@one.example,two.example/chat".to_owned(),
        Kind::Database => "other.db".to_owned(),
        Kind::Cron => "5 4 * * *".to_owned(),
        Kind::Text if key == "telemetry.log_level" => "debug".to_owned(),
        Kind::Secret if key == "security.secret_key" => SECRET.to_owned(),
        Kind::Text | Kind::Secret | Kind::Key | Kind::Keys | Kind::Path | Kind::Host | Kind::List => {
            "something".to_owned()
        }
    }
}

/// What must be set besides so that `key` alone is no contradiction.
fn companions(key: &str) -> &'static [(&'static str, &'static str)] {
    match key {
        "database.host" => &[("DB_NAME", "chat")],
        "security.admin_email" => &[("ADMIN_PASSWORD", "12345678")],
        "security.admin_password" => &[("ADMIN_EMAIL", "a@b.example")],
        "moderation.provider" => &[("MODERATION__API_KEY", "sk-1")],
        "mail.app_password" | "mail.smtp_url" => &[("EMAIL__GMAIL_FROM_EMAIL", "a@b.example")],
        _ => &[],
    }
}

/// Every setting that this build takes.
fn accepted() -> impl Iterator<Item = &'static crate::config::Setting> {
    TABLE.iter().filter(|setting| cfg!(feature = "mongodb") || setting.key != "shared.mongo_uri")
}

#[test]
fn every_environment_name_of_the_table_sets_its_setting() {
    for setting in accepted() {
        for name in setting.env_names() {
            let name = name.replace('#', "17");
            let mut pairs = companions(setting.key).to_vec();
            let value = sample(setting.key, setting.kind);
            pairs.push((&name, &value));
            let mut sources = with_env(&pairs);
            assert_eq!(shown(&sources, setting.key).1, format!("environment {name}"));
            sources.env = env(companions(setting.key));
            sources.dotenv = Some(source(".env", &format!("{name}={value}\n")));
            assert_eq!(shown(&sources, setting.key).1, format!(".env {name}"));
        }
    }
}

#[test]
fn every_flag_and_file_key_of_the_table_sets_its_setting() {
    for setting in accepted() {
        let value = sample(setting.key, setting.kind);
        let mut sources = with_env(companions(setting.key));
        sources.flags.insert(setting.key.to_owned(), value.clone());
        assert_eq!(shown(&sources, setting.key).1, "flag");
        sources.flags.clear();
        sources.flags.insert("security.secret_key".to_owned(), SECRET.to_owned());
        sources.file = Some(source("parlor.toml", &format!("{} = {value:?}", setting.key)));
        if setting.key != "security.secret_key" {
            assert_eq!(shown(&sources, setting.key).1, "parlor.toml");
        }
    }
}

#[test]
fn the_names_of_the_documents_are_in_the_table() {
    let known: BTreeSet<String> = TABLE.iter().flat_map(|setting| setting.env_names()).collect();
    let documented = "HOST PORT DATA_DIR DATABASE_URL DATABASE_POOL_SIZE DATABASE_MAX_OVERFLOW DB_USER \
        DB_PASSWORD DB_HOST DB_PORT DB_NAME DB_SSL_CA REDIS_URL REDIS_DB MONGO_URI SECRET_KEY JWT_SECRET_KEY \
        JWT_SECRET SECURITY__JWT_SECRET ALGORITHM JWT_ALGORITHM ACCESS_TOKEN_EXPIRE_MINUTES \
        SECURITY__JWT_EXPIRES_IN SECURITY__BCRYPT_ROUNDS OPENAI_API_KEY AI_SERVICES__OPEN_ROUTER_API_KEY_# \
        AI_SERVICES__GROQ_API_KEY AI_SERVICES__GEMINI_API_KEY AI_MODEL_ENDPOINT OPENAI_BASE_URL \
        AI_SERVICES__OPEN_ROUTER_BASE_URL AI_SERVICES__GROQ_BASE_URL AI_SERVICES__GEMINI_BASE_URL \
        EMAIL__GMAIL_FROM_EMAIL EMAIL__GMAIL_APP_PASSWORD EMAIL__SMTP_URL CORS_ORIGINS GUEST_ACCESS \
        HEALTH_DIALECT TRUSTED_PROXIES DEBUG RATE_LIMIT__PER_MINUTE RATE_LIMIT__PER_HOUR ADMIN_EMAIL \
        ADMIN_PASSWORD SERVER__MAX_CONNECTIONS SERVER__MAX_BODY_BYTES SERVER__SHUTDOWN_GRACE_SECONDS \
        SERVER__KEEP_ALIVE_SECONDS SECURITY__REFRESH_TOKEN_DAYS SECURITY__PASSWORD_HASH LOG_FORMAT LOG_LEVEL \
        METRICS_TOKEN CHAT__MODEL CHAT__MODELS PROVIDERS__CONNECT_TIMEOUT_SECONDS";
    for name in documented.split_whitespace() {
        assert!(known.contains(name), "{name}");
    }
}

#[test]
fn no_name_stands_for_two_settings() {
    let names: Vec<String> = TABLE.iter().flat_map(|setting| setting.env_names()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    let keys: BTreeSet<&str> = TABLE.iter().map(|setting| setting.key).collect();
    assert_eq!(keys.len(), TABLE.len());
}

#[test]
fn every_setting_reaches_the_typed_settings_and_has_a_section_and_help() {
    let (_, resolved, asked) = Settings::assemble(&sources());
    assert_eq!(resolved.problems, Vec::<String>::new());
    for setting in TABLE {
        assert!(asked.contains(setting.key), "{}", setting.key);
        assert!(setting.help.ends_with(['.', ']']), "{}", setting.key);
        let section = setting.section_and_name().0;
        assert!(SECTIONS.iter().any(|&(known, _)| known == section), "{}", setting.key);
    }
}

#[test]
fn every_name_of_a_duration_tells_its_unit() {
    for setting in TABLE.iter().filter(|setting| matches!(setting.kind, Kind::Duration { .. })) {
        for name in setting.env_names().iter().map(String::as_str).chain([setting.key]) {
            assert!(unit_of(name).is_some(), "{name}");
        }
    }
}

#[test]
fn numbered_keys_come_in_the_order_of_their_numbers() {
    let settings = load(&with_env(&[
        ("AI_SERVICES__OPEN_ROUTER_API_KEY_10", "ten"),
        ("AI_SERVICES__OPEN_ROUTER_API_KEY_2", "two"),
        ("AI_SERVICES__OPEN_ROUTER_API_KEY_3", ""),
        ("AI_SERVICES__OPEN_ROUTER_API_KEY_1", "one"),
        ("AI_SERVICES__OPEN_ROUTER_API_KEY", "zero"),
    ]));
    let keys = settings.providers.openrouter.api_keys;
    let keys: Vec<&str> = keys.iter().map(|key| key.expose_secret()).collect();
    assert_eq!(keys, ["zero", "one", "two", "ten"]);
}
