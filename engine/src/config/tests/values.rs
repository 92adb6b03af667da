use std::net::IpAddr;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::*;
use crate::config::{DatabaseUrl, GuestAccess, HealthDialect, JwtAlgorithm, LogFormat, PasswordScheme, TrustedProxy};

#[test]
fn the_defaults_are_the_documented_ones() {
    let settings = load(&sources());
    let server = &settings.server;
    assert_eq!((server.host.as_str(), server.port), ("127.0.0.1", 8000));
    assert_eq!(server.data_dir, PathBuf::from("./data"));
    assert_eq!(server.cors_origins, ["http://localhost:3000"]);
    assert_eq!(server.health_dialect, HealthDialect::Classic);
    assert!(server.trusted_proxies.is_empty() && !server.debug);
    assert_eq!((server.max_connections, server.max_body_bytes), (10_000, 1 << 20));
    assert_eq!(server.shutdown_grace, Duration::from_secs(25));
    assert_eq!(server.keep_alive_interval, Duration::from_secs(15));
    let security = &settings.security;
    assert_eq!(security.algorithm, JwtAlgorithm::Hs256);
    assert_eq!(security.access_token_ttl, Duration::from_secs(1_800));
    assert_eq!(security.refresh_token_ttl, Duration::from_secs(7 * 86_400));
    assert_eq!((security.bcrypt_rounds, security.password_hash), (12, PasswordScheme::BcryptSha256));
    assert_eq!(security.guest_access, GuestAccess::Loopback);
    let database = &settings.database;
    assert_eq!((database.pool_size, database.max_overflow), (20, 30));
    let chat = &settings.chat;
    assert_eq!((chat.model.as_str(), chat.temperature), ("gpt-4o-mini", 0.7));
    assert_eq!(chat.idempotency_ttl, Duration::from_secs(86_400));
    let limits = &settings.limits;
    assert_eq!((limits.per_minute, limits.per_hour), (60, 1000));
    assert_eq!(limits.login_window, Duration::from_secs(900));
    assert_eq!(settings.providers.total_timeout, Duration::from_secs(600));
    assert_eq!(settings.telemetry.log_format, LogFormat::Auto);
}

