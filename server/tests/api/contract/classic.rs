//! The lines of `classic`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, NOBODYS, without};
use crate::kit::{Answer, assert_fields, assert_number_id, assert_time, send};
use crate::root::pages::files_of;
use crate::support::{Setup, TestServer};

async fn get(server: &TestServer, path: &str) -> Answer {
    send(server.get(path)).await
}

/// A guest's conversation with one answer.
async fn talk(server: &TestServer) -> i64 {
    let said = send(server.post("/chat", &json!({"message": "Hello", "user_id": "ann"}))).await.expect(200);
    assert_number_id(&said["conversation_id"])
}

#[tokio::test]
async fn get_root_is_the_web_app_when_accept_asks_for_html_else_status_working() {
    let server = Setup::new().start();
    let page = send(server.get("/").header("accept", "text/html")).await;
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"), "{page:?}");
    assert_eq!(get(&server, "/").await.expect(200), json!({"status": "Working"}));
}

#[tokio::test]
async fn get_static_serves_the_web_apps_files_long_cached_and_404_for_the_rest() {
    let server = Setup::new().start();
    let page = send(server.get("/").header("accept", "text/html")).await;
    for file in files_of(&page.body) {
        let file = get(&server, &file).await;
        assert!(file.status == 200 && file.header("cache-control").contains("immutable"), "{:?}", file.headers);
    }
    for none in ["/static/nothing.js", "/static/..%2f..%2fCargo.toml"] {
        assert_eq!(get(&server, none).await.status, 404, "{none}");
    }
}

#[tokio::test]
async fn get_health_answers_status_timestamp_database_and_checks() {
    let server = Setup::new().start();
    let health = get(&server, "/health").await.expect(200);
    assert_fields(&health, &["status", "timestamp", "database", "checks"]);
    assert_eq!((&health["status"], &health["database"]), (&json!("healthy"), &json!("connected")));
    assert_time(&health["timestamp"]);
    for check in ["database", "redis", "provider", "version", "uptime"] {
        assert!(!health["checks"][check].is_null(), "{check}");
    }
}

#[tokio::test]
async fn get_health_is_503_and_unhealthy_when_the_database_is_gone() {
    let server = Setup::new().start();
    std::fs::rename(server.database_path(), server.data.path().join("aside.db")).unwrap();
    assert_eq!(get(&server, "/health").await.expect(503)["status"], "unhealthy");
}

#[tokio::test]
async fn get_health_with_health_dialect_full_chatbot_is_status_healthy() {
    let server = Setup::new().env("HEALTH_DIALECT", "full_chatbot").start();
    assert_eq!(get(&server, "/health").await.expect(200), json!({"status": "Healthy"}));
}

#[tokio::test]
async fn get_api_answers_that_it_is_running_and_the_real_version() {
    let server = Setup::new().start();
    let expected = json!({"message": "API is running", "version": env!("CARGO_PKG_VERSION")});
    assert_eq!(get(&server, "/api").await.expect(200), expected);
}

#[tokio::test]
async fn post_chat_answers_response_and_conversation_id_for_default_user_unless_told() {
    let server = Setup::new().start();
    let said = send(server.post("/chat", &json!({"message": "Hello"}))).await.expect(200);
    assert_fields(&said, &["response", "conversation_id"]);
    assert!(!said["response"].as_str().unwrap().is_empty());
    let id = assert_number_id(&said["conversation_id"]);
    let listed = get(&server, "/conversations/user/default_user").await.expect(200);
    assert_eq!(listed[0]["id"], id);
    let more = json!({"message": "And?", "conversation_id": id});
    assert_eq!(send(server.post("/chat", &more)).await.expect(200)["conversation_id"], id);
}

#[tokio::test]
async fn post_chat_is_404_for_an_unknown_conversation() {
    let server = Setup::new().start();
    let body = json!({"message": "Hello", "conversation_id": NOBODYS.parse::<i64>().unwrap()});
    send(server.post("/chat", &body)).await.expect(404);
}

#[tokio::test]
async fn post_conversations_answers_id_and_user_id() {
    let server = Setup::new().start();
    let made = send(server.post("/conversations", &json!({"user_id": "ann"}))).await.expect(200);
    assert_number_id(&made["id"]);
    assert_eq!(without(&made, "id"), json!({"user_id": "ann"}));
}

