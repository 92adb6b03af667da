//! The lines of `native` on signing in and on chatting.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, EMAIL, assert_usage, with_provider};
use crate::kit::socket::Socket;
use crate::kit::{assert_fields, assert_number_id, assert_text_id, assert_time, send};
use crate::support::{PASSWORD, Setup, TestServer, events};

const PAIR: [&str; 4] = ["access_token", "refresh_token", "token_type", "expires_in"];

async fn login(server: &TestServer) -> Value {
    send(server.post("/api/v1/auth/login", &json!({"email": EMAIL, "password": PASSWORD}))).await.expect(200)
}

#[tokio::test]
async fn post_auth_register_answers_201_with_the_user() {
    let server = Setup::new().start();
    let body = json!({"email": EMAIL, "username": "ada", "password": PASSWORD});
    let made = send(server.post("/api/v1/auth/register", &body)).await.expect(201);
    let fields = ["id", "email", "email_verified", "username", "first_name", "last_name", "role", "created_at"];
    assert_fields(&made, &fields);
    assert_number_id(&made["id"]);
    assert_eq!((&made["email"], &made["username"], &made["role"]), (&json!(EMAIL), &json!("ada"), &json!("user")));
}

#[tokio::test]
async fn post_auth_login_takes_email_or_username_or_the_oauth2_form_and_answers_a_pair_for_1800_seconds() {
    let server = Setup::new().start();
    let body = json!({"email": EMAIL, "username": "ada", "password": PASSWORD});
    send(server.post("/api/v1/auth/register", &body)).await.expect(201);
    let form = server.request(Method::POST, "/api/v1/auth/login");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    for request in [
        server.post("/api/v1/auth/login", &json!({"email": EMAIL, "password": PASSWORD})),
        server.post("/api/v1/auth/login", &json!({"username": "ada", "password": PASSWORD})),
        form.body(format!("grant_type=password&username={EMAIL}&password={PASSWORD}")),
    ] {
        let pair = send(request).await.expect(200);
        assert_fields(&pair, &PAIR);
        assert_eq!((&pair["token_type"], &pair["expires_in"]), (&json!("bearer"), &json!(1800)));
    }
}

#[tokio::test]
async fn post_auth_refresh_answers_a_new_pair() {
    let client = Client::start().await;
    let old = login(&client.server).await;
    let body = json!({"refresh_token": old["refresh_token"]});
    let new = send(client.server.post("/api/v1/auth/refresh", &body)).await.expect(200);
    assert_fields(&new, &PAIR);
    assert_ne!(new["refresh_token"], old["refresh_token"]);
}

#[tokio::test]
async fn post_auth_logout_is_204() {
    let client = Client::start().await;
    let body = json!({"refresh_token": login(&client.server).await["refresh_token"]});
    let out = client.post("/api/v1/auth/logout", body.clone()).await;
    assert_eq!((out.status.as_u16(), out.body.as_str()), (204, ""));
    send(client.server.post("/api/v1/auth/refresh", &body)).await.expect(401);
}

#[tokio::test]
async fn post_auth_password_forgot_is_taken_for_any_address() {
    let client = Client::start().await;
    for email in [EMAIL, "nobody@example.com"] {
        let taken = send(client.server.post("/api/v1/auth/password/forgot", &json!({"email": email}))).await;
        assert_eq!((taken.status.as_u16(), taken.body.as_str()), (202, ""));
    }
}

#[tokio::test]
async fn post_auth_password_reset_and_verify_email_take_the_mailed_token_alone() {
    let server = Setup::new().start();
    for (path, body) in [
        ("/api/v1/auth/password/reset", json!({"token": "none", "password": PASSWORD})),
        ("/api/v1/auth/verify-email", json!({"token": "none"})),
    ] {
        send(server.post(path, &body)).await.expect(400);
        send(server.post(path, &json!({}))).await.expect(422);
    }
}

