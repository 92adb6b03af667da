//! `GET /api/history`

use serde_json::{Value, json};

use crate::kit::{Answer, assert_fields, assert_text_id, assert_time, send};
use crate::support::{Setup, TestServer};

async fn say(server: &TestServer, token: &str, message: &str, session: Option<&Value>) -> Value {
    let body = json!({"message": message, "session_id": session});
    send(server.post("/api/chat", &body).bearer_auth(token)).await.expect(200)["session_id"].clone()
}

async fn page(server: &TestServer, token: &str, query: &str) -> Answer {
    send(server.get(&format!("/api/history{query}")).bearer_auth(token)).await
}

fn ids(page: &Value) -> Vec<Value> {
    page["items"].as_array().unwrap().iter().map(|item| item["session_id"].clone()).collect()
}

#[tokio::test]
async fn the_first_page_has_twenty_unless_asked_otherwise() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let empty = page(&server, &token, "").await.expect(200);
    assert_eq!(empty, json!({"items": [], "page": 1, "per_page": 20, "total": 0}));
    let id = say(&server, &token, "Hello", None).await;
    let one = page(&server, &token, "").await.expect(200);
    assert_fields(&one, &["items", "page", "per_page", "total"]);
    let item = &one["items"][0];
    assert_fields(item, &["session_id", "last_message", "updated_at"]);
    assert_eq!(assert_text_id(&item["session_id"]), id.as_str().unwrap());
    assert!(item["last_message"].as_str().unwrap().contains("built-in mock"));
    assert_time(&item["updated_at"]);
    assert_eq!(one["total"], 1);
}

#[tokio::test]
async fn pages_divide_the_whole_without_loss_or_repeat() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(say(&server, &token, &format!("Conversation {number}"), None).await);
    }
    made.reverse();
    let mut seen = Vec::new();
    for (number, length) in [(1, 2), (2, 2), (3, 1), (4, 0)] {
        let found = page(&server, &token, &format!("?page={number}&per_page=2")).await.expect(200);
        assert_eq!((&found["page"], &found["per_page"], &found["total"]), (&json!(number), &json!(2), &json!(5)));
        assert_eq!(ids(&found).len(), length);
        seen.extend(ids(&found));
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn what_was_spoken_of_last_comes_first() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let first = say(&server, &token, "one", None).await;
    let second = say(&server, &token, "two", None).await;
    say(&server, &token, "three", Some(&first)).await;
    assert_eq!(ids(&page(&server, &token, "").await.expect(200)), [first, second]);
}

#[tokio::test]
async fn everybody_sees_their_own() {
    let server = Setup::new().start();
    let (one, two) = (server.sign_up("one@example.com").await, server.sign_up("two@example.com").await);
    say(&server, &one, "mine", None).await;
    send(server.post("/chat", &json!({"message": "a guest's"}))).await.expect(200);
    assert_eq!(page(&server, &two, "").await.expect(200)["total"], 0);
    assert_eq!(page(&server, &one, "").await.expect(200)["total"], 1);
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    for query in ["?page=0", "?per_page=0", "?per_page=101"] {
        let refused = page(&server, &token, query).await;
        assert_eq!(refused.status, 400, "{query}");
        refused.detail();
    }
    for (query, field) in [("?page=x", "page"), ("?page=-1", "page"), ("?per_page=1.5", "per_page"), ("?page=", "page")]
    {
        let refused = page(&server, &token, query).await.expect(422);
        assert_eq!(refused["detail"][0]["loc"], json!(["query", field]), "{query}");
        assert_eq!(refused["detail"][0]["type"], "int_parsing");
    }
    page(&server, &token, "?page=4294967295&per_page=100").await.expect(200);
    page(&server, &token, "?page=1&unknown=1").await.expect(200);
}

#[tokio::test]
async fn a_long_last_message_is_cut_for_the_list() {
    let upstream = parlor_bench::fake::FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    say(&server, &token, &"ü".repeat(2000), None).await;
    let found = page(&server, &token, "").await.expect(200);
    assert_eq!(found["items"][0]["last_message"].as_str().unwrap().chars().count(), 500);
}
