//! `POST /chat`

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::{begin, list, said};
use crate::kit::{assert_fields, assert_number_id, rows, send};
use crate::support::Setup;

const APOLOGY: &str = "I'm sorry, I'm having trouble responding right now. Please try again later.";

#[tokio::test]
async fn a_first_message_begins_a_conversation_and_is_answered() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let body = json!({"message": "Hello there", "user_id": "anna"});
    let answer = send(server.post("/chat", &body)).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let answer = answer.expect(200);
    assert_fields(&answer, &["response", "conversation_id"]);
    assert_eq!(answer["response"], "Hello there");
    let id = assert_number_id(&answer["conversation_id"]);
    assert_eq!(id.to_string().len(), 16);
    let asked = upstream.requests().pop().unwrap();
    let system = json!({"role": "system", "content": "You are a helpful assistant chatbot."});
    assert_eq!(asked["messages"], json!([system, {"role": "user", "content": "Hello there"}]));
}

#[tokio::test]
async fn a_message_that_names_no_user_is_the_default_users() {
    let server = Setup::new().start();
    let answer = send(server.post("/chat", &json!({"message": "Hi"}))).await.expect(200);
    let listed = list(&server, "default_user").await;
    assert_eq!(listed[0]["id"], answer["conversation_id"]);
    assert_eq!(listed[0]["user_id"], "default_user");
}

#[tokio::test]
async fn a_conversation_goes_on_under_both_spellings_of_its_id() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let id = begin(&server, "anna", "one").await;
    for (message, spelling) in [("two", json!(id)), ("three", json!(id.to_string()))] {
        let body = json!({"message": message, "conversation_id": spelling, "user_id": "anna"});
        let answer = send(server.post("/chat", &body)).await.expect(200);
        assert_eq!(answer["conversation_id"], id);
    }
    let asked = upstream.requests().pop().unwrap();
    let told: Vec<&str> =
        asked["messages"].as_array().unwrap()[1..].iter().map(|m| m["content"].as_str().unwrap()).collect();
    assert_eq!(told, ["one", "one", "two", "two", "three"]);
    assert_eq!(said(&server, id).await.len(), 6);
}

#[tokio::test]
async fn whoever_knows_a_conversation_need_not_name_its_user_again() {
    let server = Setup::new().start();
    let id = begin(&server, "anna", "one").await;
    send(server.post("/chat", &json!({"message": "two", "conversation_id": id}))).await.expect(200);
    assert_eq!(said(&server, id).await.len(), 4);
}

#[tokio::test]
async fn a_null_conversation_is_a_new_one() {
    let server = Setup::new().start();
    let id = begin(&server, "anna", "one").await;
    let body = json!({"message": "two", "conversation_id": null, "user_id": "anna"});
    let answer = send(server.post("/chat", &body)).await.expect(200);
    assert_ne!(answer["conversation_id"], id);
}

#[tokio::test]
async fn an_unknown_conversation_is_not_found_and_nothing_is_stored() {
    let server = Setup::new().start();
    begin(&server, "anna", "one").await;
    let before = rows::rows(&server);
    for id in [json!(1), json!("2000000000000001"), json!("abc"), json!(-5), json!(9_007_199_254_740_993_i64)] {
        let body = json!({"message": "Hi", "conversation_id": id, "user_id": "anna"});
        let answer = send(server.post("/chat", &body)).await;
        assert_eq!(answer.expect(404), json!({"detail": "Conversation not found"}), "{id}");
    }
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn when_every_provider_fails_the_answer_is_an_apology_with_status_200() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "err500").env("PROVIDERS__MAX_RETRIES", "0").start();
    let answer = send(server.post("/chat", &json!({"message": "Hi", "user_id": "anna"}))).await.expect(200);
    assert_fields(&answer, &["response", "conversation_id"]);
    assert_eq!(answer["response"], APOLOGY);
    let id = assert_number_id(&answer["conversation_id"]);
    assert_eq!(said(&server, id).await, [("user".into(), "Hi".into()), ("assistant".into(), APOLOGY.to_owned())]);
    assert_eq!(rows::text(&server, "SELECT state FROM turns"), "failed");
    assert_eq!(rows::text(&server, "SELECT error_code FROM turns"), "provider_unavailable");
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger"), 0);
}

#[tokio::test]
async fn an_apology_is_not_put_before_the_model_as_its_own_words() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "flaky1").env("PROVIDERS__MAX_RETRIES", "0").start();
    let id = begin(&server, "anna", "first").await;
    let body = json!({"message": "second", "conversation_id": id, "user_id": "anna"});
    assert_ne!(send(server.post("/chat", &body)).await.expect(200)["response"], APOLOGY);
    let asked: Value = upstream.requests().pop().unwrap();
    assert!(!asked.to_string().contains("trouble"), "{asked}");
}

#[tokio::test]
async fn a_message_is_kept_exactly_as_it_was_sent() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    for text in [
        "  Robert'); DROP TABLE messages;--  ",
        "\u{1f600} e\u{301} \u{202e}x\r\n\ttab",
        "<script>alert(1)</script>",
        "{{7*7}} %s \\u0000",
    ] {
        let id = begin(&server, "anna", text).await;
        assert_eq!(said(&server, id).await[0].1, text);
        let asked = upstream.requests().pop().unwrap();
        assert_eq!(asked["messages"][1]["content"], text);
    }
}
