//! `parlor config show`, and configurations that cannot work.

use super::{err, out, run};
use crate::support::{SECRET, Setup};

#[test]
fn the_configuration_is_shown_with_its_sources_and_without_its_secrets() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("parlor.toml"), "[chat]\nmodel = \"from-the-file\"\n").unwrap();
    std::fs::write(data.path().join(".env"), "AI_SERVICES__GROQ_API_KEY=gsk-hidden-1\nLOG_LEVEL=debug\n").unwrap();
    let setup = Setup::new()
        .env("OPENAI_API_KEY", "sk-hidden-2")
        .env("AI_SERVICES__OPEN_ROUTER_API_KEY_1", "or-hidden-3")
        .env("AI_SERVICES__OPEN_ROUTER_API_KEY_2", "or-hidden-4")
        .env("ADMIN_EMAIL", "admin@example.com")
        .env("ADMIN_PASSWORD", "hidden-5-password")
        .env("METRICS_TOKEN", "hidden-6-0123456789abcdef01234567")
        .env("REDIS_URL", "redis://user:hidden-7@cache:6379");
    let shown = run(&setup, data.path(), &["config", "show", "--set", "chat.temperature=0.1"]);
    assert!(shown.status.success(), "{}", err(&shown));
    let text = out(&shown);
    assert!(!text.contains("hidden") && !text.contains(SECRET), "{text}");
    let line = |key: &str| {
        let line = text.lines().find(|line| line.split_whitespace().any(|word| word == key));
        line.unwrap_or_else(|| panic!("no {key} in\n{text}")).to_owned()
    };
    for (key, value, source) in [
        ("chat.temperature", "0.1", "flag"),
        ("security.secret_key", "[redacted]", "SECRET_KEY"),
        ("telemetry.log_level", "debug", ".env"),
        ("chat.model", "from-the-file", "parlor.toml"),
        ("chat.max_tokens", "1024", "default"),
        ("providers.openrouter_api_keys", "[redacted], [redacted]", "environment"),
        ("shared.redis_url", "redis://[redacted]@cache:6379", "REDIS_URL"),
    ] {
        assert!(line(key).contains(value) && line(key).contains(source), "{}", line(key));
    }
}

#[test]
fn all_problems_are_told_at_once_one_line_each_with_exit_code_2() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new()
        .env("PORT", "eighty")
        .env("ALGORITHM", "none")
        .env("CORS_ORIGINS", "*")
        .env("DATABASE_URL", "oracle://scott:tiger-hidden@host/db")
        .env("REDIS_URL", "redis://:hidden@:notaport")
        .env("MONGO_URI", "mongodb://me:hidden@")
        .env("SECRET_KEY", "your_secure_random_string_here");
    for command in
        [&["serve"][..], &["migrate"], &["db", "show"], &["config", "show"], &["user", "create", "--email", "a@b.de"]]
    {
        let refused = run(&setup, data.path(), command);
        assert_eq!(refused.status.code(), Some(2), "{command:?}");
        let text = err(&refused);
        assert_eq!(text.lines().count(), 7, "{command:?}:\n{text}");
        assert!(text.lines().all(|line| line.starts_with("parlor: ")), "{text}");
        for name in [
            "server.port",
            "security.algorithm",
            "server.cors_origins",
            "database.url",
            "security.secret_key",
            "shared.redis_url",
            "shared.mongo_uri",
        ] {
            assert!(text.contains(name), "no {name} in\n{text}");
        }
        assert!(!text.contains("hidden") && !text.contains("your_secure"), "{text}");
    }
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn certificates_that_redis_cannot_be_checked_against_are_told_before_anything_is_made() {
    let data = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words.pem");
    std::fs::write(&words, "no certificate").unwrap();
    for (path, why) in [("/no/such/file.pem", "cannot be read"), (words.to_str().unwrap(), "no certificate in PEM")] {
        let setup = Setup::new().env("REDIS_URL", "rediss://:hidden@cache").env("REDIS_SSL_CA", path).env("PORT", "x");
        let refused = run(&setup, data.path(), &["serve"]);
        assert_eq!(refused.status.code(), Some(2));
        let text = err(&refused);
        assert!(text.contains("shared.redis_ssl_ca (environment REDIS_SSL_CA)") && text.contains(why), "{text}");
        assert!(text.contains("server.port") && !text.contains("hidden"), "{text}");
    }
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_flag_that_says_nothing_is_told_with_exit_code_2() {
    let data = tempfile::tempdir().unwrap();
    for arguments in [
        &["config", "show", "--set", "chat.model"][..],
        &["config", "show", "--set", "no.such=1"],
        &["nonsense"],
        &["serve", "--port", "eighty"],
    ] {
        assert_eq!(run(&Setup::new(), data.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_exit_code_1() {
    let server = Setup::new().start();
    let port = server.authority().rsplit(':').next().unwrap().to_owned();
    let data = tempfile::tempdir().unwrap();
    let refused = run(&Setup::new().env("PORT", &port), data.path(), &["serve"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("cannot listen on"), "{}", err(&refused));
}

#[tokio::test]
async fn a_second_server_on_the_same_database_is_refused() {
    let server = Setup::new().start();
    let refused = server.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("in use by another"), "{}", err(&refused));
}

#[test]
fn the_version_and_the_help_are_told() {
    let data = tempfile::tempdir().unwrap();
    let version = run(&Setup::new(), data.path(), &["--version"]);
    assert_eq!(out(&version), format!("parlor {}\n", env!("CARGO_PKG_VERSION")));
    let help = out(&run(&Setup::new(), data.path(), &["--help"]));
    for command in ["serve", "migrate", "db", "user", "config", "openapi"] {
        assert!(help.contains(command), "{help}");
    }
}
