//! The lines of `full_chatbot`.

use serde_json::{Value, json};

use super::NOBODYS;
use crate::full_chatbot::{begin, history, message};
use crate::kit::{assert_fields, assert_text_id, send};
use crate::support::{Setup, TestServer};

/// The columns of a table or view, as they stand.
fn columns(server: &TestServer, name: &str) -> Vec<String> {
    let database = server.database();
    let statement = database.prepare(&format!("SELECT * FROM {name}")).unwrap();
    statement.column_names().into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn post_chat_message_answers_message_and_conversation_id() {
    let server = Setup::new().start();
    let said = send(server.post("/chat-message", &message(1, "m-1", "Hello"))).await.expect(200);
    assert_fields(&said, &["message", "conversation_id"]);
    assert!(said["message"].as_str().unwrap().contains("Hello"));
    let id = assert_text_id(&said["conversation_id"]);
    let more = json!({"message": "And?", "user_id": 1, "message_id": "m-2", "message_count": 3, "conversation_id": id});
    assert_eq!(send(server.post("/chat-message", &more)).await.expect(200)["conversation_id"], id);
}

#[tokio::test]
async fn post_chat_message_takes_query_parameters_too() {
    let server = Setup::new().start();
    let path = "/chat-message?message=Hello&user_id=1&message_id=m-1&message_count=1";
    let said = send(server.request(reqwest::Method::POST, path)).await.expect(200);
    assert_fields(&said, &["message", "conversation_id"]);
}

#[tokio::test]
async fn post_chat_message_begins_a_conversation_when_its_id_is_empty_or_left_out() {
    let server = Setup::new().start();
    let empty = begin(&server, 1, "m-1", "Hello").await;
    let left_out = json!({"message": "Hello", "user_id": 1, "message_id": "m-2", "message_count": 1});
    let left_out = send(server.post("/chat-message", &left_out)).await.expect(200);
    assert_ne!(left_out["conversation_id"], empty);
    assert_eq!(server.count("SELECT COUNT(*) FROM conversations"), 2);
}

#[tokio::test]
async fn post_chat_message_lacking_a_field_or_with_a_wrong_type_is_422() {
    let server = Setup::new().start();
    for field in ["message", "user_id", "message_id", "message_count"] {
        for wrong in [None, Some(json!([]))] {
            let mut body = message(1, "m-1", "Hello");
            match wrong {
                None => drop(body.as_object_mut().unwrap().remove(field)),
                Some(wrong) => body[field] = wrong,
            }
            let refused = send(server.post("/chat-message", &body)).await.expect(422);
            assert_eq!(refused["detail"][0]["loc"], json!(["body", field]));
        }
    }
}

#[tokio::test]
async fn get_conversation_history_answers_conversation_id_message_count_and_messages() {
    let server = Setup::new().start();
    let id = begin(&server, 1, "m-1", "Hello").await;
    let told = history(&server, &id).await;
    assert_fields(&told, &["conversation_id", "message_count", "messages"]);
    assert_eq!((&told["conversation_id"], &told["message_count"]), (&json!(id), &json!(2)));
    assert_eq!(told["messages"][0], json!({"role": "user", "message": "Hello"}));
    assert_fields(&told["messages"][1], &["role", "message"]);
    assert_eq!(told["messages"][1]["role"], "assistant");
    send(server.get(&format!("/get-conversation-history/{NOBODYS}"))).await.expect(404);
}

#[test]
fn parlor_db_setup_makes_the_schema_and_db_show_prints_tables_and_columns() {
    let data = tempfile::tempdir().unwrap();
    for command in ["setup", "show"] {
        let told = Setup::new().command(data.path(), &["db", command]).output().unwrap();
        let text = String::from_utf8(told.stdout).unwrap();
        assert!(told.status.success() && text.contains("conversations (0 rows)"), "{text}");
        assert!(text.contains("message_store (0 rows)") && text.contains("elapsed_time"), "{text}");
    }
}

#[tokio::test]
async fn the_views_have_the_documents_columns_and_what_was_said() {
    let server = Setup::new().start();
    let id = begin(&server, 7, "m-1", "Hello").await;
    let expected = ["ID", "chat_name", "conv_id", "user_id", "message_count", "created_at", "updated_at"];
    assert_eq!(columns(&server, "conversation_store"), expected);
    let expected = [
        "ID",
        "role",
        "conv_id",
        "message_no",
        "message_id",
        "message",
        "elapsed_time",
        "Status",
        "created_at",
        "updated_at",
    ];
    assert_eq!(columns(&server, "message_store"), expected);
    let conversation = format!("SELECT message_count FROM conversation_store WHERE conv_id = '{id}'");
    assert_eq!(server.count(&conversation), 2);
    let said = format!("SELECT COUNT(*) FROM message_store WHERE conv_id = '{id}' AND Status = 'Success'");
    assert_eq!(server.count(&said), 2);
}

#[tokio::test]
async fn the_views_are_read_only() {
    let server = Setup::new().start();
    for view in ["conversation_store", "message_store"] {
        assert!(server.database().execute(&format!("DELETE FROM {view}"), []).is_err(), "{view}");
    }
}

#[tokio::test]
async fn the_same_message_id_is_answered_once() {
    let server = Setup::new().start();
    let said = || async { send(server.post("/chat-message", &message(1, "m-1", "Hello"))).await.expect(200) };
    let (first, again): (Value, Value) = (said().await, said().await);
    assert_eq!(first, again);
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 2);
    send(server.post("/chat-message", &message(1, "m-1", "Something else"))).await.expect(422);
}
