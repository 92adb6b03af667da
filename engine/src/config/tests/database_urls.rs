use secrecy::ExposeSecret as _;

use super::*;
use crate::config::DatabaseUrl;

fn spell(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::Sqlite(path) => format!("sqlite {}", path.display()),
        DatabaseUrl::Postgres(url) => format!("postgres {}", url.expose_secret()),
        DatabaseUrl::Mysql { url, .. } => format!("mysql {}", url.expose_secret()),
    }
}

#[test]
fn every_spelling_of_a_database_is_understood() {
    for (text, expected) in [
        ("sqlite:///chatbot.db", "sqlite chatbot.db"),
        ("sqlite:///./x.db", "sqlite ./x.db"),
        ("chatbot.db", "sqlite chatbot.db"),
        ("/srv/x.db", "sqlite /srv/x.db"),
        ("C:\\x.db", "sqlite C:\\x.db"),
        ("sqlite:////abs/x.db", "sqlite /abs/x.db"),
        ("sqlite+aiosqlite:///x.db", "sqlite x.db"),
        ("postgresql://u:p@h/d", "postgres postgresql://u:p@h/d"),
        ("postgres://u:p@h:5433/d?sslmode=require", "postgres postgresql://u:p@h:5433/d?sslmode=require"),
        ("postgresql+asyncpg://u:p%40@h/d", "postgres postgresql://u:p%40@h/d"),
        ("postgresql+psycopg://h/d", "postgres postgresql://h/d"),
        ("POSTGRESQL://h/d", "postgres postgresql://h/d"),
        ("mysql://u:p@h:3307/d", "mysql mysql://u:p@h:3307/d"),
        ("mysql+pymysql://u@h/d", "mysql mysql://u@h/d"),
        ("mariadb://u@h/d", "mysql mysql://u@h/d"),
        ("mariadb+pymysql://u@h/d", "mysql mysql://u@h/d"),
    ] {
        let settings = load(&with_env(&[("DATABASE_URL", text)]));
        assert_eq!(spell(&settings.database.url), expected, "{text}");
    }
}

#[test]
fn what_would_keep_nothing_or_is_no_database_is_refused() {
    for (text, why) in [
        ("sqlite://", "nothing would be kept"),
        ("sqlite:///", "nothing would be kept"),
        ("sqlite:///:memory:", "nothing would be kept"),
        (":memory:", "nothing would be kept"),
        ("sqlite+aiosqlite:///:memory:", "nothing would be kept"),
        ("sqlite://chatbot.db", "three slashes"),
        ("sqlite:///x.db?mode=ro", "without parameters"),
        ("sqlite:///data/", "not a folder"),
        ("oracle://h/d", "not supported"),
        ("mongodb://h/d", "not supported"),
        ("postgresql+unheard://h/d", "not supported"),
        ("postgresql:h/d", "not supported"),
        ("postgresql://u:p#w@h/d", "percent-encoded"),
        ("mysql://u:p/w@h/d", "percent-encoded"),
        ("postgresql://h/d?sslmod=verify-full", "without `sslmod` after its `?`"),
        ("postgresql://h/d?sslmode=verify_full", "sslmode is one of disable, allow"),
        ("postgresql://h/d?sslmode=require&sslmode=bogus", "sslmode is one of"),
        ("mysql://h/d?ssl_mode=REQUIRED", "without `ssl_mode` after its `?`"),
        ("mysql://h/d?ssl-mode=verify-full", "ssl-mode is one of DISABLED"),
        ("mysql://h/d?sslaccept=strict", "without `sslaccept`"),
        ("mysql://h/d?tls=true", "without `tls`"),
    ] {
        let problem = problem(&with_env(&[("DATABASE_URL", text)]));
        assert!(problem.contains(why), "{text}: {problem}");
    }
}

