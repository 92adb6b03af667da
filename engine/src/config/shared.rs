//! What replicas share.

use std::path::PathBuf;

use secrecy::SecretString;

use super::reader::Reader;

/// What replicas share.
#[derive(Debug, Clone)]
pub struct SharedSettings {
    /// `redis://` or `rediss://`.
    pub redis_url: Option<SecretString>,
    /// The number of the Redis database; 0 leaves it to the URL.
    pub redis_db: u32,
    /// The certificates that Redis' own is checked against, instead of the system's.
    pub redis_ssl_ca: Option<PathBuf>,
    /// `mongodb://` or `mongodb+srv://`.
    pub mongo_uri: Option<SecretString>,
}

impl SharedSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            redis_url: reader.opt_secret("shared.redis_url"),
            redis_db: reader.integer("shared.redis_db"),
            redis_ssl_ca: reader.opt_path("shared.redis_ssl_ca"),
            mongo_uri: reader.opt_secret("shared.mongo_uri"),
        }
    }
}
