//! The same request again.

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use crate::kit::gated::GatedUpstream;
use crate::kit::{Answer, rows, send, wait};
use crate::support::{Setup, TestServer, events, text_of};

async fn chat(server: &TestServer, token: &str, key: &str, message: &str) -> Answer {
    let request = server.post("/api/chat", &json!({"message": message})).bearer_auth(token);
    send(request.header("idempotency-key", key)).await
}

#[tokio::test]
async fn a_replay_gets_the_first_answer_also_after_a_restart() {
    let upstream = FakeUpstream::start().await;
    let mut server = Setup::new().upstream(&upstream, "3tok").start();
    let token = server.sign_up("user@example.com").await;
    let guests =
        || server.post("/chat", &json!({"message": "Hi", "user_id": "anna"})).header("idempotency-key", "key-1");
    let first_guests = send(guests()).await;
    first_guests.expect(200);
    let first = chat(&server, &token, "key-1", "Hi").await;
    first.expect(200);
    let before = rows::rows(&server);
    assert_eq!(chat(&server, &token, "key-1", "Hi").await.body, first.body);
    assert_eq!(send(guests()).await.body, first_guests.body);
    server.restart();
    assert_eq!(chat(&server, &token, "key-1", "Hi").await.body, first.body);
    let guests = server.post("/chat", &json!({"message": "Hi", "user_id": "anna"})).header("idempotency-key", "key-1");
    assert_eq!(send(guests).await.body, first_guests.body);
    assert_eq!((rows::rows(&server), upstream.chat_calls()), (before, 2));
}

#[tokio::test]
async fn the_same_key_with_another_body_is_422() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "3tok").start();
    let token = server.sign_up("user@example.com").await;
    let first = chat(&server, &token, "key-1", "Hi").await.expect(200);
    let before = rows::rows(&server);
    for body in [
        json!({"message": "Ho"}),
        json!({"message": "Hi", "session_id": first["session_id"]}),
        json!({"message": "Hi", "model": "2tok"}),
    ] {
        for path in ["/api/chat", "/api/chat/stream", "/chat"] {
            let mut body = body.clone();
            if path == "/chat" {
                // Its document has another name for the same, and no model.
                body["conversation_id"] = body["session_id"].take();
                if body.get("model").is_some() {
                    continue;
                }
            }
            let request = server.post(path, &body).bearer_auth(&token).header("idempotency-key", "key-1");
            let refused = send(request).await;
            assert_eq!(refused.status, 422, "{path} {body}");
            assert_eq!(refused.detail(), "this Idempotency-Key was used with a different request body");
        }
    }
    assert_eq!((rows::rows(&server), upstream.chat_calls()), (before, 1));
}

#[tokio::test]
async fn anothers_same_key_is_another_key() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let (one, two) = (server.sign_up("one@example.com").await, server.sign_up("two@example.com").await);
    let first = chat(&server, &one, "key-1", "Hi").await.expect(200);
    let second = chat(&server, &two, "key-1", "Hi").await.expect(200);
    assert_ne!(first["session_id"], second["session_id"]);
    assert_eq!(chat(&server, &two, "key-1", "Hi").await.expect(200), second);
    assert_eq!(upstream.chat_calls(), 2);
}

#[tokio::test]
async fn while_the_answer_is_written_a_replay_attaches_to_it() {
    let mut upstream = GatedUpstream::start().await;
    let server = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url()).start();
    let token = server.sign_up("user@example.com").await;
    let stream = || {
        let request = server.post("/api/chat/stream", &json!({"message": "Hi"})).bearer_auth(&token);
        request.header("idempotency-key", "key-1").send()
    };
    let first = stream().await.unwrap();
    let call = upstream.call().await;
    call.say("one ");
    let second = stream().await.unwrap();
    let whole = chat(&server, &token, "key-1", "Hi");
    let finish = async {
        call.say("two");
        call.finish();
    };
    let (whole, ()) = tokio::join!(whole, finish);
    assert_eq!(whole.expect(200)["reply"], "one two");
    let (first, second) = (first.text().await.unwrap(), second.text().await.unwrap());
    assert_eq!(text_of(&events(&first)), "one two");
    assert_eq!(events(&first), events(&second));
    assert_eq!(server.count("SELECT COUNT(*) FROM turns"), 1);
}

#[tokio::test]
async fn a_failure_is_replayed_too() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "flaky1").env("PROVIDERS__MAX_RETRIES", "0").start();
    let token = server.sign_up("user@example.com").await;
    let first = chat(&server, &token, "key-1", "Hi").await;
    first.expect(500);
    assert_eq!(chat(&server, &token, "key-1", "Hi").await.comparable(), first.comparable());
    assert_eq!(upstream.chat_calls(), 1);
    chat(&server, &token, "key-2", "Hi").await.expect(200);
}

#[tokio::test]
async fn whoever_left_finds_the_answer_under_the_key() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "300ttft-3tok").start();
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&token);
    let leaving = tokio::spawn(send(request.header("idempotency-key", "key-1")));
    wait::until("the provider is asked", || upstream.open() == 1).await;
    leaving.abort();
    assert_eq!(chat(&server, &token, "key-1", "Hi").await.expect(200)["reply"], "word1 word2 word3");
    assert_eq!(upstream.chat_calls(), 1);
}