#[test]
fn lists_come_with_commas_as_json_or_as_toml() {
    let expected = ["https://a.example", "http://localhost:5173"];
    let file = r#"server.cors_origins = ["https://a.example", "http://localhost:5173/"]"#;
    for sources in [
        with_env(&[("CORS_ORIGINS", "https://a.example, http://localhost:5173,")]),
        with_env(&[("CORS_ORIGINS", r#"["https://a.example","http://localhost:5173"]"#)]),
        with_dotenv("CORS_ORIGINS=https://a.example,http://localhost:5173"),
        with_file(file),
    ] {
        assert_eq!(load(&sources).server.cors_origins, expected);
    }
    assert!(load(&with_file("server.cors_origins = []")).server.cors_origins.is_empty());
}

#[test]
fn booleans_have_eight_spellings() {
    for (text, value) in [
        ("true", true),
        ("1", true),
        ("on", true),
        ("YES", true),
        ("false", false),
        ("0", false),
        ("Off", false),
        ("no", false),
    ] {
        assert_eq!(load(&with_env(&[("DEBUG", text)])).server.debug, value, "{text}");
    }
    assert!(load(&with_file("server.debug = true")).server.debug);
}

#[test]
fn a_secret_of_digits_stays_as_it_is() {
    let password = |sources: Sources| {
        let password = load(&sources).database.url;
        let DatabaseUrl::Mysql { url, .. } = password else { panic!("no MySQL") };
        url.expose_secret().to_owned()
    };
    let expected = "mysql://me:0123@localhost:3306/chat";
    assert_eq!(password(with_dotenv("DB_NAME=chat\nDB_USER=me\nDB_PASSWORD=0123")), expected);
    assert_eq!(password(with_env(&[("DB_NAME", "chat"), ("DB_USER", "me"), ("DB_PASSWORD", "0123")])), expected);
    let file = "[database]\nname = 'chat'\nuser = 'me'\npassword = '0123'";
    assert_eq!(password(with_file(file)), expected);
}

#[test]
fn durations_follow_the_unit_of_their_name_and_may_have_fractions() {
    let ttl = |pairs: &[(&str, &str)]| load(&with_env(pairs)).security.access_token_ttl;
    assert_eq!(ttl(&[("ACCESS_TOKEN_EXPIRE_MINUTES", "45")]), Duration::from_secs(2_700));
    assert_eq!(ttl(&[("SECURITY__JWT_EXPIRES_IN", "90")]), Duration::from_secs(90));
    let both = [("ACCESS_TOKEN_EXPIRE_MINUTES", "1.5"), ("SECURITY__JWT_EXPIRES_IN", "90")];
    assert_eq!(ttl(&both), Duration::from_secs(90));
    let settings = load(&with_file("providers.connect_timeout_seconds = 0.25"));
    assert_eq!(settings.providers.connect_timeout, Duration::from_millis(250));
}

#[test]
fn levels_may_be_in_pythons_words() {
    for (text, filter) in [("WARNING", "warn"), ("INFO", "info"), ("info,sqlx=warn", "info,sqlx=warn")] {
        assert_eq!(load(&with_env(&[("LOG_LEVEL", text)])).telemetry.log_filter, filter);
    }
    assert!(problem(&with_env(&[("LOG_LEVEL", "loud")])).contains("telemetry.log_level"));
}

#[test]
fn base_urls_lose_the_slash_at_their_end() {
    let settings = load(&with_env(&[("OPENAI_BASE_URL", "http://localhost:9/v1/")]));
    assert_eq!(settings.providers.openai.base_url, "http://localhost:9/v1");
}

#[test]
fn a_trusted_network_contains_its_addresses() {
    let cases = [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("192.168.1.7", "192.168.1.7", true),
        ("192.168.1.7", "192.168.1.8", false),
        ("0.0.0.0/0", "8.8.8.8", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:1::5", true),
        ("2001:db8::/32", "2001:db9::5", false),
        ("::ffff:10.0.0.0/104", "10.9.9.9", true),
        ("::/0", "8.8.8.8", false),
    ];
    for (network, address, within) in cases {
        let network: TrustedProxy = network.parse().unwrap();
        assert_eq!(network.contains(address.parse::<IpAddr>().unwrap()), within, "{network} {address}");
    }
    for text in ["", "*", "10.0.0.0/33", "::/129", "10.0.0/8", "localhost", "10.0.0.0/-1"] {
        assert!(text.parse::<TrustedProxy>().is_err(), "{text}");
    }
}

#[test]
fn guests_are_allowed_by_word_or_by_a_loopback_address() {
    let allowed =
        |access: &str, host: &str| load(&with_env(&[("GUEST_ACCESS", access), ("HOST", host)])).guests_allowed();
    for host in ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "::ffff:127.0.0.1"] {
        assert!(allowed("loopback", host), "{host}");
    }
    for host in ["0.0.0.0", "::", "192.168.0.1", "parlor.example", "127.0.0.1.example"] {
        assert!(!allowed("loopback", host), "{host}");
        assert!(allowed("on", host));
    }
    assert!(!allowed("off", "127.0.0.1"));
}

#[test]
fn the_settings_for_tests_are_sound() {
    let settings = Settings::for_tests(std::path::Path::new("/srv/x"));
    assert!(settings.guests_allowed());
    assert_eq!(settings.security.bcrypt_rounds, 4);
    assert_eq!(crate::config::secret_key::weakness(settings.security.secret_key.expose_secret()), None);
    let DatabaseUrl::Sqlite(path) = settings.database.url else { panic!("no SQLite") };
    assert_eq!(path, PathBuf::from("/srv/x/chatbot.db"));
}

#[test]
fn a_schedule_that_never_comes_is_a_problem_of_its_setting() {
    let problem = problem(&with_file("[schedules]\nremove_expired = \"30 2 30 2 *\""));
    assert!(problem.starts_with("schedules.remove_expired (") && problem.contains("never"), "{problem}");
}
