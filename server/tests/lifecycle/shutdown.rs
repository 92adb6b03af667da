//! SIGTERM: what runs is finished, nothing new is begun, and there is an end to patience.

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use crate::kit::{Socket, Stream, check, connect, read_to_the_end, soon, until, write};
use crate::support::{Setup, text_of};

const WORDS: &str = "word1 word2 word3 word4 word5 word6 word7 word8 word9 word10";

#[tokio::test]
async fn everything_that_runs_is_finished_before_the_server_ends() {
    let upstream = FakeUpstream::start().await;
    let mut server = Setup::new().upstream(&upstream, "mock-200ms-10tok").start();
    let token = server.sign_up("user@example.com").await;
    let mut streams = Vec::new();
    for n in 0..5 {
        let mut stream = Stream::open(&server, &token, &json!({"message": format!("stream {n}")})).await;
        stream.until("chunk").await;
        streams.push(stream);
    }
    let mut busy = Socket::open(&server, &token).await;
    busy.send(&json!({"message": "over a socket"})).await;
    busy.until("chunk").await;
    let mut idle = Socket::open(&server, &token).await;
    // Answered as a whole, after the slowest first word.
    let whole = |path: &str, body| server.post(path, &body).bearer_auth(&token).send();
    let slow = json!({"message": "slow", "model": "mock-1500ttft-10tok"});
    let calls_before = upstream.chat_calls();
    let whole = [whole("/api/chat", slow.clone()), whole("/api/chat", slow)].map(tokio::spawn);
    until(async || (upstream.chat_calls() == calls_before + 2).then_some(())).await;

    server.signal("TERM");
    server.wait_for_log("stopping:");
    assert_eq!(idle.next().await, Err(1001), "an idle socket is closed at once");
    assert_eq!(busy.until("done").await["finish_reason"], "stop");
    assert_eq!(busy.next().await, Err(1001));
    for stream in streams {
        let events = stream.rest().await;
        assert_eq!(events.last().unwrap().name, "done");
        assert_eq!(format!("word1{}", text_of(&events)), WORDS);
    }
    for answer in whole {
        let answer = soon(answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["reply"], WORDS);
    }
    assert_eq!(server.wait().code(), Some(0));
    check(&server.database());
    assert_eq!(server.count("SELECT COUNT(*) FROM turns WHERE state = 'complete'"), 8);
    assert!(server.log().last().unwrap().contains("stopped"));
}

#[tokio::test]
async fn a_stopping_server_takes_nothing_new() {
    let upstream = FakeUpstream::start().await;
    let mut server = Setup::new().upstream(&upstream, "mock-stall1").start();
    let token = server.sign_up("user@example.com").await;
    let mut stream = Stream::open(&server, &token, &json!({"message": "Hello"})).await;
    stream.until("chunk").await;
    let mut kept = connect(&server).await;
    write(&mut kept, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut socket = Socket::open(&server, &token).await;
    socket.send(&json!({"message": "busy"})).await;
    socket.until("chunk").await;
    server.signal("TERM");
    server.wait_for_log("stopping:");
    // The listener goes away a moment after the line; what it accepts until then is closed or told so.
    until(async || tokio::net::TcpStream::connect(server.authority()).await.err()).await;
    // The connection that was kept is closed, or says that the server is stopping.
    let _ =
        tokio::io::AsyncWriteExt::write_all(&mut kept, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await;
    let said = read_to_the_end(&mut kept).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(said.matches("HTTP/1.1").count() == 1 || said.contains("HTTP/1.1 503"), "{said}");
    // A socket that is busy may not begin another turn.
    socket.send(&json!({"message": "one more"})).await;
    assert_eq!(socket.until("error").await["code"], "unavailable");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test]
async fn the_end_of_the_grace_period_interrupts_what_would_never_end() {
    let upstream = FakeUpstream::start().await;
    let mut server = Setup::new().upstream(&upstream, "mock-stall2").env("SERVER__SHUTDOWN_GRACE_SECONDS", "1").start();
    let token = server.sign_up("user@example.com").await;
    let mut stream = Stream::open(&server, &token, &json!({"message": "Hello"})).await;
    stream.until("chunk").await;
    stream.until("chunk").await;
    let mut socket = Socket::open(&server, &token).await;
    socket.send(&json!({"message": "over a socket"})).await;
    socket.until("chunk").await;
    // Nothing is ever said to this one, which waits for a whole answer.
    let silent = json!({"message": "silent", "model": "mock-hang"});
    let silent = tokio::spawn(server.post("/api/chat", &silent).bearer_auth(&token).send());
    let classic = tokio::spawn(server.post("/chat", &json!({"message": "classic"})).send());
    until(async || (upstream.open() == 4).then_some(())).await;

    server.signal("TERM");
    let events = stream.rest().await;
    let error = events.last().unwrap();
    assert_eq!((error.name.as_str(), &error.data["code"]), ("error", &json!("interrupted")));
    assert_eq!(socket.until("error").await["code"], "interrupted");
    assert_eq!(socket.next().await, Err(1001));
    for refused in [silent, classic] {
        let refused = soon(refused).await.unwrap().unwrap();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
    }
    assert_eq!(server.wait().code(), Some(0));
    check(&server.database());
    assert_eq!(server.count("SELECT COUNT(*) FROM turns WHERE state = 'interrupted'"), 4);
    assert_eq!(server.count("SELECT COUNT(*) FROM messages WHERE role = 'assistant' AND content = 'word1 word2'"), 2);
    // The provider had taken the silent ones too, and had read them.
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger WHERE completion_tokens > 0"), 2);
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger WHERE prompt_tokens > 0"), 4);
    // And so it is told afterwards.
    server.restart();
    assert!(!server.log().iter().any(|line| line.contains("left open")), "nothing was left to be swept");
    assert_eq!(server.get("/health").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once_and_the_next_start_cleans_up() {
    let upstream = FakeUpstream::start().await;
    let mut server = Setup::new().upstream(&upstream, "mock-stall1").start();
    let token = server.sign_up("user@example.com").await;
    let mut stream = Stream::open(&server, &token, &json!({"message": "Hello"})).await;
    stream.until("chunk").await;
    server.signal("TERM");
    server.wait_for_log("stopping:");
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().iter().any(|line| line.contains("stopped at once")));
    assert_eq!(server.count("SELECT COUNT(*) FROM turns WHERE state IN ('pending', 'streaming')"), 1);
    server.restart();
    check(&server.database());
}

#[tokio::test]
async fn an_idle_server_ends_when_it_is_told_to() {
    for signal in ["TERM", "INT"] {
        let mut server = Setup::new().start();
        let mut kept = connect(&server).await;
        let mut silent = connect(&server).await;
        write(&mut kept, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
        server.signal(signal);
        read_to_the_end(&mut kept).await;
        read_to_the_end(&mut silent).await;
        assert_eq!(server.wait().code(), Some(0));
        assert!(!server.log().iter().any(|line| line.contains("did not end in time")));
    }
}
