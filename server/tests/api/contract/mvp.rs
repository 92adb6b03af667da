//! The lines of `mvp`.

use reqwest::Method;
use serde_json::json;

use super::{Client, NOBODYS, assert_usage, with_provider};
use crate::kit::{assert_fields, assert_number_id, assert_text_id, assert_time, send};
use crate::support::{PASSWORD, Setup};

#[tokio::test]
async fn post_auth_signup_answers_201_with_id_username_email_created_at() {
    let server = Setup::new().start();
    for (body, email) in [
        (json!({"username": "ada", "password": PASSWORD}), json!(null)),
        (json!({"username": "bea", "password": PASSWORD, "email": "b@example.com"}), json!("b@example.com")),
    ] {
        let made = send(server.post("/auth/signup", &body)).await.expect(201);
        assert_fields(&made, &["id", "username", "email", "created_at"]);
        assert_number_id(&made["id"]);
        assert_time(&made["created_at"]);
        assert_eq!((&made["username"], &made["email"]), (&body["username"], &email));
    }
}

#[tokio::test]
async fn post_auth_login_takes_json_or_a_form_and_answers_access_token_token_type_expires_in() {
    let server = Setup::new().start();
    let body = json!({"username": "ada", "password": PASSWORD});
    send(server.post("/auth/signup", &body)).await.expect(201);
    let form = server.request(Method::POST, "/auth/login").body(format!("username=ada&password={PASSWORD}"));
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    for request in [server.post("/auth/login", &body), form] {
        let login = send(request).await.expect(200);
        assert_fields(&login, &["access_token", "token_type", "expires_in"]);
        assert_eq!((&login["token_type"], &login["expires_in"]), (&json!("bearer"), &json!(1800)));
        send(server.get("/users/me").bearer_auth(login["access_token"].as_str().unwrap())).await.expect(200);
    }
}

#[tokio::test]
async fn get_users_me_answers_id_username_email_preferences_created_at() {
    let client = Client::start().await;
    let me = client.get("/users/me").await.expect(200);
    assert_fields(&me, &["id", "username", "email", "preferences", "created_at"]);
    assert_number_id(&me["id"]);
    assert_time(&me["created_at"]);
    assert_fields(&me["preferences"], &["model", "temperature", "max_tokens", "system_prompt", "language"]);
}

#[tokio::test]
async fn put_patch_and_post_users_preferences_answer_the_preferences() {
    let client = Client::start().await;
    let whole = json!({"model": "gpt-4o-mini", "temperature": 0.5, "max_tokens": 9, "system_prompt": "Rhyme.", "language": "de"});
    for method in [Method::PUT, Method::PATCH, Method::POST] {
        assert_eq!(client.call(method, "/users/preferences", whole.clone()).await.expect(200), whole);
    }
    assert_eq!(client.get("/users/me").await.expect(200)["preferences"], whole);
}

#[tokio::test]
async fn preferences_shape_the_users_later_answers_in_every_dialect() {
    let (upstream, client) = with_provider("echo").await;
    let preferences =
        json!({"model": "2tok", "temperature": 0.25, "max_tokens": 77, "system_prompt": "Rhyme.", "language": "de"});
    client.call(Method::PUT, "/users/preferences", preferences).await.expect(200);
    for path in ["/chat/send", "/chat", "/api/chat", "/api/v1/chat/send", "/api/v1/chat/stream"] {
        assert_eq!(client.post(path, json!({"message": "Hello"})).await.status, 200, "{path}");
        let asked = upstream.requests().pop().unwrap();
        assert_eq!((&asked["model"], &asked["temperature"]), (&json!("2tok"), &json!(0.25)), "{path}");
        let told = asked["messages"][0]["content"].as_str().unwrap();
        assert!(told.contains("Rhyme.") && told.contains("de"), "{path}: {told}");
        assert!([&asked["max_tokens"], &asked["max_completion_tokens"]].contains(&&json!(77)), "{asked}");
    }
}

#[tokio::test]
async fn post_chat_send_takes_message_or_content_and_answers_conversation_id_message_and_usage() {
    let client = Client::start().await;
    for name in ["message", "content"] {
        let said = client.post("/chat/send", json!({name: "Hello", "attachments": ["https://a.example/b"]})).await;
        let said = said.expect(200);
        assert_fields(&said, &["conversation_id", "message", "usage"]);
        assert_text_id(&said["conversation_id"]);
        assert_fields(&said["message"], &["role", "content", "attachments"]);
        assert_eq!((&said["message"]["role"], &said["message"]["attachments"]), (&json!("assistant"), &json!([])));
        assert!(said["message"]["content"].is_string());
        assert_usage(&said["usage"]);
    }
}

#[tokio::test]
async fn post_chat_send_with_neither_message_nor_content_lacks_a_field_and_is_422() {
    let client = Client::start().await;
    let refused = client.post("/chat/send", json!({"attachments": []})).await.expect(422);
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "message"]));
    client.post("/chat/send", json!({"message": " "})).await.expect(400);
}

#[tokio::test]
async fn get_chat_history_answers_conversation_id_and_messages_with_their_attachments() {
    let client = Client::start().await;
    let attachments = json!(["https://a.example/b"]);
    let said = client.post("/chat/send", json!({"message": "Hello", "attachments": attachments})).await.expect(200);
    let id = said["conversation_id"].as_str().unwrap();
    let history = client.get(&format!("/chat/history/{id}")).await.expect(200);
    assert_fields(&history, &["conversation_id", "messages"]);
    assert_eq!(history["conversation_id"], id);
    for (message, (role, attached)) in
        history["messages"].as_array().unwrap().iter().zip([("user", &attachments), ("assistant", &json!([]))])
    {
        assert_fields(message, &["role", "content", "attachments", "created_at"]);
        assert_time(&message["created_at"]);
        assert_eq!((&message["role"], &message["attachments"]), (&json!(role), attached));
    }
    client.get(&format!("/chat/history/{NOBODYS}")).await.expect(404);
}
