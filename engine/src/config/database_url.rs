//! Database URLs, in the spellings of SQLAlchemy and of the databases themselves.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::show::redact_url;

/// Which database, and how to reach it.
#[derive(Debug, Clone)]
pub enum DatabaseUrl {
    /// A SQLite file. A relative path starts in the working directory.
    Sqlite(PathBuf),
    /// A PostgreSQL URL, its scheme always `postgresql`.
    Postgres(SecretString),
    /// A MySQL or MariaDB URL, its scheme always `mysql`.
    Mysql {
        /// The URL.
        url: SecretString,
        /// The certificate (PEM) that the server's is checked against.
        ssl_ca: Option<PathBuf>,
    },
}

const SQLITE: &[&str] = &["sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"];
const POSTGRES: &[&str] = &[
    "postgresql",
    "postgres",
    "postgresql+asyncpg",
    "postgresql+psycopg",
    "postgresql+psycopg2",
    "postgresql+psycopg_async",
];
const MYSQL: &[&str] = &[
    "mysql",
    "mariadb",
    "mysql+pymysql",
    "mysql+aiomysql",
    "mysql+asyncmy",
    "mysql+mysqldb",
    "mysql+mysqlconnector",
    "mariadb+pymysql",
    "mariadb+aiomysql",
    "mariadb+asyncmy",
    "mariadb+mariadbconnector",
];

/// What a server's URL may say after its `?`.
struct Parameters {
    names: &'static [&'static str],
    /// How far the server is to be known; drivers take them in any case.
    ssl_modes: &'static [&'static str],
}

/// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>
const POSTGRES_PARAMETERS: Parameters = Parameters {
    names: &[
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
        "statement-cache-capacity",
    ],
    ssl_modes: &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
};

/// <https://dev.mysql.com/doc/refman/8.0/en/connection-options.html>
const MYSQL_PARAMETERS: Parameters = Parameters {
    names: &[
        "ssl-mode",
        "sslmode",
        "ssl-ca",
        "sslca",
        "ssl-cert",
        "sslcert",
        "ssl-key",
        "sslkey",
        "socket",
        "statement-cache-capacity",
    ],
    ssl_modes: &["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"],
};

impl DatabaseUrl {
    /// Reads a URL or a bare path; `ssl_ca` is what a server's certificate is checked against, unless the URL says otherwise.
    ///
    /// # Errors
    ///
    /// What was expected instead, without repeating the text (it may hold a password).
    pub fn parse(text: &str, ssl_ca: Option<&Path>) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text.split_once(':') {
                // `C:\chatbot.db` is a path too.
                Some((scheme, rest)) if scheme.len() != 1 && rest != "memory:" => Err(expected()),
                _ => sqlite_file(text),
            };
        };
        let scheme = scheme.to_ascii_lowercase();
        if SQLITE.contains(&scheme.as_str()) {
            sqlite_url(rest)
        } else if POSTGRES.contains(&scheme.as_str()) {
            let url = server_url("postgresql", rest, &POSTGRES_PARAMETERS)?;
            Ok(Self::Postgres(match ssl_ca {
                Some(ssl_ca) => with_certificate(&url, ssl_ca),
                None => url,
            }))
        } else if MYSQL.contains(&scheme.as_str()) {
            let url = server_url("mysql", rest, &MYSQL_PARAMETERS)?;
            Ok(Self::Mysql { url, ssl_ca: ssl_ca.map(Path::to_owned) })
        } else {
            Err(expected())
        }
    }

    /// For people: the URL without user, password and parameters.
    #[must_use]
    pub fn redacted(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:///{}", path.display()),
            Self::Postgres(url) | Self::Mysql { url, .. } => redact_url(url.expose_secret()),
        }
    }
}

fn expected() -> String {
    "a path, sqlite:///path, postgresql://… or mysql://…; this scheme is not supported".to_owned()
}

