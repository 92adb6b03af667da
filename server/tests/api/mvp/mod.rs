//! `/auth/…`, `/users/…`, `/chat/send`, `/chat/history/{id}`.

mod auth;
mod chat;
mod endpoint;
mod history;
mod preferences;

use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::{Answer, send};
use crate::support::{PASSWORD, TestServer};

/// Signs up under that name and signs in. Returns the token.
pub async fn sign_up(server: &TestServer, username: &str) -> String {
    let body = json!({"username": username, "password": PASSWORD});
    send(server.post("/auth/signup", &body)).await.expect(201);
    let login = send(server.post("/auth/login", &body)).await.expect(200);
    login["access_token"].as_str().unwrap().to_owned()
}

pub async fn say(server: &TestServer, token: &str, body: &Value) -> Answer {
    send(server.post("/chat/send", body).bearer_auth(token)).await
}

pub async fn prefer(server: &TestServer, token: &str, method: Method, body: &Value) -> Answer {
    send(server.request(method, "/users/preferences").json(body).bearer_auth(token)).await
}
