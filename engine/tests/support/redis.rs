//! Redis servers of a test's own.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest that one is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Redis that its test may stop and start. It keeps nothing on the disk.
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

    /// One that is started with these arguments, and listens at that port by them.
    pub fn with(port: u16, arguments: Vec<String>) -> Self {
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
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
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

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
