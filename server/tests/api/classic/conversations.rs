//! `/conversations…`

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use super::{begin, list, said};
use crate::kit::{assert_fields, assert_number_id, assert_time, send, wait};
use crate::support::Setup;

#[tokio::test]
async fn a_conversation_can_be_begun_without_a_message() {
    let server = Setup::new().start();
    let made = send(server.post("/conversations", &json!({"user_id": "anna"}))).await.expect(200);
    assert_fields(&made, &["id", "user_id"]);
    assert_eq!(made["user_id"], "anna");
    let id = assert_number_id(&made["id"]);
    assert_eq!(said(&server, id).await, []);
    let listed = &list(&server, "anna").await[0];
    assert_eq!(
        (&listed["message_count"], &listed["title"], &listed["last_message"]),
        (&json!(0), &json!(null), &json!(null))
    );
    let answer = send(server.post("/chat", &json!({"message": "Hi", "conversation_id": id, "user_id": "anna"}))).await;
    assert_eq!(answer.expect(200)["conversation_id"], id);
}

#[tokio::test]
async fn a_conversation_needs_a_user() {
    let server = Setup::new().start();
    let missing = send(server.post("/conversations", &json!({}))).await.expect(422);
    assert_eq!(missing["detail"][0]["loc"], json!(["body", "user_id"]));
    for bad in ["", "a\nb", &"x".repeat(256)] {
        let refused = send(server.post("/conversations", &json!({"user_id": bad}))).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        refused.detail();
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
}

#[tokio::test]
async fn messages_come_oldest_first() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let id = begin(&server, "anna", "one").await;
    send(server.post("/chat", &json!({"message": "two", "conversation_id": id}))).await.expect(200);
    let messages = send(server.get(&format!("/conversations/{id}/messages"))).await.expect(200);
    let messages = messages.as_array().unwrap();
    let said: Vec<_> = messages.iter().map(|m| (m["role"].as_str().unwrap(), m["content"].as_str().unwrap())).collect();
    assert_eq!(said, [("user", "one"), ("assistant", "one"), ("user", "two"), ("assistant", "two")]);
    for message in messages {
        assert_fields(message, &["id", "role", "content", "created_at"]);
        assert_number_id(&message["id"]);
        assert_time(&message["created_at"]);
    }
}

#[tokio::test]
async fn conversations_are_listed_with_the_newest_first() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let first = begin(&server, "anna", "How do I bake bread?").await;
    let second = begin(&server, "anna", "Tell me a story").await;
    begin(&server, "ben", "Not anna's").await;
    let ids = |listed: &[serde_json::Value]| listed.iter().map(|item| item["id"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(ids(&list(&server, "anna").await), [second, first]);
    let body = json!({"message": "And rolls?", "conversation_id": first, "user_id": "anna"});
    send(server.post("/chat", &body)).await.expect(200);
    let listed = list(&server, "anna").await;
    assert_eq!(ids(&listed), [first, second]);
    for item in &listed {
        assert_fields(item, &["id", "user_id", "created_at", "updated_at", "title", "message_count", "last_message"]);
        assert_time(&item["created_at"]);
        assert_time(&item["updated_at"]);
        assert_eq!(item["user_id"], "anna");
    }
    assert_eq!(listed[0]["title"], "How do I bake bread?");
    assert_eq!(listed[0]["message_count"], 4);
    assert_eq!(listed[0]["last_message"], "And rolls?");
}

#[tokio::test]
async fn a_title_is_short_and_ends_at_a_word() {
    let server = Setup::new().start();
    begin(&server, "anna", &"word ".repeat(100)).await;
    assert_eq!(list(&server, "anna").await[0]["title"], "word ".repeat(12).trim_end());
}

#[tokio::test]
async fn a_user_without_conversations_has_an_empty_list_and_is_not_made() {
    let server = Setup::new().start();
    assert!(list(&server, "nobody").await.is_empty());
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
}

#[tokio::test]
async fn a_user_may_be_called_anything_that_a_path_can_hold() {
    let server = Setup::new().start();
    for (name, path) in [("a b", "a%20b"), ("a/b", "a%2Fb"), ("jürgen", "j%C3%BCrgen"), ("full", "full"), ("1", "1")] {
        begin(&server, name, "Hi").await;
        let listed = list(&server, path).await;
        assert_eq!((listed.len(), &listed[0]["user_id"]), (1, &json!(name)));
    }
}

#[tokio::test]
async fn a_conversation_is_read_with_its_messages() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let id = begin(&server, "anna", "one").await;
    let full = send(server.get(&format!("/conversations/{id}/full"))).await.expect(200);
    assert_fields(&full, &["id", "user_id", "created_at", "title", "messages"]);
    assert_eq!((&full["id"], &full["user_id"], &full["title"]), (&json!(id), &json!("anna"), &json!("one")));
    assert_time(&full["created_at"]);
    let messages = send(server.get(&format!("/conversations/{id}/messages"))).await.expect(200);
    assert_eq!(full["messages"], messages);
}

#[tokio::test]
async fn a_deleted_conversation_takes_its_messages_along() {
    let server = Setup::new().start();
    let kept = begin(&server, "anna", "keep").await;
    let id = begin(&server, "anna", "delete").await;
    let deleted = send(server.delete(&format!("/conversations/{id}"))).await.expect(200);
    assert_eq!(deleted, json!({"message": "Conversation deleted successfully"}));
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 2);
    assert_eq!(server.count("SELECT COUNT(*) FROM turns"), 1);
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger"), 2);
    let gone = json!({"detail": "Conversation not found"});
    assert_eq!(send(server.delete(&format!("/conversations/{id}"))).await.expect(404), gone);
    assert_eq!(send(server.get(&format!("/conversations/{id}/full"))).await.expect(404), gone);
    assert_eq!(send(server.get(&format!("/conversations/{id}/messages"))).await.expect(404), gone);
    let again = server.post("/chat", &json!({"message": "x", "conversation_id": id, "user_id": "anna"}));
    assert_eq!(send(again).await.expect(404), gone);
    assert_eq!(said(&server, kept).await.len(), 2);
}

#[tokio::test]
async fn deleting_a_conversation_stops_the_answer_that_is_being_written() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "stall2").start();
    let empty = send(server.post("/conversations", &json!({"user_id": "anna"}))).await.expect(200);
    let id = empty["id"].as_i64().unwrap();
    let body = json!({"message": "Hi", "conversation_id": id, "user_id": "anna"});
    let waiting = tokio::spawn(send(server.post("/chat", &body)));
    wait::until("the provider is asked", || upstream.open() == 1).await;
    send(server.delete(&format!("/conversations/{id}"))).await.expect(200);
    wait::until("the provider is left", || upstream.aborted() == 1).await;
    waiting.await.unwrap();
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 0);
}

#[tokio::test]
async fn an_id_that_is_no_number_is_422_and_a_number_that_is_no_id_404() {
    let server = Setup::new().start();
    begin(&server, "anna", "Hi").await;
    for path in ["/conversations/abc/full", "/conversations/1.5/messages", "/conversations/1e3/full"] {
        let refused = send(server.get(path)).await.expect(422);
        assert_eq!(refused["detail"][0]["loc"], json!(["path", "conversation_id"]), "{path}");
        assert_eq!(refused["detail"][0]["type"], "int_parsing");
    }
    for path in [
        "/conversations/1/full",
        "/conversations/0/messages",
        "/conversations/-1/full",
        "/conversations/99999999999999999999/full",
    ] {
        assert_eq!(send(server.get(path)).await.expect(404), json!({"detail": "Conversation not found"}), "{path}");
    }
}
