//! Redis servers of a test's own.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest that one is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Redis that its test may stop and start. It keeps nothing on the disk.
pub struct RedisProcess {
    pub port: u16,
    /// How it is logged in to, such as `user:password@`.
    login: String,
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
        let mut process = Self { port, login: String::new(), arguments, folder: TempDir::new().unwrap(), child: None };
        process.go_on();
        process
    }

    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}", self.login, self.port)
    }

    /// Sends a command as the default user, whom nobody asks for a password.
    pub fn command(&self, words: &[&str]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(command.as_bytes()).unwrap();
        let mut answer = [0; 1];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"+", "{words:?} was refused");
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

/// A CA and a certificate for 127.0.0.1 that it has signed.
pub fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output();
        let done = done.expect("openssl is not installed: see scripts/services");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=redis"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem");
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

/// A Redis that is logged in to as a user with these rights.
pub fn redis_with_user(user: &str, password: &str, rights: &[&str]) -> RedisProcess {
    let port = free_port();
    let (number, word) = (port.to_string(), format!(">{password}"));
    let arguments = ["--port", &number, "--user", user, "on", &word].into_iter().chain(rights.iter().copied());
    let mut process = RedisProcess::with(port, arguments.map(str::to_owned).collect());
    process.login = format!("{user}:{password}@");
    process
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
