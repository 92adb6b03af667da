//! The lines on configuration: the built binary reads each name, shows it, and starts with the defaults that the contract gives.

use crate::support::{SECRET, Setup};

/// What `parlor config show` says of a set-up, and whether it is accepted.
fn show(setup: &Setup, arguments: &[&str]) -> (bool, String) {
    let data = tempfile::tempdir().unwrap();
    let shown = setup.command(data.path(), &[&["config", "show"], arguments].concat()).output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap() + &String::from_utf8(shown.stderr).unwrap();
    (shown.status.success(), text)
}

/// The line of a setting in what is shown.
fn line<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text.lines().find(|line| line.split_whitespace().any(|word| word == key));
    line.unwrap_or_else(|| panic!("no {key} in\n{text}"))
}

/// The secret alone, so that everything else has its default.
fn bare() -> Setup {
    let set = ["HOST", "PORT", "GUEST_ACCESS", "SECURITY__BCRYPT_ROUNDS", "LOG_FORMAT"];
    let set = set.into_iter().chain(["RATE_LIMIT__PER_MINUTE", "RATE_LIMIT__PER_HOUR"]);
    set.fold(Setup::new(), Setup::without)
}

#[test]
fn flags_win_over_the_environment_that_over_dotenv_that_over_the_file_and_that_over_defaults() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new().env("CHAT__MODEL", "of-the-environment");
    let shown = |setup: &Setup, arguments: &[&str]| {
        let shown = setup.command(data.path(), &[&["config", "show"], arguments].concat()).output().unwrap();
        line(&String::from_utf8(shown.stdout).unwrap(), "chat.model").to_owned()
    };
    let bare = bare();
    assert!(shown(&bare, &[]).contains("default"));
    std::fs::write(data.path().join("parlor.toml"), "chat.model = \"of-the-file\"\n").unwrap();
    assert!(shown(&bare, &[]).contains("of-the-file"));
    std::fs::write(data.path().join(".env"), "CHAT__MODEL=of-dotenv\n").unwrap();
    assert!(shown(&bare, &[]).contains("of-dotenv"));
    assert!(shown(&setup, &[]).contains("of-the-environment"));
    assert!(shown(&setup, &["--set", "chat.model=of-the-flag"]).contains("of-the-flag"));
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let (accepted, text) = show(&bare().without("DATA_DIR"), &[]);
    assert!(accepted, "{text}");
    for (key, value) in [
        ("server.host", "127.0.0.1"),
        ("server.port", "8000"),
        ("database.pool_size", "20"),
        ("database.max_overflow", "30"),
        ("security.algorithm", "HS256"),
        ("security.bcrypt_rounds", "12"),
        ("security.access_token_expire_minutes", "30"),
        ("security.guest_access", "loopback"),
        ("server.cors_origins", "http://localhost:3000"),
        ("server.health_dialect", "classic"),
        ("server.debug", "false"),
        ("limits.per_minute", "60"),
        ("limits.per_hour", "1000"),
    ] {
        assert!(line(&text, key).split_whitespace().any(|word| word == value), "{}", line(&text, key));
    }
}

