//! Many streams that are mostly silent.

use futures_util::future::join_all;
use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use crate::kit::{Stream, check};
use crate::support::{Setup, TestServer, text_of};

const STREAMS: usize = 500;

/// A line of `/proc/<pid>/status`, in KiB.
fn resident(server: &TestServer) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: unknown").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_idle_streams_all_live_and_get_every_event() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new()
        .upstream(&upstream, "mock-4000ms-3tok")
        .env("SERVER__KEEP_ALIVE_SECONDS", "1")
        .env("LOG_LEVEL", "warn,parlor::server=info")
        .start();
    let token = server.sign_up("user@example.com").await;
    println!("before: {}", resident(&server));
    let streams = join_all((0..STREAMS).map(|n| {
        let (server, token) = (&server, &token);
        async move {
            let mut stream = Stream::open(server, token, &json!({"message": format!("stream {n}")})).await;
            stream.until("chunk").await;
            stream
        }
    }))
    .await;
    println!("with {STREAMS} idle streams: {}", resident(&server));
    for events in join_all(streams.into_iter().map(Stream::rest)).await {
        assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(text_of(&events), " word2 word3");
        assert_eq!(events[2].name, "done");
    }
    println!("afterwards: {}", resident(&server));
    check(&server.database());
    assert_eq!(server.count("SELECT COUNT(*) FROM turns WHERE state = 'complete'"), STREAMS as i64);
}