#[tokio::test]
async fn post_chat_send_answers_the_message_with_usage_sources_and_created_at() {
    let client = Client::start().await;
    let body = json!({"message": "Hello", "conversation_id": null, "language": "en", "attachments": []});
    let said = client.post("/api/v1/chat/send", body).await.expect(200);
    let fields = ["message_id", "conversation_id", "response", "model", "usage", "sources", "created_at"];
    assert_fields(&said, &fields);
    assert_text_id(&said["message_id"]);
    assert_text_id(&said["conversation_id"]);
    assert!(said["response"].is_string() && said["model"].is_string());
    assert_usage(&said["usage"]);
    assert_eq!(said["sources"], json!([]));
    assert_time(&said["created_at"]);
}

#[tokio::test]
async fn post_chat_send_takes_a_conversation_a_model_and_attachments() {
    let (_upstream, client) = with_provider("echo").await;
    let first = client.say("Hello").await;
    let attachments = json!(["https://a.example/b"]);
    let body = json!({"message": "And?", "conversation_id": first["conversation_id"], "model": "2tok",
        "attachments": attachments});
    let more = client.post("/api/v1/chat/send", body).await.expect(200);
    assert_eq!((&more["conversation_id"], &more["model"]), (&first["conversation_id"], &json!("2tok")));
    let path = format!("/api/v1/conversations/{}/messages", more["conversation_id"].as_str().unwrap());
    assert_eq!(client.get(&path).await.expect(200)["items"][2]["attachments"], attachments);
}

#[tokio::test]
async fn post_chat_stream_answers_server_sent_events() {
    let client = Client::start().await;
    let streamed = client.post("/api/v1/chat/stream", json!({"message": "Hello"})).await;
    assert_eq!((streamed.status.as_u16(), streamed.header("content-type")), (200, "text/event-stream"));
    assert_eq!(events(&streamed.body).last().unwrap().name, "done");
}

#[tokio::test]
async fn get_chat_message_stream_resumes_an_answer_after_last_event_id() {
    let client = Client::start().await;
    let path = format!("/api/v1/chat/messages/{}/stream", client.say("Hello").await["message_id"].as_str().unwrap());
    assert_eq!(events(&client.get(&path).await.body)[0].name, "start");
    let rest = client.server.get(&path).bearer_auth(&client.token).header("last-event-id", "1");
    assert_eq!(events(&send(rest).await.body)[0].id, 2);
    client.get("/api/v1/chat/messages/1234567890/stream").await.expect(404);
}

#[tokio::test]
async fn post_chat_message_stop_answers_what_was_said() {
    let client = Client::start().await;
    let said = client.say("Hello").await;
    let path = format!("/api/v1/chat/messages/{}/stop", said["message_id"].as_str().unwrap());
    let stopped = client.post(&path, Value::Null).await.expect(200);
    assert_fields(&stopped, &["message_id", "response", "finish_reason", "usage"]);
    assert_eq!((&stopped["response"], &stopped["finish_reason"]), (&said["response"], &json!("stop")));
    client.post("/api/v1/chat/messages/1234567890/stop", Value::Null).await.expect(404);
}

#[tokio::test]
async fn ws_chat_ws_is_the_users_own_or_403_with_the_token_in_header_protocol_list_or_query() {
    let client = Client::start().await;
    let (server, token) = (&client.server, &client.token);
    let path = format!("/api/v1/chat/ws/{}", client.get("/api/users/me").await.expect(200)["id"]);
    let (header, list) = (format!("Bearer {token}"), format!("bearer, {token}"));
    for (path, headers) in [
        (path.clone(), vec![("authorization", header.as_str())]),
        (path.clone(), vec![("sec-websocket-protocol", list.as_str())]),
        (format!("{path}?token={token}"), vec![]),
    ] {
        let mut socket = Socket::open(server, &path, &headers).await.unwrap();
        socket.send(&json!({"message": "Hello"})).await;
        assert_eq!(socket.answer().await.last().unwrap()["type"], "done");
    }
    let anothers = format!("/api/v1/chat/ws/999?token={token}");
    assert_eq!(Socket::open(server, &anothers, &[]).await.err(), Some(403));
    assert_eq!(Socket::open(server, &path, &[]).await.err(), Some(401));
}
