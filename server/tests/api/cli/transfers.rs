//! `parlor transfer`

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{err, out, run};
use crate::kit::databases::with_database;
use crate::support::{Setup, TestServer};

/// Enough for several pieces, so that a kill finds something to interrupt.
const MESSAGES: i64 = 60_000;

#[tokio::test]
async fn from_a_file_to_a_file() {
    let (source, token) = filled().await;
    let target = source.data.path().join("target.db");
    killed_and_continued(source, token, &target.display().to_string()).await;
}

mod postgres {
    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
    async fn from_a_file_to_postgres() {
        super::to_server(crate::kit::databases::POSTGRES).await;
    }
}

mod mysql {
    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_MYSQL_URL"]
    async fn from_a_file_to_mysql() {
        super::to_server(crate::kit::databases::MYSQL).await;
    }
}

async fn to_server(variable: &str) {
    let (source, token) = filled().await;
    with_database(variable, |url| async move { killed_and_continued(source, token, &url).await }).await;
}

/// A server with an account, its conversation, and many messages.
async fn filled() -> (TestServer, String) {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let sent = server.post("/api/chat", &json!({"message": "Remember the milk 🙂"})).bearer_auth(&token);
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::OK);
    server
        .database()
        .execute_batch(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MESSAGES}) \
             INSERT INTO messages (conversation_id, role, content, tokens, created_at, updated_at) \
             SELECT (SELECT MAX(id) FROM conversations), 'user', 'text ' || i, 2, i, i FROM n"
        ))
        .unwrap();
    (server, token)
}

fn flags<'a>(from: &'a str, to: &'a str) -> [&'a str; 5] {
    ["transfer", "--from", from, "--to", to]
}

/// Kills the transfer at one moment after another, until it comes to its end; then a server goes on with the target.
async fn killed_and_continued(mut server: TestServer, token: String, target: &str) {
    let data = server.data.path().to_owned();
    let source = server.database_path().display().to_string();
    let setup = Setup::new();
    let running = run(&setup, &data, &flags(&source, target));
    assert_eq!(running.status.code(), Some(1));
    assert!(err(&running).contains("in use by another Parlor process"), "{}", err(&running));
    server.kill();

    for at in ["copying accounts", "copying messages", "comparing accounts"] {
        kill_at(&setup, &data, &flags(&source, target), at);
        let half = run(&setup.clone().env("DATABASE_URL", target), &data, &["migrate"]);
        assert_eq!(half.status.code(), Some(1), "after {at}");
        assert!(err(&half).contains("a transfer into it has not come to its end"), "after {at}: {}", err(&half));
    }
    let done = run(&setup, &data, &flags(&source, target));
    assert!(done.status.success(), "{}", err(&done));
    let report = out(&done);
    assert!(report.contains("are equal on both sides") && report.contains("rows/s"), "{report}");
    assert!(report.contains("the rest of an interrupted run"), "{report}");
    let line = report.lines().find(|line| line.starts_with("messages ") && line.ends_with("equal")).unwrap();
    assert!(line.contains(&(MESSAGES + 2).to_string()), "{line}");

    let again = run(&setup, &data, &flags(&source, target));
    assert_eq!(again.status.code(), Some(1));
    assert!(err(&again).contains("holds data already"), "{}", err(&again));

    server.restart_with(|setup| setup.env("DATABASE_URL", target));
    let list: Value = server.get("/api/history").bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!(list["total"], 1, "{list}");
    server.sign_in("user@example.com").await;
    let sent = server.post("/api/chat", &json!({"message": "And go on"})).bearer_auth(&token);
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::OK);
}

/// Starts a transfer and kills it when it says that.
fn kill_at(setup: &Setup, data: &Path, flags: &[&str], word: &str) {
    let mut process = setup.command(data, flags).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let said = lines.map_while(Result::ok).any(|line| line.starts_with(word));
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(said, "it never said {word:?}");
}

#[test]
fn urls_that_cannot_be_read_are_refused_without_their_password() {
    let data = tempfile::tempdir().unwrap();
    let refused = run(&Setup::new(), data.path(), &flags("oracle://ada:s3cret@db/x", "copy.db"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(err(&refused).contains("--from takes") && !err(&refused).contains("s3cret"), "{}", err(&refused));
    let absent = run(&Setup::new(), data.path(), &flags("absent.db", "copy.db"));
    assert_eq!(absent.status.code(), Some(1));
    assert!(err(&absent).contains("there is no such file"), "{}", err(&absent));
    assert!(!data.path().join("absent.db").exists() && !data.path().join("copy.db").exists());
}
