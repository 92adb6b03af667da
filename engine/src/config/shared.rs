//! What replicas share.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::certificates::read_certificates;
use super::reader::Reader;
use super::redis_url;

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
        let settings = Self {
            redis_url: reader.opt_secret("shared.redis_url"),
            redis_db: reader.integer("shared.redis_db"),
            redis_ssl_ca: reader.opt_path("shared.redis_ssl_ca"),
            mongo_uri: reader.opt_secret("shared.mongo_uri"),
        };
        let is_tls = settings.redis_url.as_ref().is_some_and(|url| redis_url::is_tls(url.expose_secret()));
        if let (true, Some(path)) = (is_tls, &settings.redis_ssl_ca)
            && let Err(problem) = read_certificates(path)
        {
            reader.problem("shared.redis_ssl_ca", &problem);
        }
        if settings.mongo_uri.is_some() && !cfg!(feature = "mongodb") {
            reader.problem("shared.mongo_uri", "this Parlor was built without MongoDB (its feature `mongodb`)");
        }
        settings
    }
}
