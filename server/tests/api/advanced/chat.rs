//! `POST /api/chat`

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use crate::kit::{assert_fields, assert_text_id, assert_time, rows, send};
use crate::support::Setup;

#[tokio::test]
async fn a_message_is_answered() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    let body = json!({"message": "Hello, how are you?", "session_id": null});
    let answer = send(server.post("/api/chat", &body).bearer_auth(token)).await.expect(200);
    assert_fields(&answer, &["message_id", "session_id", "reply", "model", "usage", "created_at"]);
    assert_text_id(&answer["message_id"]);
    assert_text_id(&answer["session_id"]);
    assert_eq!((&answer["reply"], &answer["model"]), (&json!("Hello, how are you?"), &json!("echo")));
    assert_fields(&answer["usage"], &["tokens"]);
    assert_eq!(answer["usage"]["tokens"], 6 + 4 + 4, "the system prompt's words, the question's, the answer's");
    assert_time(&answer["created_at"]);
    assert_eq!(upstream.last_authorization().unwrap(), "Bearer sk-test");
    assert_eq!(server.count("SELECT prompt_tokens + completion_tokens FROM usage_ledger"), 14);
}

#[tokio::test]
async fn a_session_goes_on_under_both_spellings_of_its_id() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    let say = |body: Value| send(server.post("/api/chat", &body).bearer_auth(&token));
    let first = say(json!({"message": "one"})).await.expect(200);
    let id = assert_text_id(&first["session_id"]);
    for (message, spelling) in [("two", json!(id)), ("three", json!(id.parse::<i64>().unwrap()))] {
        let answer = say(json!({"message": message, "session_id": spelling})).await.expect(200);
        assert_eq!(answer["session_id"], json!(id));
    }
    let asked = upstream.requests().pop().unwrap();
    assert_eq!(asked["messages"].as_array().unwrap().len(), 6);
    for nothing in [json!(null), json!("")] {
        let answer = say(json!({"message": "new", "session_id": nothing})).await.expect(200);
        assert_ne!(answer["session_id"], json!(id));
    }
}

#[tokio::test]
async fn an_unknown_session_is_not_found_and_nothing_is_stored() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let before = rows::rows(&server);
    for id in
        [json!("abc"), json!("1"), json!(1), json!(0), json!(-1), json!("2000000000000001"), json!("9007199254740993")]
    {
        let request = server.post("/api/chat", &json!({"message": "Hi", "session_id": id})).bearer_auth(&token);
        assert_eq!(send(request).await.expect(404), json!({"detail": "Conversation not found"}), "{id}");
    }
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn when_every_provider_fails_it_is_500_and_tells_nothing_of_the_provider() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "err500").env("PROVIDERS__MAX_RETRIES", "0").start();
    let token = server.sign_up("user@example.com").await;
    let refused = send(server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&token)).await;
    refused.expect(500);
    for secret in ["The server had an error", "sk-test", "127.0.0.1", "server_error"] {
        assert!(!refused.body.contains(secret), "{refused:?}");
    }
    assert_eq!(rows::text(&server, "SELECT state FROM turns"), "failed");
    let history = send(server.get("/api/history").bearer_auth(&token)).await.expect(200);
    assert_eq!(history["items"][0]["last_message"], "Hi", "what the person said is kept");
}

#[tokio::test]
async fn a_provider_that_takes_too_long_is_500_too() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new()
        .upstream(&upstream, "hang")
        .env("PROVIDERS__MAX_RETRIES", "0")
        .env("PROVIDERS__TOTAL_TIMEOUT_SECONDS", "1")
        .start();
    let token = server.sign_up("user@example.com").await;
    let refused = send(server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&token)).await;
    refused.expect(500);
    assert_eq!(refused.detail(), "the AI service did not answer in time");
}

#[tokio::test]
async fn a_provider_that_recovers_is_asked_again() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "flaky1-3tok").start();
    let token = server.sign_up("user@example.com").await;
    let answer = send(server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&token)).await.expect(200);
    assert_eq!(answer["reply"], "word1 word2 word3");
    assert_eq!(upstream.chat_calls(), 2);
}

#[tokio::test]
async fn a_model_that_is_not_offered_is_400() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").env("CHAT__MODELS", "2tok").start();
    let token = server.sign_up("user@example.com").await;
    let ask =
        |model: &str| send(server.post("/api/chat", &json!({"message": "Hi", "model": model})).bearer_auth(&token));
    assert_eq!(ask("2tok").await.expect(200)["reply"], "word1 word2");
    assert_eq!(ask("gpt-4o").await.expect(400), json!({"detail": "this model is not offered here"}));
}

#[tokio::test]
async fn leaving_before_the_answer_does_not_stop_it() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "300ttft-3tok").start();
    let token = server.sign_up("user@example.com").await;
    let leaving = tokio::spawn(send(server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&token)));
    crate::kit::wait::until("the provider is asked", || upstream.open() == 1).await;
    leaving.abort();
    crate::kit::wait::until("the answer is stored", || {
        server.count("SELECT COUNT(*) FROM turns WHERE state = 'complete'") == 1
    })
    .await;
    let history = send(server.get("/api/history").bearer_auth(&token)).await.expect(200);
    assert_eq!(history["items"][0]["last_message"], "word1 word2 word3");
    assert_eq!(upstream.aborted(), 0);
}
