//! `POST /api/v1/chat/messages/{id}/stop`

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use crate::kit::{assert_fields, rows, send, wait};
use crate::support::{Setup, TestServer, events};

async fn stop(server: &TestServer, token: &str, id: &str) -> Value {
    let request = server.request(reqwest::Method::POST, &format!("/api/v1/chat/messages/{id}/stop"));
    send(request.bearer_auth(token)).await.expect(200)
}

#[tokio::test]
async fn a_stopped_answer_leaves_the_provider_and_keeps_what_was_said() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "9tok-stall3").start();
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/api/chat/stream", &json!({"message": "Hello"})).bearer_auth(&token);
    let mut response = request.send().await.unwrap();
    let mut seen = String::new();
    while !seen.contains("word3") {
        seen.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    let id = events(seen.split_inclusive("\n\n").next().unwrap())[0].data["message_id"].as_str().unwrap().to_owned();
    assert_eq!((upstream.open(), upstream.aborted()), (1, 0));

    let stopped = stop(&server, &token, &id).await;
    assert_fields(&stopped, &["message_id", "response", "finish_reason", "usage"]);
    assert_eq!((&stopped["message_id"], &stopped["finish_reason"]), (&json!(id), &json!("cancelled")));
    let said = stopped["response"].as_str().unwrap().to_owned();
    assert_eq!(said.trim_end(), "word1 word2 word3");
    wait::until("the provider is left", || upstream.aborted() == 1).await;

    seen.push_str(&response.text().await.unwrap());
    let events = events(&seen);
    let done = events.last().unwrap();
    assert_eq!((done.name.as_str(), &done.data["finish_reason"]), ("done", &json!("cancelled")));
    assert_eq!(rows::text(&server, "SELECT state || ' ' || finish_reason FROM turns"), "cancelled cancelled");
    assert_eq!(rows::text(&server, "SELECT content FROM messages WHERE role = 'assistant'"), said);
    let billed =
        "SELECT COUNT(*) FROM usage_ledger WHERE completion_tokens > 0 AND prompt_tokens > 0 AND is_estimated = 1";
    assert_eq!(server.count(billed), 1);

    assert_eq!(stop(&server, &token, &id).await, stopped, "stopping again changes nothing");
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger"), 1);
}

#[tokio::test]
async fn an_answer_that_has_not_begun_can_be_stopped() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "hang").start();
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/api/chat/stream", &json!({"message": "Hello"})).bearer_auth(&token);
    let response = request.send().await.unwrap();
    wait::until("the provider is asked", || upstream.open() == 1).await;
    let id = rows::text(&server, "SELECT CAST(answer_message_id AS TEXT) FROM turns");
    let stopped = stop(&server, &token, &id).await;
    assert_eq!((&stopped["response"], &stopped["finish_reason"]), (&json!(""), &json!("cancelled")));
    wait::until("the provider is left", || upstream.aborted() == 1).await;
    let events = events(&response.text().await.unwrap());
    assert_eq!(events.last().unwrap().data["finish_reason"], "cancelled");
    // The provider had the question, and does not read for nothing.
    let estimated =
        "SELECT COUNT(*) FROM usage_ledger WHERE prompt_tokens > 0 AND completion_tokens = 0 AND is_estimated = 1";
    assert_eq!((server.count("SELECT COUNT(*) FROM usage_ledger"), server.count(estimated)), (1, 1));
}

#[tokio::test]
async fn a_finished_answer_stays_as_it_is() {
    let upstream = FakeUpstream::start().await;
    let mut server = Setup::new().upstream(&upstream, "3tok").start();
    let token = server.sign_up("user@example.com").await;
    let answer = send(server.post("/api/chat", &json!({"message": "Hello"})).bearer_auth(&token)).await.expect(200);
    let id = answer["message_id"].as_str().unwrap();
    for restarted in [false, true] {
        if restarted {
            server.restart();
        }
        let stopped = stop(&server, &token, id).await;
        assert_eq!((&stopped["response"], &stopped["finish_reason"]), (&answer["reply"], &json!("stop")));
        assert_eq!(stopped["usage"]["total_tokens"], answer["usage"]["tokens"]);
    }
    assert_eq!(rows::text(&server, "SELECT state FROM turns"), "complete");
}
