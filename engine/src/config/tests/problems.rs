use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;

#[test]
fn all_problems_are_told_together() {
    let mut sources = Sources {
        env: env(&[
            ("PORT", "eighty"),
            ("ALGORITHM", "none"),
            ("CORS_ORIGINS", "*"),
            ("TRUSTED_PROXIES", "10.0.0.0/99"),
            ("DATABASE_URL", "oracle://u:pw@h/db"),
        ]),
        dotenv: Some(source(".env", "DEBUG=maybe\nthis is no assignment\n")),
        file: Some(source("parlor.toml", "[server]\nprot = 1\n[security]\nbcrypt_rounds = 99\n")),
        ..Sources::default()
    };
    sources.flags.insert("server.hots".to_owned(), "x".to_owned());
    let errors = errors(&sources);
    let expected = [
        "flag: unknown setting \"server.hots\"",
        "parlor.toml: unknown key \"server.prot\"; did you mean \"server.port\"?",
        ".env: line 2 is not NAME=value",
        "server.port (environment PORT): expected a whole number from 0 to 65535, got \"eighty\"",
        "server.cors_origins (environment CORS_ORIGINS): expected the origins by name: `*` would let every web \
         page call with its visitor's credentials",
        "server.trusted_proxies (environment TRUSTED_PROXIES): expected IP addresses or networks such as \
         10.0.0.1 or 10.0.0.0/8, got \"10.0.0.0/99\"",
        "server.debug (.env DEBUG): expected true or false (or 1, 0, on, off, yes, no), got \"maybe\"",
        "database.url (environment DATABASE_URL): expected a path, sqlite:///path, postgresql://… or mysql://…; \
         this scheme is not supported",
        "security.algorithm (environment ALGORITHM): expected HS256, HS384 or HS512, got \"none\"",
        "security.bcrypt_rounds (parlor.toml): expected a whole number from 4 to 16, got \"99\"",
    ];
    assert_eq!(errors.problems(), expected);
    assert_eq!(errors.to_string().lines().count(), expected.len());
}

#[test]
fn a_mistake_in_a_weaker_source_is_told_too() {
    let mut sources = with_file("server.port = 70000");
    sources.env = env(&[("PORT", "80")]);
    assert!(problem(&sources).starts_with("server.port (parlor.toml): expected"));
}

#[test]
fn a_missing_secret_is_told_unless_the_file_is_unreadable() {
    let missing = problem(&Sources::default());
    assert!(missing.starts_with("security.secret_key: is not set"), "{missing}");
    let sources = Sources { file: Some(source("parlor.toml", "\n\nx = = 1")), ..Sources::default() };
    assert_eq!(problem(&sources), "parlor.toml: line 3 is not TOML (are texts in quotes?)");
}

#[test]
fn an_insecure_secret_is_refused() {
    let long_placeholder = "your_secret_key_your_secret_key_1234567";
    for (secret, why) in [
        ("short", "shorter than 32"),
        ("Zk3-long_and-random.Qw8xB5nT1vY", "shorter than 32"),
        ("your_secret_key", "placeholder"),
        (long_placeholder, "placeholder"),
        ("your_secure_random_string_here", "placeholder"),
        ("ChangeMe-ChangeMe-ChangeMe-ChangeMe-1", "placeholder"),
        ("please-change-this-key-in-production!", "placeholder"),
        ("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", "placeholder"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "repeats"),
        ("abababababababababababababababababab", "repeats"),
        ("Qw8xB5nT1vYd7cZkQw8xB5nT1vYd7cZk", "repeats"),
        ("0123456789012345678901234567890123456789", "repeats"),
        ("abcdefghijklmnopqrstuvwxyz0123456789", "repeats"),
    ] {
        let problem = problem(&with_env(&[("SECRET_KEY", secret)]));
        assert!(problem.contains(why), "{secret}: {problem}");
        assert!(problem.starts_with("security.secret_key (environment SECRET_KEY): "), "{problem}");
    }
}

#[test]
fn random_secrets_are_accepted() {
    for secret in [
        "b3f1c2a4d5e69788796a5b4c3d2e1f00",
        "1zJ5Zr0m5mW4o3m2Hq3rYb1PjXlC9uQk7sVtN8fGdAE",
        "correct battery, staple horse; over 7 hills",
        "83027465917364509182736450918273",
    ] {
        load(&with_env(&[("SECRET_KEY", secret)]));
    }
}

