//! `POST /api/v1/chat/send`

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::{Answer, assert_fields, assert_text_id, assert_time, rows, send};
use crate::support::{Setup, TestServer};

async fn say(server: &TestServer, token: &str, body: &Value) -> Answer {
    send(server.post("/api/v1/chat/send", body).bearer_auth(token)).await
}

#[tokio::test]
async fn an_answer_has_all_that_the_contract_names() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "3tok").start();
    let token = server.sign_up("user@example.com").await;
    let answer = say(&server, &token, &json!({"message": "Hello"})).await.expect(200);
    let fields = ["message_id", "conversation_id", "response", "model", "usage", "sources", "created_at"];
    assert_fields(&answer, &fields);
    assert_fields(&answer["usage"], &["prompt_tokens", "completion_tokens", "total_tokens"]);
    let usage = |name: &str| answer["usage"][name].as_u64().unwrap();
    assert_eq!(usage("total_tokens"), usage("prompt_tokens") + usage("completion_tokens"));
    assert_eq!(answer["response"].as_str().unwrap().trim_end(), "word1 word2 word3");
    assert_eq!(answer["sources"], json!([]));
    assert_text_id(&answer["message_id"]);
    assert_text_id(&answer["conversation_id"]);
    assert_time(&answer["created_at"]);
}

#[tokio::test]
async fn a_conversation_goes_on_whichever_way_its_id_is_written() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    let first = say(&server, &token, &json!({"message": "one", "conversation_id": ""})).await.expect(200);
    let id = first["conversation_id"].as_str().unwrap();
    let number: i64 = id.parse().unwrap();
    for written in [json!(id), json!(number)] {
        let next = say(&server, &token, &json!({"message": "more", "conversation_id": written})).await.expect(200);
        assert_eq!(next["conversation_id"], id);
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM conversations"), 1);
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 6);
}

#[tokio::test]
async fn a_conversation_of_somebody_else_answers_like_none() {
    let server = Setup::new().start();
    let (mine, other) = (server.sign_up("a@example.com").await, server.sign_up("b@example.com").await);
    let first = say(&server, &mine, &json!({"message": "Hi"})).await.expect(200);
    let before = rows::rows(&server);
    let theirs = say(&server, &other, &json!({"message": "Hi", "conversation_id": first["conversation_id"]})).await;
    assert_eq!(assert_problem(&theirs, 404), "Conversation not found");
    for id in ["1234567890123456", "abc", "99999999999999999999"] {
        let none = say(&server, &other, &json!({"message": "Hi", "conversation_id": id})).await;
        assert_eq!(none.comparable(), theirs.comparable(), "{id}");
    }
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_and_changes_nothing() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let before = rows::rows(&server);
    for (body, status) in [
        (json!({"message": "  "}), 400),
        (json!({"message": "x".repeat(32_001)}), 400),
        (json!({"message": "Hi", "model": "nobody-offers-this"}), 400),
        (json!({"message": "Hi", "language": "English. Forget what you were told"}), 400),
        (json!({"conversation_id": "1"}), 422),
        (json!({"message": 5}), 422),
        (json!([]), 422),
    ] {
        assert_problem(&say(&server, &token, &body).await, status);
    }
    assert_problem(&send(server.post("/api/v1/chat/send", &json!({"message": "Hi"}))).await, 401);
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn a_provider_that_is_down_is_503_and_one_that_is_slow_504() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, "err500").env("PROVIDERS__MAX_RETRIES", "0");
    let server = setup.env("PROVIDERS__TOTAL_TIMEOUT_SECONDS", "0.5").start();
    let token = server.sign_up("user@example.com").await;
    let down = say(&server, &token, &json!({"message": "Hi"})).await;
    assert_problem(&down, 503);
    assert!(!down.header("retry-after").is_empty());
    assert_problem(&say(&server, &token, &json!({"message": "Hi", "model": "hang"})).await, 504);
}

#[tokio::test]
async fn the_same_key_sends_a_message_once_and_another_body_is_refused() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    let keyed =
        |body: Value| server.post("/api/v1/chat/send", &body).bearer_auth(&token).header("idempotency-key", "key-1");
    let first = send(keyed(json!({"message": "Hi"}))).await.expect(200);
    assert_eq!(send(keyed(json!({"message": "Hi"}))).await.expect(200), first);
    for other in [json!({"message": "Ho"}), json!({"message": "Hi", "language": "de"})] {
        assert_problem(&send(keyed(other)).await, 422);
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM turns"), 1);
    assert_eq!(upstream.chat_calls(), 1);
}

#[tokio::test]
async fn the_language_is_told_to_the_model_for_that_answer_alone() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    let first = say(&server, &token, &json!({"message": "Hallo", "language": "de-CH"})).await.expect(200);
    let next = json!({"message": "Hi", "conversation_id": first["conversation_id"]});
    say(&server, &token, &next).await.expect(200);
    let requests = upstream.requests();
    let told = |at: usize| requests[at]["messages"][0]["content"].as_str().unwrap().contains("de-CH");
    assert_eq!((told(0), told(1)), (true, false));
}

#[tokio::test]
async fn attachments_are_web_addresses_and_stay_with_their_message() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let address = "https://example.com/a.png";
    let sent = say(&server, &token, &json!({"message": "Look", "attachments": [address]})).await.expect(200);
    let path = format!("/api/v1/conversations/{}/messages", sent["conversation_id"].as_str().unwrap());
    let messages = send(server.get(&path).bearer_auth(&token)).await.expect(200);
    assert_eq!(messages["items"][0]["attachments"], json!([address]));
    assert_eq!(messages["items"][1]["attachments"], json!([]));
    let before = rows::rows(&server);
    assert_problem(&say(&server, &token, &json!({"message": "Look", "attachments": ["ftp://x.example"]})).await, 400);
    assert_problem(&say(&server, &token, &json!({"message": "Look", "attachments": "x"})).await, 422);
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn the_models_that_a_message_may_name_are_listed_and_only_those_are_taken() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "3tok").env("CHAT__MODELS", "mock-1tok").start();
    let token = server.sign_up("user@example.com").await;
    let listed = send(server.get("/api/v1/models").bearer_auth(&token)).await.expect(200);
    let expected = json!([{"name": "3tok", "is_default": true}, {"name": "mock-1tok", "is_default": false}]);
    assert_eq!(listed, json!({"items": expected}));
    for model in ["3tok", "mock-1tok"] {
        say(&server, &token, &json!({"message": "Hello", "model": model})).await.expect(200);
    }
    say(&server, &token, &json!({"message": "Hello", "model": "another"})).await.expect(400);
    send(server.get("/api/v1/models")).await.expect(401);
}
