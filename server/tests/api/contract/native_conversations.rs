//! The lines of `native` on conversations.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, NOBODYS};
use crate::kit::{assert_fields, assert_text_id, assert_time, send};

/// An account with one conversation of one exchange: the conversation's path, the answer's id.
async fn talk() -> (Client, String, String) {
    let client = Client::start().await;
    let said = client.say("Hello").await;
    let path = format!("/api/v1/conversations/{}", said["conversation_id"].as_str().unwrap());
    (client, path, said["message_id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn get_conversations_takes_limit_before_and_q() {
    let client = Client::start().await;
    for message in ["apples", "pears", "plums"] {
        client.say(message).await;
    }
    let titles = |page: &Value| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|item| item["title"].clone()).collect()
    };
    let first = client.get("/api/v1/conversations?limit=2").await.expect(200);
    assert_fields(&first, &["items", "next"]);
    assert_eq!(titles(&first), ["plums", "pears"]);
    let next = format!("/api/v1/conversations?limit=2&before={}", first["next"].as_str().unwrap());
    let second = client.get(&next).await.expect(200);
    assert_eq!((titles(&second), &second["next"]), (vec![json!("apples")], &Value::Null));
    assert_eq!(titles(&client.get("/api/v1/conversations?q=pears").await.expect(200)), ["pears"]);
    client.get("/api/v1/conversations?limit=101").await.expect(400);
}

#[tokio::test]
async fn get_patch_and_delete_conversation_answer_change_and_end_it() {
    let (client, path, _) = talk().await;
    let read = client.get(&path).await.expect(200);
    assert_text_id(&read["id"]);
    assert_time(&read["created_at"]);
    let changed = client.call(Method::PATCH, &path, json!({"title": "Greeting"})).await.expect(200);
    assert_eq!((&changed["title"], &changed["id"]), (&json!("Greeting"), &read["id"]));
    assert_eq!(client.call(Method::DELETE, &path, Value::Null).await.status, 204);
    client.get(&path).await.expect(404);
    client.get(&format!("/api/v1/conversations/{NOBODYS}")).await.expect(404);
}

#[tokio::test]
async fn get_messages_of_a_conversation_takes_limit_and_before() {
    let (client, path, answer) = talk().await;
    let newest = client.get(&format!("{path}/messages?limit=1")).await.expect(200);
    assert_fields(&newest, &["items", "next"]);
    assert_eq!(newest["items"][0]["id"], answer);
    let before = format!("{path}/messages?limit=1&before={}", newest["next"].as_str().unwrap());
    let oldest = client.get(&before).await.expect(200);
    assert_eq!((&oldest["items"][0]["content"], &oldest["next"]), (&json!("Hello"), &Value::Null));
}

#[tokio::test]
async fn an_answer_is_regenerated_beside_the_first() {
    let (client, path, answer) = talk().await;
    let again = client.post(&format!("{path}/messages/{answer}/regenerate"), Value::Null).await.expect(200);
    assert_ne!(again["message_id"], answer);
    let messages = client.get(&format!("{path}/messages")).await.expect(200);
    assert_eq!(messages["items"][1]["siblings"]["ids"], json!([answer, again["message_id"]]));
}

#[tokio::test]
async fn a_message_is_edited_into_a_branch() {
    let (client, path, _) = talk().await;
    let messages = client.get(&format!("{path}/messages")).await.expect(200);
    let question = messages["items"][0]["id"].as_str().unwrap();
    let edit = format!("{path}/messages/{question}/edit");
    client.post(&edit, json!({"message": "Good morning"})).await.expect(200);
    let branch = client.get(&format!("{path}/messages")).await.expect(200);
    assert_eq!(branch["items"][0]["content"], "Good morning");
    assert_eq!(branch["items"][0]["siblings"]["count"], 2);
}

#[tokio::test]
async fn an_answer_gets_feedback() {
    let (client, path, answer) = talk().await;
    let body = json!({"rating": "up", "comment": "Nice"});
    let said = client.call(Method::PUT, &format!("{path}/messages/{answer}/feedback"), body).await.expect(200);
    assert_fields(&said, &["rating", "comment", "updated_at"]);
    assert_eq!(client.get(&format!("{path}/messages")).await.expect(200)["items"][1]["feedback"], said);
}

#[tokio::test]
async fn get_conversation_export_answers_json_or_markdown() {
    let (client, path, _) = talk().await;
    let export = client.get(&format!("{path}/export?format=json")).await.expect(200);
    assert_eq!(export["messages"][0]["content"], "Hello");
    let markdown = client.get(&format!("{path}/export?format=markdown")).await;
    assert_eq!((markdown.status.as_u16(), markdown.header("content-type")), (200, "text/markdown; charset=utf-8"));
    assert!(markdown.body.starts_with("# Hello\n"), "{}", markdown.body);
}

#[tokio::test]
async fn a_conversation_is_shared_by_a_link_that_needs_no_token() {
    let (client, path, _) = talk().await;
    let shared = client.post(&format!("{path}/shares"), Value::Null).await.expect(201);
    let read = send(client.server.get(shared["path"].as_str().unwrap())).await.expect(200);
    assert_eq!(read["messages"][0]["content"], "Hello");
}
