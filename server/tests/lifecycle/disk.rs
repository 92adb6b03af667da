//! A full disk: told as a failure, survived, and nothing that was acknowledged is lost.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use parlor_bench::fake::FakeUpstream;
use reqwest::{Client, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{check, soon, until};
use crate::support::{PATIENCE, Setup};

/// A server whose files can be kept from growing.
struct Starved {
    child: Child,
    base: String,
    lines: mpsc::Receiver<String>,
    data: TempDir,
    client: Client,
}

impl Starved {
    fn start(setup: &Setup) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let data = tempfile::tempdir().unwrap();
        let command = setup.command(data.path(), &["serve"]);
        // The signal that comes with the limit is ignored, as it is where a disk is really full: there is none then.
        let mut child = Command::new("bash")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut server = Self { child, base: String::new(), lines, data, client: Client::new() };
        let line: Value = serde_json::from_str(&server.wait_for("listening on")).unwrap();
        server.base = format!("http://{}", line["address"].as_str().unwrap());
        server
    }

    fn wait_for(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {text:?} in the log"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// From now on no file grows beyond `size`.
    fn limit(&self, size: &str) {
        let limit = format!("--fsize={size}:");
        let done = Command::new("prlimit").args(["--pid", &self.child.id().to_string(), &limit]).status().unwrap();
        assert!(done.success());
    }

    fn send(&self, message: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("{}/chat", self.base)).json(&json!({"message": message}))
    }

    async fn chat(&self, message: &str) -> (StatusCode, Value) {
        let answer = soon(self.send(message).send()).await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    fn database(&self) -> Connection {
        Connection::open(self.data.path().join("chatbot.db")).unwrap()
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let upstream = FakeUpstream::start().await;
    let mut server = Starved::start(&Setup::new().upstream(&upstream, "mock-3tok"));
    let mut acknowledged = Vec::new();
    let mut refused = Vec::new();
    for round in 0..3 {
        for n in 0..10 {
            let message = format!("with space {round}-{n}");
            assert_eq!(server.chat(&message).await.0, 200);
            acknowledged.push(message);
        }
        server.limit("4096");
        for n in 0..10 {
            let message = format!("without space {round}-{n}");
            let (status, body) = server.chat(&message).await;
            assert_eq!((status, body), (StatusCode::INTERNAL_SERVER_ERROR, json!({"detail": "Internal server error"})));
            refused.push(message);
        }
        // What is there can still be read.
        let list = server.client.get(format!("{}/conversations/user/default_user", server.base)).send().await.unwrap();
        assert_eq!(list.status(), 200);
        assert_eq!(list.json::<Value>().await.unwrap().as_array().unwrap().len(), acknowledged.len());
        assert!(server.child.try_wait().unwrap().is_none(), "the server is still up");
        server.limit("unlimited");
    }
    let database = server.database();
    check(&database);
    let count = |message: &String| -> i64 {
        let sql = "SELECT COUNT(*) FROM messages WHERE content = ?";
        database.query_row(sql, [message], |row| row.get(0)).unwrap()
    };
    assert!(acknowledged.iter().all(|message| count(message) == 1));
    assert!(refused.iter().all(|message| count(message) == 0), "what is refused leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_waits_for_space_before_it_is_acknowledged() {
    let upstream = FakeUpstream::start().await;
    let server = Starved::start(&Setup::new().upstream(&upstream, "mock-300ttft-3tok"));
    assert_eq!(server.chat("First").await.0, 200);
    let calls = upstream.chat_calls();
    let waiting = tokio::spawn(server.send("Second").send());
    until(async || (upstream.chat_calls() > calls).then_some(())).await;
    server.limit("4096");
    server.wait_for("storing an answer failed");
    assert!(!waiting.is_finished(), "not acknowledged before it is stored");
    server.limit("unlimited");
    let answer = soon(waiting).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap()["response"], "word1 word2 word3");
    check(&server.database());
}

#[tokio::test]
async fn an_answer_that_finds_no_space_is_told_as_a_failure() {
    let upstream = FakeUpstream::start().await;
    let server = Starved::start(&Setup::new().upstream(&upstream, "mock-300ttft-3tok"));
    assert_eq!(server.chat("First").await.0, 200);
    let calls = upstream.chat_calls();
    let waiting = tokio::spawn(server.send("Second").send());
    until(async || (upstream.chat_calls() > calls).then_some(())).await;
    server.limit("4096");
    let answer = soon(waiting).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"detail": "Internal server error"}));
    server.limit("unlimited");
    assert_eq!(server.chat("Third").await.0, 200);
}

#[tokio::test]
async fn a_turn_that_found_no_space_is_closed_when_there_is_space_again() {
    let upstream = FakeUpstream::start().await;
    let server = Starved::start(&Setup::new().upstream(&upstream, "mock-300ttft-3tok"));
    assert_eq!(server.chat("First").await.0, 200);
    let calls = upstream.chat_calls();
    let waiting = tokio::spawn(server.send("Second").send());
    until(async || (upstream.chat_calls() > calls).then_some(())).await;
    server.limit("4096");
    assert_eq!(soon(waiting).await.unwrap().unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    server.limit("unlimited");
    let database = server.database();
    let open = "SELECT COUNT(*) FROM turns WHERE state IN ('pending', 'streaming')";
    until(async || database.query_row(open, [], |row| row.get::<_, i64>(0)).is_ok_and(|open| open == 0).then_some(()))
        .await;
    check(&database);
}
