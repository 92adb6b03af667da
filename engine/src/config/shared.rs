//! What replicas share.

use secrecy::SecretString;

use super::reader::Reader;

/// What replicas share.
#[derive(Debug, Clone)]
pub struct SharedSettings {
    /// `redis://` or `rediss://`.
    pub redis_url: Option<SecretString>,
    /// The number of the Redis database.
    pub redis_db: u32,
    /// `mongodb://` or `mongodb+srv://`.
    pub mongo_uri: Option<SecretString>,
}

impl SharedSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            redis_url: reader.opt_secret("shared.redis_url"),
            redis_db: reader.integer("shared.redis_db"),
            mongo_uri: reader.opt_secret("shared.mongo_uri"),
        }
    }
}
