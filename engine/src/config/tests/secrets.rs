use super::*;
use crate::config::render;

/// Contains `hunter2`, as every secret below.
const KEY: &str = "hunter2-Zk3-long.Qw8xB5nT1vYd7cPq";

fn full_of_secrets() -> Sources {
    let mut sources = Sources {
        env: env(&[
            ("SECRET_KEY", KEY),
            ("DATABASE_URL", "postgresql+asyncpg://hunter2:hunter2@db.example:5432/chat?password=hunter2"),
            ("DB_PASSWORD", "hunter2"),
            ("OPENAI_API_KEY", "hunter2"),
            ("AI_SERVICES__OPEN_ROUTER_API_KEY_1", "hunter2a"),
            ("AI_SERVICES__OPEN_ROUTER_API_KEY_2", "hunter2b"),
            ("ANTHROPIC_API_KEY", "hunter2"),
            ("AI_SERVICES__GROQ_API_KEY", "hunter2"),
            ("AI_SERVICES__GEMINI_API_KEY", "hunter2"),
            ("EMAIL__GMAIL_APP_PASSWORD", "hunter2"),
            ("EMAIL__SMTP_URL", "smtps://me:hunter2@mail.example"),
            ("REDIS_URL", "redis://:hunter2@cache.example:6379"),
            #[cfg(feature = "mongodb")]
            ("MONGO_URI", "mongodb://me:hunter2@a.example:1,b.example:2/x?appName=hunter2"),
            ("AWS_ACCESS_KEY_ID", "hunter2"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("FILES__URL", "s3://bucket/files"),
            ("METRICS_TOKEN", "hunter2"),
            ("ADMIN_EMAIL", "admin@example.org"),
            ("EMAIL__GMAIL_FROM_EMAIL", "parlor@example.org"),
        ]),
        dotenv: Some(source(".env", "ADMIN_PASSWORD=hunter2hunter2")),
        ..Sources::default()
    };
    sources.flags.insert("server.port".to_owned(), "1".to_owned());
    sources
}

#[test]
fn secrets_show_neither_in_debug_output_nor_in_the_listing() {
    let mut sources = full_of_secrets();
    for _ in 0..2 {
        let (settings, provenance) = Settings::load(&sources).unwrap();
        let listing = render(&provenance);
        for text in [format!("{settings:?}"), format!("{provenance:?}"), format!("{sources:?}"), listing] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        // Once more with MySQL made of its parts.
        sources.env.retain(|(name, _)| name != "DATABASE_URL");
        sources.env.extend(env(&[("DB_HOST", "db.example"), ("DB_NAME", "chat"), ("DB_USER", "me")]));
    }
}

#[test]
fn secrets_show_in_no_error() {
    let mut sources = Sources {
        env: env(&[
            ("SECRET_KEY", "hunter2"),
            ("JWT_SECRET", "hunter2x"),
            ("DATABASE_URL", "postgresql://me:hun#hunter2@db.example/chat"),
            ("DB_HOST", "me:hunter2@db.example"),
            ("OPENAI_API_KEY", "hunter2 hunter2"),
            ("AI_SERVICES__OPEN_ROUTER_API_KEY_1", "hunter2 hunter2"),
            ("OPENAI_BASE_URL", "https://me:hunter2@proxy.example"),
            ("AI_MODEL_ENDPOINT", "https://model.example/?key=hunter2"),
            ("CORS_ORIGINS", "https://me:hunter2@a.example"),
            ("REDIS_URL", "redis://me:hunter2@cache.example:hunter2"),
            ("MONGO_URI", "mongodb://me:hun@/?ter2hunter2@a.example:1,b.example:2/x?k=hunter2"),
            ("ADMIN_PASSWORD", "hunter2"),
        ]),
        dotenv: Some(source(".env", "SECRET KEY: hunter2\nDB_PASSWORD='hunter2\n")),
        file: Some(source("parlor.toml", "[security]\nsecret_key = hunter2\n")),
        ..Sources::default()
    };
    let found = errors(&sources);
    assert!(found.problems().len() >= 13, "{found}");
    assert!(!format!("{found}{found:?}").contains("hunter2"), "{found}");
    sources.file = Some(source("parlor.toml", "[security]\nsecret_key = ['hunter2']\nadmin_password = 2"));
    assert!(!errors(&sources).to_string().contains("hunter2"));
}

#[test]
fn the_listing_shows_value_source_and_what_acts_later() {
    let listing = render(&provenance(&full_of_secrets()));
    let line = |key: &str| {
        let line = listing.lines().find(|line| line.contains(&format!(" {key} "))).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("server.port"), "server.port 1 flag");
    assert_eq!(line("server.host"), "server.host 127.0.0.1 default");
    assert_eq!(line("security.secret_key"), "security.secret_key [redacted] environment SECRET_KEY");
    assert_eq!(line("providers.endpoint"), "providers.endpoint (unset) default");
    assert_eq!(
        line("providers.openrouter_api_keys"),
        "providers.openrouter_api_keys [redacted], [redacted] environment AI_SERVICES__OPEN_ROUTER_API_KEY_1"
    );
    assert_eq!(
        line("database.url"),
        "database.url postgresql+asyncpg://[redacted]@db.example:5432/chat?[redacted] environment DATABASE_URL"
    );
    assert_eq!(
        line("shared.redis_url"),
        "shared.redis_url redis://[redacted]@cache.example:6379 environment REDIS_URL"
    );
    #[cfg(feature = "mongodb")]
    assert!(line("shared.mongo_uri").starts_with("shared.mongo_uri mongodb://[redacted]@"), "{listing}");
    assert_eq!(line("security.admin_password"), "security.admin_password [redacted] .env ADMIN_PASSWORD");
    let starts: std::collections::BTreeSet<_> = listing
        .lines()
        .filter(|line| line.ends_with("default") || line.ends_with("SOURCE"))
        .filter(|line| line.len() < 110)
        .map(|line| line.rfind("  ").unwrap())
        .collect();
    assert_eq!(starts.len(), 1, "the columns line up:\n{listing}");
}
