//! Redis servers, and what shares them.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parlor_engine::config::SharedSettings;
use parlor_engine::shared::Shared;
use secrecy::SecretString;
use tempfile::TempDir;

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

/// A Redis of the test's own, which it may stop and start. It keeps nothing on the disk.
pub struct RedisProcess {
    pub port: u16,
    arguments: Vec<String>,
    folder: TempDir,
    child: Option<Child>,
}

impl RedisProcess {
    pub fn start() -> Self {
        let port = free_port();
        Self::with(port, vec!["--port".to_owned(), port.to_string()])
    }

    /// One that takes TLS connections alone, with `server.pem` and `server.key` of that folder, of one user.
    pub fn with_tls(certificates: &Path, user: &str, password: &str) -> Self {
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
        arguments.extend(
            ["--user", "default", "off", "--user", user, "on", &password, "~*", "&*", "+@all"].map(str::to_owned),
        );
        Self::with(port, arguments)
    }

    fn with(port: u16, arguments: Vec<String>) -> Self {
        let mut process = Self { port, arguments, folder: TempDir::new().unwrap(), child: None };
        process.go_on();
        process
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again on the same port, empty; returns when it listens.
    pub fn go_on(&mut self) {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1"])
            .args(&self.arguments)
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is not installed: see scripts/services");
        self.child = Some(child);
        let started = std::time::Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(started.elapsed() < PATIENCE, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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