/// What follows `sqlite://`: three slashes for a relative path, four for an absolute one.
fn sqlite_url(rest: &str) -> Result<DatabaseUrl, String> {
    if rest.contains('?') {
        return Err("a SQLite URL without parameters (nothing after a `?`)".to_owned());
    }
    match rest.strip_prefix('/') {
        Some(path) => sqlite_file(path),
        None if rest.is_empty() => sqlite_file(rest),
        None => Err("three slashes before a relative path, four before an absolute one: \
                     sqlite:///chatbot.db, sqlite:////var/lib/chatbot.db"
            .to_owned()),
    }
}

fn sqlite_file(path: &str) -> Result<DatabaseUrl, String> {
    if path.is_empty() || path.contains(":memory:") || path.starts_with("file:") {
        return Err("a SQLite file: in memory, nothing would be kept".to_owned());
    }
    if path.ends_with('/') {
        return Err("a SQLite file, not a folder".to_owned());
    }
    Ok(DatabaseUrl::Sqlite(PathBuf::from(path)))
}

fn server_url(scheme: &str, rest: &str, parameters: &Parameters) -> Result<SecretString, String> {
    let text = format!("{scheme}://{rest}");
    let url = match Url::parse(&text) {
        Ok(url) if url.fragment().is_none() && !rest.contains(char::is_whitespace) => url,
        _ => {
            return Err(format!(
                "{scheme}://user:password@host:port/name, where special characters in user and \
                 password are percent-encoded (`#` is %23, `@` is %40, `/` is %2F)"
            ));
        }
    };
    if url.query().is_none() {
        return Ok(SecretString::from(text));
    }
    let mut kept = url.clone();
    kept.set_query(None);
    for (name, value) in url.query_pairs() {
        let is_mode = matches!(name.as_ref(), "sslmode" | "ssl-mode");
        if is_mode && !parameters.ssl_modes.iter().any(|mode| mode.eq_ignore_ascii_case(&value)) {
            return Err(format!("a URL whose {name} is one of {}", parameters.ssl_modes.join(", ")));
        }
        let is_setting = scheme == "postgresql" && name.starts_with("options[");
        if is_setting || parameters.names.contains(&name.as_ref()) {
            kept.query_pairs_mut().append_pair(&name, &value);
        } else if is_of_tls(&name) {
            return Err(format!("a URL without `{name}` after its `?`; known are {}", parameters.names.join(", ")));
        }
        // What else other clients want is of no consequence here.
    }
    Ok(SecretString::from(String::from(kept)))
}

/// Whether a parameter that is not known was to secure the connection: passed over, as drivers do, it would leave the server unchecked. Its name
/// can be shown.
fn is_of_tls(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let name = name.to_ascii_lowercase();
    letters && name.len() <= 32 && (name.starts_with("ssl") || name.starts_with("tls"))
}

/// A PostgreSQL URL with the certificate in it.
fn with_certificate(url: &SecretString, ssl_ca: &Path) -> SecretString {
    let Ok(mut url) = Url::parse(url.expose_secret()) else { return url.clone() };
    let says = |url: &Url, names: &[&str]| url.query_pairs().any(|(name, _)| names.contains(&name.as_ref()));
    if !says(&url, &["sslrootcert", "ssl-root-cert", "ssl-ca"]) {
        url.query_pairs_mut().append_pair("sslrootcert", &ssl_ca.to_string_lossy());
    }
    if !says(&url, &["sslmode", "ssl-mode"]) {
        url.query_pairs_mut().append_pair("sslmode", "verify-ca");
    }
    SecretString::from(String::from(url))
}

/// The parts of a MySQL URL, as `DB_USER` and its kin give them, unencoded.
pub(super) struct MysqlParts<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a SecretString>,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) name: &'a str,
    pub(super) ssl_ca: Option<PathBuf>,
}

impl MysqlParts<'_> {
    pub(super) fn into_url(self) -> DatabaseUrl {
        let mut url = String::from("mysql://");
        if let Some(user) = self.user {
            url.push_str(&encode(user));
            if let Some(password) = self.password {
                url.push(':');
                url.push_str(&encode(password.expose_secret()));
            }
            url.push('@');
        }
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_owned() };
        url.push_str(&format!("{host}:{}/{}", self.port, encode(self.name)));
        DatabaseUrl::Mysql { url: SecretString::from(url), ssl_ca: self.ssl_ca }
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
