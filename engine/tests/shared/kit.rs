//! Redis servers, and what shares them.

use std::time::Duration;

use parlor_engine::config::SharedSettings;
use parlor_engine::shared::Shared;
use secrecy::SecretString;

pub use crate::redis::RedisProcess;

/// The longest that anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The replicas' secret key.
pub const SECRET: &str = "the secret key of these tests";

/// One process' share in the Redis at `url`.
pub fn shared_at(url: &str) -> Shared {
    Shared::from_settings(&settings(url), &SecretString::from(SECRET)).unwrap()
}

pub fn settings(url: &str) -> SharedSettings {
    SharedSettings { redis_url: Some(SecretString::from(url)), redis_db: 0, redis_ssl_ca: None, mongo_uri: None }
}

/// One process' share in the Redis that the environment names.
pub fn shared() -> Shared {
    let url = std::env::var("PARLOR_TEST_REDIS_URL").expect("PARLOR_TEST_REDIS_URL is not set: see scripts/services");
    shared_at(&url)
}

/// A name that no other test uses.
pub fn unique(name: &str) -> String {
    format!("{name}-{:016x}", rand::random::<u64>())
}

/// Waits until `condition` holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "waited in vain until {what}");
}
