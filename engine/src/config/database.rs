//! Where accounts and conversations are kept.

use std::path::Path;
use std::time::Duration;

use super::database_url::{DatabaseUrl, MysqlParts};
use super::reader::Reader;

/// Where accounts and conversations are kept.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Which database.
    pub url: DatabaseUrl,
    /// Connections kept to a database server.
    pub pool_size: u32,
    /// Connections above `pool_size` when it is busy.
    pub max_overflow: u32,
    /// How long a query waits for a busy database.
    pub busy_timeout: Duration,
    /// How long a server may give no sign of life before the others take it for dead.
    pub server_lease: Duration,
    /// Whether what happens is also kept in the outbox, for MongoDB: `shared.mongo_uri` is set.
    pub has_outbox: bool,
}

impl DatabaseSettings {
    /// The URL, or else MySQL's parts, or else SQLite in `data_dir`.
    pub(super) fn read(reader: &mut Reader, data_dir: &Path) -> Self {
        let ssl_ca = reader.opt_path("database.ssl_ca");
        let from_url = reader
            .opt_text("database.url")
            // The table has checked it.
            .and_then(|url| DatabaseUrl::parse(&url, ssl_ca.as_deref()).ok());
        let user = reader.opt_text("database.user");
        let password = reader.opt_secret("database.password");
        let host = reader.opt_text("database.host");
        let port = reader.integer("database.port");
        let name = reader.opt_text("database.name");
        let url = match (from_url, host, name) {
            (Some(url), _, _) => url,
            (None, None, None) => {
                let url = DatabaseUrl::Sqlite(data_dir.join("chatbot.db"));
                reader.show_as("database.url", url.redacted(), None);
                url
            }
            (None, host, name) => {
                if name.is_none() && !reader.is_uncertain("database.name") {
                    reader.problem("database.host", "needs the database's name too (DB_NAME)");
                }
                let source = reader.source("database.host").or_else(|| reader.source("database.name"));
                let url = MysqlParts {
                    user: user.as_deref(),
                    password: password.as_ref(),
                    host: host.as_deref().unwrap_or("localhost"),
                    port,
                    name: name.as_deref().unwrap_or_default(),
                    ssl_ca,
                }
                .into_url();
                reader.show_as("database.url", url.redacted(), source);
                url
            }
        };
        Self {
            url,
            pool_size: reader.integer("database.pool_size"),
            max_overflow: reader.integer("database.max_overflow"),
            busy_timeout: reader.duration("database.busy_timeout_seconds"),
            server_lease: reader.duration("database.server_lease_seconds"),
            has_outbox: reader.opt_secret("shared.mongo_uri").is_some(),
        }
    }
}
