//! Fields in the query, as the document's backend took them.

use reqwest::Method;
use serde_json::json;

use super::history;
use crate::kit::{assert_text_id, send};
use crate::support::Setup;

const QUERY: &str = "/chat-message?message=Hello%20there%21&user_id=1&message_id=m-1&message_count=1";

#[tokio::test]
async fn everything_may_stand_in_the_query() {
    let server = Setup::new().start();
    let answer = send(server.request(Method::POST, &format!("{QUERY}&conversation_id="))).await.expect(200);
    let id = assert_text_id(&answer["conversation_id"]);
    assert_eq!(history(&server, &id).await["messages"][0]["message"], "Hello there!");
    assert_eq!(send(server.request(Method::POST, QUERY)).await.expect(200), answer, "the same message");
    let more = QUERY.replace("m-1", "m-2");
    let more = send(server.request(Method::POST, &format!("{more}&conversation_id={id}"))).await.expect(200);
    assert_eq!(more["conversation_id"], id);
}

#[tokio::test]
async fn what_the_body_says_wins_over_the_query() {
    let server = Setup::new().start();
    let body = json!({"message": "From the body", "message_id": "m-9"});
    let answer = send(server.post(QUERY, &body)).await.expect(200);
    let shown = history(&server, answer["conversation_id"].as_str().unwrap()).await;
    assert_eq!(shown["messages"][0]["message"], "From the body");
    assert_eq!(crate::kit::rows::text(&server, "SELECT message_id FROM message_store LIMIT 1"), "m-9");
}

#[tokio::test]
async fn what_is_wrong_in_the_query_is_told_of_the_query() {
    let server = Setup::new().start();
    let refused = send(server.request(Method::POST, "/chat-message?message=Hi&user_id=one")).await.expect(422);
    let told: Vec<_> =
        refused["detail"].as_array().unwrap().iter().map(|fault| (&fault["loc"], &fault["type"])).collect();
    for expected in [
        (json!(["query", "user_id"]), json!("int_type")),
        (json!(["query", "message_id"]), json!("missing")),
        (json!(["query", "message_count"]), json!("missing")),
    ] {
        assert!(told.contains(&(&expected.0, &expected.1)), "{expected:?} in {refused}");
    }
    assert_eq!(told.len(), 3);
}

#[tokio::test]
async fn a_page_of_another_origin_sends_nothing_by_the_query() {
    let server = Setup::new().start();
    let from = |origin: &str| send(server.request(Method::POST, QUERY).header("origin", origin));
    from("https://evil.example").await.expect(403);
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
    from("http://localhost:3000").await.expect(200);
    from(&server.url("")).await.expect(200);
}
