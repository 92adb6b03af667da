//! Clients that take their time cost nobody else theirs.

use futures_util::future::join_all;
use parlor_bench::fake::FakeUpstream;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::kit::{chat, check, connect, read_to_the_end, read_until, until, write};
use crate::support::{PATIENCE, Setup};

#[tokio::test]
async fn a_connection_whose_request_never_comes_is_closed() {
    let server = Setup::new().start();
    let beginnings = [
        "GET /health HTTP/1.1\r\nHost: x\r\n",
        "POST /chat HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        // Kept for a next request, which does not come.
        "GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        // Nothing at all, and what may still become HTTP/2.
        "",
        "P",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
    ];
    let closed = beginnings.map(async |beginning| {
        let mut socket = connect(&server).await;
        write(&mut socket, beginning).await;
        let mut all = Vec::new();
        let reading = socket.read_to_end(&mut all);
        // A reset is an end as well.
        (beginning, tokio::time::timeout(PATIENCE, reading).await.is_ok())
    });
    let open: Vec<_> = join_all(closed).await.into_iter().filter(|(_, closed)| !closed).collect();
    assert!(open.is_empty(), "still open: {open:?}");
    assert_eq!(chat(&server, "Hello").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_body_that_never_ends_is_answered_with_408() {
    let server = Setup::new().start();
    let mut socket = connect(&server).await;
    let head = "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"message\": ";
    write(&mut socket, head).await;
    let told = read_to_the_end(&mut socket).await;
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    assert!(told.contains("{\"detail\":"), "{told}");
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 0);
}

#[tokio::test]
async fn a_reader_that_never_reads_holds_up_neither_its_turn_nor_anybody() {
    let upstream = FakeUpstream::start().await;
    // More than a socket's buffers hold.
    let server = Setup::new().upstream(&upstream, "mock-0ms-60000tok").start();
    let token = server.sign_up("user@example.com").await;
    let body = json!({"message": "Say much"}).to_string();
    let mut deaf = Vec::new();
    for _ in 0..5 {
        let mut socket = connect(&server).await;
        let head = format!(
            "POST /api/chat/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        write(&mut socket, &format!("{head}{body}")).await;
        deaf.push(socket);
    }
    until(async || (server.count("SELECT COUNT(*) FROM turns WHERE state = 'complete'") == 5).then_some(())).await;
    let other = json!({"message": "Hello", "model": "mock-2tok"});
    let other = server.post("/api/chat", &other).bearer_auth(&token).send().await.unwrap();
    assert_eq!(other.status(), 200);
    // All of it still waits for whoever begins to read.
    let mut late = deaf.pop().unwrap();
    let all = read_until(&mut late, "event: done").await;
    assert!(all.contains("word60000"), "{} bytes", all.len());
    drop(deaf);
    check(&server.database());
}
