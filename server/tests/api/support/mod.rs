//! A real server for each test: the built binary, on a free port, over a data directory of its own.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use parlor_bench::fake::FakeUpstream;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Long enough for a loaded machine; reached only by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A password that registering accepts.
pub const PASSWORD: &str = "SuperSecret123!";
/// What the servers sign with.
pub const SECRET: &str = "7f3c9a51d2e84b06b1c5f0a97e6d3824-tests";

/// What a server is started with.
#[derive(Clone)]
pub struct Setup {
    env: Vec<(String, String)>,
    /// The text of `parlor.toml`.
    file: Option<String>,
}

impl Setup {
    /// Guests allowed, cheap hashes, the built-in mock as provider.
    pub fn new() -> Self {
        let setup = Self { env: Vec::new(), file: None };
        setup
            .env("HOST", "127.0.0.1")
            .env("PORT", "0")
            .env("SECRET_KEY", SECRET)
            .env("GUEST_ACCESS", "on")
            .env("SECURITY__BCRYPT_ROUNDS", "4")
            .env("LOG_FORMAT", "json")
            .env("RATE_LIMIT__PER_MINUTE", "0")
            .env("RATE_LIMIT__PER_HOUR", "0")
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves an environment variable unset.
    pub fn without(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// Starts servers with this `parlor.toml`.
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// Answers come from that fake provider; `model` says how it behaves.
    pub fn upstream(self, upstream: &FakeUpstream, model: &str) -> Self {
        self.env("OPENAI_API_KEY", "sk-test")
            .env("OPENAI_BASE_URL", &upstream.base_url())
            .env("CHAT__MODEL", model)
            .env("CHAT__MODELS", "*")
    }

    /// Starts a server over a new data directory.
    pub fn start(self) -> TestServer {
        let data = tempfile::tempdir().unwrap();
        if let Some(text) = &self.file {
            std::fs::write(data.path().join("parlor.toml"), text).unwrap();
        }
        let process = Process::start(&self, data.path());
        TestServer { client: client(), setup: self, data, process }
    }

    /// The command `parlor …` with this set-up, over that data directory.
    pub fn command(&self, data: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command
            .args(arguments)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("DATA_DIR", data)
            .current_dir(data)
            .stdin(Stdio::null());
        command
    }
}

/// A client with the patience of tests.
pub fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(PATIENCE).build().unwrap()
}

/// A running server. Killed when dropped.
pub struct TestServer {
    pub client: Client,
    setup: Setup,
    pub data: TempDir,
    process: Process,
}

struct Process {
    child: Child,
    base_url: String,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Process {
    fn start(setup: &Setup, data: &Path) -> Self {
        let mut child = setup.command(data, &["serve"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Log::default());
        let (writer, stderr) = (Arc::clone(&log), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                writer.lines.lock().unwrap().push(line);
                writer.more.notify_all();
            }
        });
        let line = log.wait_for("listening on");
        let entry: Value = serde_json::from_str(&line).unwrap();
        let base_url = format!("http://{}", entry["address"].as_str().unwrap());
        Self { child, base_url, log }
    }
}

impl Log {
    fn wait_for(&self, text: &str) -> String {
        let lines = self.lines.lock().unwrap();
        let found = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
        let (lines, _) = self.more.wait_timeout_while(lines, PATIENCE, |lines| found(lines).is_none()).unwrap();
        found(&lines).unwrap_or_else(|| panic!("no {text:?} in the log:\n{}", lines.join("\n")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl TestServer {
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.process.base_url)
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        self.process.base_url.trim_start_matches("http://")
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// Registers an account and signs in. Returns its access token.
    pub async fn sign_up(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD});
        let registered = self.post("/api/auth/register", &body).send().await.unwrap();
        assert_eq!(registered.status(), StatusCode::CREATED);
        self.sign_in(email).await
    }

    pub async fn sign_in(&self, email: &str) -> String {
        let form = format!("username={email}&password={PASSWORD}");
        let request = self.request(Method::POST, "/api/auth/login").body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// The lines logged so far.
    pub fn log(&self) -> Vec<String> {
        self.process.log.lines.lock().unwrap().clone()
    }

    /// Waits for a line that contains `text`.
    pub fn wait_for_log(&self, text: &str) -> String {
        self.process.log.wait_for(text)
    }

    pub fn database_path(&self) -> PathBuf {
        self.data.path().join("chatbot.db")
    }

    /// The database, beside the server.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database_path()).unwrap()
    }

    /// The first column of the first row.
    pub fn count(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Kills the server as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }

    /// Waits until the server has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.child.try_wait().unwrap() {
                return status;
            }
            assert!(std::time::Instant::now() < deadline, "the server did not end:\n{}", self.log().join("\n"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts the server again over the same data, on another port.
    pub fn restart(&mut self) {
        let _ = self.process.child.kill();
        let _ = self.process.child.wait();
        self.process = Process::start(&self.setup, self.data.path());
    }

    /// Starts the server again over the same data, with another set-up.
    pub fn restart_with(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(self.setup.clone());
        self.restart();
    }

    /// Runs `parlor …` over the same data.
    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        self.setup.command(self.data.path(), arguments).output().unwrap()
    }
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub struct SseEvent {
    pub id: u64,
    pub name: String,
    pub data: Value,
}

/// The events in a whole `text/event-stream` body; comments are left out.
pub fn events(body: &str) -> Vec<SseEvent> {
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim_start().to_owned())
    };
    body.split("\n\n")
        .filter(|block| block.lines().any(|line| !line.is_empty() && !line.starts_with(':')))
        .map(|block| SseEvent {
            id: field(block, "id").unwrap().parse().unwrap(),
            name: field(block, "event").unwrap(),
            data: serde_json::from_str(&field(block, "data").unwrap()).unwrap(),
        })
        .collect()
}

/// The text of all chunks, joined.
pub fn text_of(events: &[SseEvent]) -> String {
    let chunks = events.iter().filter(|event| event.name == "chunk");
    chunks.map(|event| event.data["content"].as_str().unwrap()).collect()
}