#[test]
fn what_other_clients_want_in_a_url_is_left_out() {
    for (text, expected) in [
        ("postgresql://h/d?connect_timeout=5&sslmode=Require", "postgres postgresql://h/d?sslmode=Require"),
        ("postgresql://h/d?keepalives=1", "postgres postgresql://h/d"),
        ("postgresql://h/d?channel_binding=require&sslmode=require", "postgres postgresql://h/d?sslmode=require"),
        ("postgresql://h/d?options[search_path]=chat", "postgres postgresql://h/d?options%5Bsearch_path%5D=chat"),
        ("mysql+aiomysql://h/d?charset=utf8mb4&ssl-mode=verify_ca", "mysql mysql://h/d?ssl-mode=verify_ca"),
    ] {
        let settings = load(&with_env(&[("DATABASE_URL", text)]));
        assert_eq!(spell(&settings.database.url), expected, "{text}");
    }
}

#[test]
fn the_parts_make_a_mysql_url_when_no_url_is_set() {
    let parts = [
        ("DB_USER", "me@work"),
        ("DB_PASSWORD", "p/w:#?ü"),
        ("DB_HOST", "db.example"),
        ("DB_PORT", "3307"),
        ("DB_NAME", "chat bot"),
        ("DB_SSL_CA", "certs/ca.pem"),
    ];
    let sources = with_env(&parts);
    let DatabaseUrl::Mysql { url, ssl_ca } = load(&sources).database.url else { panic!("no MySQL") };
    let expected = "mysql://me%40work:p%2Fw%3A%23%3F%C3%BC@db.example:3307/chat%20bot";
    assert_eq!(url.expose_secret(), expected);
    assert_eq!(ssl_ca, Some(PathBuf::from("certs/ca.pem")));
    let (value, source) = shown(&sources, "database.url");
    assert_eq!(value, "mysql://[redacted]@db.example:3307/chat%20bot");
    assert_eq!(source, "environment DB_HOST");

    let mut with_url = sources;
    with_url.env.push(("DATABASE_URL".to_owned(), "x.db".to_owned()));
    assert_eq!(spell(&load(&with_url).database.url), "sqlite x.db");
    assert_eq!(
        spell(&load(&with_env(&[("DB_NAME", "d"), ("DB_HOST", "::1")])).database.url),
        "mysql mysql://[::1]:3306/d"
    );
    let user_only = load(&with_env(&[("DB_USER", "me"), ("DATA_DIR", "/srv")]));
    assert_eq!(spell(&user_only.database.url), "sqlite /srv/chatbot.db");
}

#[test]
fn the_certificate_goes_with_a_mysql_url_too() {
    let settings = load(&with_env(&[("DATABASE_URL", "mysql://u@h/d"), ("DB_SSL_CA", "ca.pem")]));
    let DatabaseUrl::Mysql { ssl_ca, .. } = settings.database.url else { panic!("no MySQL") };
    assert_eq!(ssl_ca, Some(PathBuf::from("ca.pem")));
}

#[test]
fn the_certificate_goes_with_a_postgres_url_unless_that_says_otherwise() {
    for (url, expected) in [
        ("postgresql://u:p%40w@h/d", "postgresql://u:p%40w@h/d?sslrootcert=certs%2Fca.pem&sslmode=verify-ca"),
        ("postgresql://h/d?sslmode=verify-full", "postgresql://h/d?sslmode=verify-full&sslrootcert=certs%2Fca.pem"),
        ("postgresql://h/d?sslrootcert=my.pem&sslmode=disable", "postgresql://h/d?sslrootcert=my.pem&sslmode=disable"),
    ] {
        let settings = load(&with_env(&[("DATABASE_URL", url), ("DB_SSL_CA", "certs/ca.pem")]));
        assert_eq!(spell(&settings.database.url), format!("postgres {expected}"));
    }
}

#[test]
fn sqlite_in_the_data_folder_is_the_default() {
    let sources = with_env(&[("DATA_DIR", "/srv/parlor")]);
    assert_eq!(spell(&load(&sources).database.url), "sqlite /srv/parlor/chatbot.db");
    let expected = ("sqlite:////srv/parlor/chatbot.db".to_owned(), "default".to_owned());
    assert_eq!(shown(&sources, "database.url"), expected);
}