#[test]
fn of_two_names_that_disagree_the_first_holds_and_a_note_says_so() {
    let other = "5d0c1f6e9b7a48d2a3c4e5f607182930";
    let sources = with_env(&[("SECRET_KEY", SECRET), ("SECURITY__JWT_SECRET", other)]);
    let (settings, provenance) = Settings::load(&sources).unwrap();
    assert_eq!(settings.security.secret_key.expose_secret(), SECRET);
    let expected = "security.secret_key: environment SECRET_KEY and environment SECURITY__JWT_SECRET say different \
                    things; the first of them holds";
    assert_eq!(provenance.notes(), [expected]);
    let agreeing = with_env(&[("SECRET_KEY", SECRET), ("JWT_SECRET_KEY", SECRET), ("JWT_SECRET", "")]);
    assert!(Settings::load(&agreeing).unwrap().1.notes().is_empty());
    let ttl = with_env(&[("ACCESS_TOKEN_EXPIRE_MINUTES", "30"), ("SECURITY__JWT_EXPIRES_IN", "3600")]);
    assert_eq!(load(&ttl).security.access_token_ttl, Duration::from_secs(1800));
}

#[test]
fn unknown_keys_come_with_the_nearest_known_one() {
    for (text, expected) in [
        ("server.hsot = 'x'", "unknown key \"server.hsot\"; did you mean \"server.host\"?"),
        ("port = 1", "unknown key \"port\"; did you mean \"server.port\"?"),
        ("SECRET_KEY = 'x'", "unknown key \"SECRET_KEY\"; did you mean \"security.secret_key\"?"),
        ("[sever]\nport = 1", "unknown key \"sever\"; did you mean \"server\"?"),
        ("server.bcrypt_rounds = 5", "unknown key \"server.bcrypt_rounds\"; did you mean \"security.bcrypt_rounds\"?"),
        ("zzz = 1", "unknown key \"zzz\""),
        ("server = 1", "\"server\" is a section: write [server]"),
    ] {
        assert_eq!(problem(&with_file(text)), format!("parlor.toml: {expected}"));
    }
}

#[test]
fn values_of_the_wrong_type_in_the_file_are_told() {
    for (text, expected) in [
        ("database.password = 123", "database.password (parlor.toml): expected a text in quotes"),
        ("server.port = [1]", "server.port (parlor.toml): expected a text, number, boolean or list of texts"),
        ("server.host = ['a']", "server.host (parlor.toml): expected one value, not a list"),
        ("chat.models = 1", "chat.models (parlor.toml): expected a list of texts in quotes, got \"1\""),
        ("chat.model.name = 'x'", "chat.model (parlor.toml): expected a text, number, boolean or list of texts"),
        ("chat.temperature = nan", "chat.temperature (parlor.toml): expected a number from 0 to 2, got \"NaN\""),
    ] {
        assert_eq!(problem(&with_file(text)), expected);
    }
}

#[test]
fn values_out_of_bounds_or_form_are_told() {
    for (name, value) in [
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("SECURITY__BCRYPT_ROUNDS", "3"),
        ("CHAT__TEMPERATURE", "2.1"),
        ("PROVIDERS__CONNECT_TIMEOUT_SECONDS", "0"),
        ("PROVIDERS__CONNECT_TIMEOUT_SECONDS", "-1"),
        ("PROVIDERS__CONNECT_TIMEOUT_SECONDS", "inf"),
        ("PROVIDERS__CONNECT_TIMEOUT_SECONDS", "1e300"),
        ("HOST", "http://localhost"),
        ("HOST", "0.0.0.0:8000"),
        ("CORS_ORIGINS", "localhost:3000"),
        ("CORS_ORIGINS", "https://a.example/app"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "[1]"),
        ("OPENAI_BASE_URL", "api.openai.com"),
        ("AI_MODEL_ENDPOINT", "ftp://x/y"),
        ("OPENAI_API_KEY", "two words"),
        ("REDIS_URL", "localhost:6379"),
        ("MONGO_URI", "http://x"),
        ("GUEST_ACCESS", "sometimes"),
        ("HEALTH_DIALECT", "native"),
        ("EMAIL__GMAIL_FROM_EMAIL", "nobody"),
        ("ADMIN_EMAIL", "a@b.example"),
        ("ADMIN_PASSWORD", "12345678"),
        ("DB_HOST", "db.example"),
        ("SECURITY__REFRESH_TOKEN_DAYS", "0.001"),
        ("JWT_ALGORITHM", "RS256"),
    ] {
        problem(&with_env(&[(name, value)]));
    }
    let admin = [("ADMIN_EMAIL", "a@b.example"), ("ADMIN_PASSWORD", "1234567")];
    assert!(problem(&with_env(&admin)).contains("8 to 128"));
}

#[test]
fn a_name_of_a_known_section_that_is_no_setting_is_told() {
    let sources = with_env(&[
        ("CHAT__MODLE", "gpt-4o"),
        ("AI_SERVICES__OPEN_ROUTER_API_KEY_2", "sk-or-2"),
        ("CHAT__MODEL", "gpt-4o"),
        ("SOMEBODY__ELSES", "1"),
        ("CHAT_MODLE", "1"),
    ]);
    let notes = Settings::load(&sources).unwrap().1.notes().to_vec();
    assert_eq!(notes, ["environment variable CHAT__MODLE: no setting has this name, so it is ignored"]);
}