#[test]
fn every_name_of_the_table_is_read_from_the_environment() {
    for (names, value) in [
        ("HOST DB_HOST", "127.0.0.1"),
        ("PORT DB_PORT DATABASE_POOL_SIZE DATABASE_MAX_OVERFLOW RATE_LIMIT__PER_MINUTE RATE_LIMIT__PER_HOUR", "9"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES SECURITY__JWT_EXPIRES_IN SECURITY__BCRYPT_ROUNDS", "9"),
        ("DB_USER DB_PASSWORD DB_NAME DB_SSL_CA", "something"),
        ("REDIS_URL", "redis://localhost:6379"),
        ("REDIS_DB", "1"),
        ("MONGO_URI", "mongodb://localhost"),
        ("ALGORITHM JWT_ALGORITHM", "HS512"),
        ("OPENAI_API_KEY AI_SERVICES__OPEN_ROUTER_API_KEY_1 AI_SERVICES__OPEN_ROUTER_API_KEY_2", "sk-1"),
        ("AI_SERVICES__GROQ_API_KEY AI_SERVICES__GEMINI_API_KEY", "sk-1"),
        ("AI_MODEL_ENDPOINT", "http://localhost:8001/generate"),
        ("OPENAI_BASE_URL AI_SERVICES__OPEN_ROUTER_BASE_URL AI_SERVICES__GROQ_BASE_URL", "https://a.example/v1"),
        ("AI_SERVICES__GEMINI_BASE_URL", "https://a.example/v1"),
        ("AI_SERVICES__OPEN_ROUTER_API_KEY_17", "sk-1"),
        ("EMAIL__GMAIL_FROM_EMAIL", "a@example.com"),
        ("EMAIL__GMAIL_APP_PASSWORD", "abcd"),
        ("EMAIL__SMTP_URL", "smtp://localhost"),
        ("DATABASE_URL DATA_DIR", "other.db"),
        ("CORS_ORIGINS", "https://a.example,https://b.example"),
        ("GUEST_ACCESS", "off"),
        ("HEALTH_DIALECT", "full_chatbot"),
        ("TRUSTED_PROXIES", "10.0.0.0/8"),
        ("DEBUG", "true"),
    ] {
        for name in names.split_whitespace() {
            // Some names need others beside them.
            let beside = [("DB_NAME", "chat"), ("EMAIL__GMAIL_FROM_EMAIL", "a@example.com")];
            let setup = beside.into_iter().fold(bare(), |setup, (name, value)| setup.env(name, value));
            let (_, text) = show(&setup.env(name, value), &[]);
            assert!(text.contains(&format!("environment {name}")), "{name}:\n{text}");
        }
    }
}

#[test]
fn every_name_of_the_secret_is_read_and_none_is_shown() {
    for name in ["SECRET_KEY", "JWT_SECRET_KEY", "JWT_SECRET", "SECURITY__JWT_SECRET"] {
        let (accepted, text) = show(&bare().without("SECRET_KEY").env(name, SECRET), &[]);
        assert!(accepted && text.contains(&format!("environment {name}")) && !text.contains(SECRET), "{text}");
    }
}

#[test]
fn every_form_of_database_url_is_read_and_an_unknown_scheme_refuses() {
    for (url, accepted) in [
        ("sqlite:///chatbot.db", true),
        ("sqlite:///./chatbot.db", true),
        ("chatbot.db", true),
        ("postgresql://user:password@localhost/chatbot_db", true),
        ("postgresql+asyncpg://user:password@localhost/chatbot", true),
        ("mysql://user:password@localhost/chat", true),
        ("oracle://user:password@localhost/chat", false),
    ] {
        let (was, text) = show(&bare().env("DATABASE_URL", url), &[]);
        assert_eq!(was, accepted, "{url}: {text}");
        assert!(!text.contains(":password@"), "{text}");
    }
}

#[test]
fn an_algorithm_other_than_hs256_hs384_and_hs512_refuses() {
    for (algorithm, accepted) in [("HS256", true), ("HS384", true), ("HS512", true), ("none", false), ("RS256", false)]
    {
        assert_eq!(show(&bare().env("ALGORITHM", algorithm), &[]).0, accepted, "{algorithm}");
    }
}

#[tokio::test]
async fn with_no_provider_set_the_mock_answers_and_the_log_and_health_say_so() {
    let server = Setup::new().start();
    assert!(server.log().iter().any(|line| line.contains("mock")), "{:?}", server.log());
    let health = crate::kit::send(server.get("/health")).await.expect(200);
    assert_eq!(health["checks"]["provider"], "mock");
}

#[tokio::test]
async fn with_no_mail_set_mails_are_written_to_the_log() {
    let server = Setup::new().start();
    server.sign_up("user@example.com").await;
    let body = serde_json::json!({"email": "user@example.com"});
    crate::kit::send(server.post("/api/v1/auth/password/forgot", &body)).await;
    server.wait_for_log("Reset your password");
}
