//! Started again after `kill -9` in the middle of an answer.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use crate::kit::{Stream, check, until};
use crate::support::{Setup, text_of};

#[tokio::test]
async fn what_had_been_said_is_shown_resumed_and_billed_as_estimated() {
    let upstream = FakeUpstream::start().await;
    let mut server =
        Setup::new().upstream(&upstream, "mock-stall3").env("CHAT__CHECKPOINT_INTERVAL_SECONDS", "0.02").start();
    let token = server.sign_up("user@example.com").await;
    let body = json!({"message": "Hello"});
    let request = server.post("/api/chat/stream", &body).bearer_auth(&token).header("Idempotency-Key", "key-1");
    let mut stream = Stream::of(request.send().await.unwrap());
    let start = stream.until("start").await;
    for _ in 0..3 {
        stream.until("chunk").await;
    }
    let said = "word1 word2 word3";
    until(async || {
        let sql = "SELECT COUNT(*) FROM messages WHERE content = 'word1 word2 word3'";
        (server.count(sql) == 1).then_some(())
    })
    .await;
    let calls = upstream.chat_calls();
    server.kill();
    server.restart();
    server.wait_for_log("marked as interrupted");
    check(&server.database());
    let message_id = start.data["message_id"].as_str().unwrap();
    let resume = async |after: &str| {
        let path = format!("/api/v1/chat/messages/{message_id}/stream");
        let request = server.get(&path).bearer_auth(&token).header("Last-Event-ID", after);
        Stream::of(request.send().await.unwrap()).rest().await
    };
    let whole = resume("0").await;
    assert_eq!(whole.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(text_of(&whole), said);
    assert_eq!((whole[4].name.as_str(), &whole[4].data["code"]), ("error", &json!("interrupted")));
    assert_eq!(resume("3").await, whole[3..]);
    // Whoever saw more than was stored hears all the same that it has ended.
    for after in ["5", "9"] {
        let end = resume(after).await;
        assert_eq!((end.len(), end[0].id, &end[0].data), (1, after.parse::<u64>().unwrap() + 1, &whole[4].data));
    }
    // The same key attaches to the interrupted answer, and nobody is asked again.
    let again = server.post("/api/chat/stream", &body).bearer_auth(&token);
    let again = again.header("Idempotency-Key", "key-1").header("Last-Event-ID", "2").send().await.unwrap();
    assert_eq!(Stream::of(again).rest().await, whole[2..]);
    assert_eq!(upstream.chat_calls(), calls);
    let history: Value = server.get("/api/history").bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!(history["items"][0]["last_message"], said);
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger WHERE is_estimated = 1 AND completion_tokens > 0"), 1);
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger"), 1);
    // The conversation goes on.
    let next = json!({"message": "And?", "session_id": start.data["session_id"], "model": "mock-2tok"});
    let next = server.post("/api/chat", &next).bearer_auth(&token).send().await.unwrap();
    assert_eq!(next.json::<Value>().await.unwrap()["reply"], "word1 word2");
    let asked = upstream.requests().pop().unwrap();
    let asked: Vec<_> = asked["messages"].as_array().unwrap().iter().skip(1).map(|m| m["content"].clone()).collect();
    assert_eq!(asked, ["Hello", said, "And?"]);
}

#[tokio::test]
async fn a_message_that_was_not_answered_before_the_stop_says_so_under_its_key() {
    let upstream = FakeUpstream::start().await;
    let mut server = Setup::new().upstream(&upstream, "mock-hang").start();
    let token = server.sign_up("user@example.com").await;
    let body = json!({"message": "Hello"});
    let send = |key: &str| server.post("/api/v1/chat/send", &body).bearer_auth(&token).header("Idempotency-Key", key);
    let cut = tokio::spawn(send("key-1").send());
    until(async || (upstream.chat_calls() == 1).then_some(())).await;
    server.kill();
    assert!(cut.await.unwrap().is_err());
    server.restart();
    server.wait_for_log("marked as interrupted");
    let send = |key: &str| server.post("/api/v1/chat/send", &body).bearer_auth(&token).header("Idempotency-Key", key);
    let again = send("key-1").send().await.unwrap();
    assert_eq!(again.status(), 503);
    assert!(!again.headers().contains_key("retry-after"), "the same key would hear the same again");
    let told: Value = again.json().await.unwrap();
    assert!(told["detail"].as_str().unwrap().contains("under another key"), "{told}");
    assert_eq!(told["code"], "interrupted");
    assert_eq!(upstream.chat_calls(), 1);
}
