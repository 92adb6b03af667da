//! `parlor worker`: a process that does jobs and serves nobody.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::kit::until;
use crate::support::{PATIENCE, Setup, TestServer, client};

/// Waits for the end of a process. Returns its exit code.
fn wait(child: &mut Child) -> Option<i32> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(std::time::Instant::now() < deadline, "the worker did not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn jobs_done(server: &TestServer) -> i64 {
    server.count("SELECT COUNT(*) FROM jobs WHERE state = 'done'")
}

#[tokio::test]
async fn a_worker_is_kept_off_the_file_of_a_server_and_does_its_jobs_without_it() {
    let setup = Setup::new();
    let mut server = setup.clone().start();
    let refused = server.run(&["worker"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("that server does the jobs itself"), "{told}");

    until(async || (server.count("SELECT COUNT(*) FROM schedules") > 0).then_some(())).await;
    server.kill();
    server.database().execute("UPDATE schedules SET next_at = 1", []).unwrap();
    let before = jobs_done(&server);
    let mut worker = setup.command(server.data.path(), &["worker"]).stderr(Stdio::piped()).spawn().unwrap();
    until(async || (jobs_done(&server) > before).then_some(())).await;
    // It has the file as a server would.
    let second = server.run(&["serve"]);
    assert_eq!(second.status.code(), Some(1));
    let killed = std::process::Command::new("kill").args(["-TERM", &worker.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(wait(&mut worker), Some(0));
    let log: Vec<String> = BufReader::new(worker.stderr.take().unwrap()).lines().map_while(Result::ok).collect();
    assert!(log.iter().any(|line| line.contains("doing jobs")), "{log:?}");
    assert!(log.last().unwrap().contains("stopped"), "{log:?}");
}

#[tokio::test]
async fn a_worker_that_cannot_start_says_why_and_fails() {
    let setup = Setup::new().env("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none");
    let data = tempfile::tempdir().unwrap();
    let failed = setup.command(data.path(), &["worker"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("parlor: database: "));
    let setup = Setup::new().env("SCHEDULES__REMOVE_EXPIRED", "whenever");
    let failed = setup.command(data.path(), &["worker"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(2));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("expected a cron expression"));
}

#[tokio::test]
async fn a_worker_says_how_it_is_where_it_has_a_port() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new().env("METRICS_TOKEN", "token-for-metrics");
    let mut worker = setup.command(data.path(), &["worker", "--port", "0"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(worker.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told: serde_json::Value = serde_json::from_str(&log.find(|line| line.contains("/health")).unwrap()).unwrap();
    let address = told["address"].as_str().unwrap();
    let client = client();
    let at = |path: &str| client.get(format!("http://{address}{path}"));
    let health = at("/health").send().await.unwrap();
    assert_eq!(health.status(), 200);
    let health: serde_json::Value = health.json().await.unwrap();
    assert_eq!((&health["checks"]["database"], &health["checks"]["server"]), (&"up".into(), &"up".into()));
    assert_eq!(at("/metrics").send().await.unwrap().status(), 404);
    let metrics = at("/metrics").bearer_auth("token-for-metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("parlor_queue_depth"), "{metrics}");
    for path in ["/", "/docs", "/api/v1/models", "/chat"] {
        assert_eq!(at(path).send().await.unwrap().status(), 404, "{path}");
    }
    let killed = std::process::Command::new("kill").args(["-TERM", &worker.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(wait(&mut worker), Some(0));
    // Nor is it one that takes another's port.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = setup.command(data.path(), &["worker", "--port", &port]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains(&format!("127.0.0.1:{port}")));
}