#[tokio::test]
async fn get_messages_of_a_conversation_answers_id_role_content_created_at_oldest_first() {
    let server = Setup::new().start();
    let id = talk(&server).await;
    let messages = get(&server, &format!("/conversations/{id}/messages")).await.expect(200);
    let messages = messages.as_array().unwrap();
    for (message, role) in messages.iter().zip(["user", "assistant"]) {
        assert_fields(message, &["id", "role", "content", "created_at"]);
        assert_number_id(&message["id"]);
        assert_time(&message["created_at"]);
        assert_eq!(message["role"], role);
    }
    assert_eq!((messages.len(), &messages[0]["content"]), (2, &json!("Hello")));
}

#[tokio::test]
async fn get_conversations_of_a_user_answers_newest_first_with_title_count_and_last_message() {
    let server = Setup::new().start();
    let (first, second) = (talk(&server).await, talk(&server).await);
    let listed = get(&server, "/conversations/user/ann").await.expect(200);
    let ids: Vec<&Value> = listed.as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, [&json!(second), &json!(first)]);
    let fields = ["id", "user_id", "created_at", "updated_at", "title", "message_count", "last_message"];
    assert_fields(&listed[0], &fields);
    assert_eq!(
        (&listed[0]["user_id"], &listed[0]["title"], &listed[0]["message_count"]),
        (&json!("ann"), &json!("Hello"), &json!(2))
    );
    assert!(listed[0]["last_message"].as_str().unwrap().contains("Hello"));
    assert_time(&listed[0]["created_at"]);
    assert_time(&listed[0]["updated_at"]);
}

#[tokio::test]
async fn get_full_conversation_answers_id_user_id_created_at_title_and_messages() {
    let server = Setup::new().start();
    let id = talk(&server).await;
    let full = get(&server, &format!("/conversations/{id}/full")).await.expect(200);
    assert_fields(&full, &["id", "user_id", "created_at", "title", "messages"]);
    assert_eq!((&full["id"], &full["user_id"], &full["title"]), (&json!(id), &json!("ann"), &json!("Hello")));
    assert_time(&full["created_at"]);
    assert_eq!(full["messages"], get(&server, &format!("/conversations/{id}/messages")).await.expect(200));
}

#[tokio::test]
async fn delete_conversation_says_so_and_the_messages_go_with_it() {
    let server = Setup::new().start();
    let id = talk(&server).await;
    let path = format!("/conversations/{id}");
    let deleted = send(server.delete(&path)).await.expect(200);
    assert_eq!(deleted, json!({"message": "Conversation deleted successfully"}));
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 0);
    for gone in [format!("{path}/full"), format!("{path}/messages")] {
        get(&server, &gone).await.expect(404);
    }
    send(server.delete(&path)).await.expect(404);
}

#[tokio::test]
async fn docs_redoc_and_openapi_3_1_of_all_dialects_come_from_the_binary() {
    let server = Setup::new().start();
    for page in ["/docs", "/redoc"] {
        let page = get(&server, page).await;
        assert!(page.status == 200 && page.header("content-type").starts_with("text/html"), "{page:?}");
        assert!(!page.body.contains("src=\"http") && !page.body.contains("href=\"http"), "{}", page.body);
    }
    let description = get(&server, "/openapi.json").await.expect(200);
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["/chat", "/chat-message", "/api/v1/chat/send", "/chat/send", "/api/chat"] {
        assert!(description["paths"][path].is_object(), "{path}");
    }
}

#[tokio::test]
async fn every_path_of_a_conversation_reads_the_ids_both_spellings() {
    let client = Client::start().await;
    let id = client.say("Hello").await["conversation_id"].as_str().unwrap().to_owned();
    for spelt in [json!(id), json!(id.parse::<i64>().unwrap())] {
        let more = client.post("/chat", json!({"message": "And?", "conversation_id": spelt})).await.expect(200);
        assert_eq!(more["conversation_id"], id.parse::<i64>().unwrap());
    }
    client.call(Method::DELETE, &format!("/conversations/{id}"), Value::Null).await.expect(200);
}
