//! The commands of `classic`'s document.

use serde_json::Value;

use super::shell::{bash, printed};
use crate::kit::{assert_fields, assert_time};
use crate::support::{Setup, TestServer};

const ADDRESS: &str = "http://localhost:8000";

fn with_address(server: &TestServer, command: &str) -> String {
    command.replace(ADDRESS, &server.url(""))
}

#[tokio::test]
async fn the_health_check_answers_as_documented() {
    let server = Setup::new().start();
    let answer: Value =
        serde_json::from_str(&printed(&with_address(&server, "curl http://localhost:8000/health"))).unwrap();
    assert_eq!((&answer["status"], &answer["database"]), (&"healthy".into(), &"connected".into()));
    assert_time(&answer["timestamp"]);
}

#[tokio::test]
async fn the_api_status_answers_as_documented() {
    let server = Setup::new().start();
    let answer: Value =
        serde_json::from_str(&printed(&with_address(&server, "curl http://localhost:8000/api"))).unwrap();
    assert_fields(&answer, &["message", "version"]);
    assert_eq!(answer["message"], "API is running");
}

#[tokio::test]
async fn the_containers_health_check_succeeds_while_the_server_is_there() {
    let mut server = Setup::new().start();
    let command = with_address(&server, "curl -f http://localhost:8000/health || exit 1");
    assert!(bash(&command).status.success());
    server.kill();
    assert_eq!(bash(&command).status.code(), Some(1));
}
