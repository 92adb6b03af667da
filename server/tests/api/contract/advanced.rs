//! The lines of `advanced`.

use reqwest::Method;
use serde_json::json;

use super::{Client, EMAIL};
use crate::kit::socket::Socket;
use crate::kit::{assert_fields, assert_number_id, assert_text_id, assert_time, send};
use crate::support::{PASSWORD, Setup};

#[tokio::test]
async fn post_api_auth_register_answers_201_with_id_email_created_at() {
    let server = Setup::new().start();
    let made = send(server.post("/api/auth/register", &json!({"email": EMAIL, "password": PASSWORD}))).await;
    let made = made.expect(201);
    assert_fields(&made, &["id", "email", "created_at"]);
    assert_number_id(&made["id"]);
    assert_eq!(made["email"], EMAIL);
    assert_time(&made["created_at"]);
}

#[tokio::test]
async fn post_api_auth_login_takes_a_form_and_json_too_and_answers_an_access_token_for_1800_seconds() {
    let client = Client::start().await;
    let form = client.server.request(Method::POST, "/api/auth/login");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    for request in [
        form.body(format!("username={EMAIL}&password={PASSWORD}")),
        client.server.post("/api/auth/login", &json!({"username": EMAIL, "password": PASSWORD})),
        client.server.post("/api/auth/login", &json!({"email": EMAIL, "password": PASSWORD})),
    ] {
        let login = send(request).await.expect(200);
        assert_fields(&login, &["access_token", "token_type", "expires_in"]);
        assert!(login["access_token"].is_string());
        assert_eq!((&login["token_type"], &login["expires_in"]), (&json!("bearer"), &json!(1800)));
    }
}

#[tokio::test]
async fn post_api_auth_login_is_400_for_an_email_that_is_none_and_401_for_wrong_credentials() {
    let client = Client::start().await;
    for (username, status) in [("none", 400), (EMAIL, 401), ("nobody@example.com", 401)] {
        let body = json!({"username": username, "password": "wrong-password"});
        send(client.server.post("/api/auth/login", &body)).await.expect(status);
    }
}

#[tokio::test]
async fn get_api_users_me_answers_id_email_is_active() {
    let client = Client::start().await;
    let me = client.get("/api/users/me").await.expect(200);
    assert_fields(&me, &["id", "email", "is_active"]);
    assert_number_id(&me["id"]);
    assert_eq!((&me["email"], &me["is_active"]), (&json!(EMAIL), &json!(true)));
}

#[tokio::test]
async fn post_api_chat_answers_message_id_session_id_reply_model_usage_created_at() {
    let client = Client::start().await;
    let said = client.post("/api/chat", json!({"message": "Hello", "session_id": null})).await.expect(200);
    assert_fields(&said, &["message_id", "session_id", "reply", "model", "usage", "created_at"]);
    assert_text_id(&said["message_id"]);
    let session = assert_text_id(&said["session_id"]);
    assert!(said["reply"].is_string() && said["model"].is_string());
    assert_fields(&said["usage"], &["tokens"]);
    assert!(said["usage"]["tokens"].as_u64().unwrap() > 0);
    assert_time(&said["created_at"]);
    let more = client.post("/api/chat", json!({"message": "And?", "session_id": session})).await.expect(200);
    assert_eq!(more["session_id"], session);
}

#[tokio::test]
async fn post_api_chat_stream_takes_the_same_body_and_answers_text_event_stream() {
    let client = Client::start().await;
    let session = client.post("/api/chat", json!({"message": "Hello"})).await.expect(200)["session_id"].clone();
    let streamed = client.post("/api/chat/stream", json!({"message": "And?", "session_id": session})).await;
    assert_eq!((streamed.status.as_u16(), streamed.header("content-type")), (200, "text/event-stream"));
}

#[tokio::test]
async fn ws_api_chat_ws_takes_the_token_in_the_query_or_the_authorization_header_and_messages() {
    let client = Client::start().await;
    let header = format!("Bearer {}", client.token);
    let query = format!("/api/chat/ws?token={}", client.token);
    for (path, headers) in [(query.as_str(), vec![]), ("/api/chat/ws", vec![("authorization", header.as_str())])] {
        let mut socket = Socket::open(&client.server, path, &headers).await.unwrap();
        socket.send(&json!({"message": "Hello", "session_id": null})).await;
        let first = socket.answer().await;
        socket.send(&json!({"message": "And?", "session_id": first[0]["session_id"]})).await;
        assert_eq!(socket.answer().await[0]["session_id"], first[0]["session_id"]);
    }
    assert_eq!(Socket::open(&client.server, "/api/chat/ws", &[]).await.err(), Some(401));
}

#[tokio::test]
async fn get_api_history_answers_items_page_per_page_total() {
    let client = Client::start().await;
    for _ in 0..3 {
        client.post("/api/chat", json!({"message": "Hello"})).await.expect(200);
    }
    let first = client.get("/api/history").await.expect(200);
    assert_fields(&first, &["items", "page", "per_page", "total"]);
    assert_eq!((&first["page"], &first["per_page"], &first["total"]), (&json!(1), &json!(20), &json!(3)));
    assert_fields(&first["items"][0], &["session_id", "last_message", "updated_at"]);
    assert_text_id(&first["items"][0]["session_id"]);
    assert!(first["items"][0]["last_message"].is_string());
    assert_time(&first["items"][0]["updated_at"]);
    let second = client.get("/api/history?page=2&per_page=2").await.expect(200);
    assert_eq!((second["items"].as_array().unwrap().len(), &second["total"]), (1, &json!(3)));
    assert_eq!(second["items"][0], first["items"][2]);
}
