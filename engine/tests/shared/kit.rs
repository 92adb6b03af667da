//! Redis servers, and what shares them.

use std::path::Path;
use std::time::Duration;

use parlor_engine::config::SharedSettings;
use parlor_engine::shared::Shared;
use secrecy::SecretString;

pub use crate::redis::RedisProcess;
use crate::redis::free_port;

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

/// A Redis that takes TLS connections alone, with `server.pem` and `server.key` of that folder, of one user.
pub fn redis_with_tls(certificates: &Path, user: &str, password: &str) -> RedisProcess {
    let port = free_port();
    let file = |name: &str| certificates.join(name).to_str().unwrap().to_owned();
    let password = format!(">{password}");
    let mut arguments: Vec<String> = ["--port", "0", "--tls-auth-clients", "no"].map(str::to_owned).into();
    arguments.extend(["--tls-port".to_owned(), port.to_string()]);
    for (option, name) in
        [("--tls-cert-file", "server.pem"), ("--tls-key-file", "server.key"), ("--tls-ca-cert-file", "ca.pem")]
    {
        arguments.extend([option.to_owned(), file(name)]);
    }
    arguments
        .extend(["--user", "default", "off", "--user", user, "on", &password, "~*", "&*", "+@all"].map(str::to_owned));
    RedisProcess::with(port, arguments)
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
