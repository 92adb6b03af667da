//! `/api/v1/auth/sessions`, `POST /api/v1/auth/logout-all` and `POST /api/v1/auth/password`

use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::socket::Socket;
use crate::kit::{Answer, assert_fields, assert_time, send};
use crate::support::{PASSWORD, Setup, TestServer};

async fn login(server: &TestServer) -> Value {
    let body = json!({"email": "user@example.com", "password": PASSWORD});
    send(server.post("/api/v1/auth/login", &body)).await.expect(200)
}

async fn refresh(server: &TestServer, pair: &Value) -> Answer {
    send(server.post("/api/v1/auth/refresh", &json!({"refresh_token": pair["refresh_token"]}))).await
}

async fn sessions(server: &TestServer, token: &str) -> Vec<Value> {
    let listed = send(server.get("/api/v1/auth/sessions").bearer_auth(token)).await.expect(200);
    listed["items"].as_array().unwrap().clone()
}

fn access(pair: &Value) -> &str {
    pair["access_token"].as_str().unwrap()
}

#[tokio::test]
async fn every_login_is_a_session_however_often_it_is_refreshed() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let first = login(&server).await;
    let again = refresh(&server, &first).await.expect(200);
    let listed = sessions(&server, access(&again)).await;
    assert_eq!(listed.len(), 2);
    assert_fields(&listed[0], &["id", "last_used_at", "expires_at"]);
    assert_time(&listed[0]["last_used_at"]);
    send(server.post("/api/v1/auth/logout", &json!({"refresh_token": again["refresh_token"]}))).await;
    assert_eq!(sessions(&server, &token).await.len(), 1);
    for token in [access(&first), access(&again)] {
        send(server.get("/api/v1/users/me").bearer_auth(token)).await.expect(401);
    }
    assert_problem(&send(server.get("/api/v1/auth/sessions")).await, 401);
}

#[tokio::test]
async fn an_ended_session_is_not_refreshed_and_the_others_are() {
    let server = Setup::new().start();
    server.sign_up("user@example.com").await;
    let (first, second) = (login(&server).await, login(&server).await);
    let newest = sessions(&server, access(&first)).await.remove(0);
    let path = format!("/api/v1/auth/sessions/{}", newest["id"].as_str().unwrap());
    let ended = send(server.delete(&path).bearer_auth(access(&first))).await;
    assert_eq!((ended.status.as_u16(), ended.body.as_str()), (204, ""));
    assert_problem(&refresh(&server, &second).await, 401);
    assert_problem(&send(server.get("/api/v1/users/me").bearer_auth(access(&second))).await, 401);
    refresh(&server, &first).await.expect(200);
    assert_problem(&send(server.delete(&path).bearer_auth(access(&first))).await, 404);
}

#[tokio::test]
async fn what_is_open_in_a_session_is_shut_with_it_and_nothing_else() {
    let server = Setup::new().start();
    server.sign_up("user@example.com").await;
    let (first, second) = (login(&server).await, login(&server).await);
    let open =
        async |pair: &Value| Socket::open(&server, &format!("/api/chat/ws?token={}", access(pair)), &[]).await.unwrap();
    let (mut stays, mut ends) = (open(&first).await, open(&second).await);
    send(server.post("/api/v1/auth/logout", &json!({"refresh_token": second["refresh_token"]}))).await;
    assert_eq!(u16::from(ends.closed().await.unwrap().code), 1008);
    stays.send(&json!({"message": "Hello"})).await;
    assert_eq!(stays.answer().await.last().unwrap()["type"], "done");
}

#[tokio::test]
async fn a_strangers_session_looks_like_none() {
    let server = Setup::new().start();
    server.sign_up("user@example.com").await;
    let mine = login(&server).await;
    let stranger = server.sign_up("other@example.com").await;
    let unknown = send(server.delete("/api/v1/auth/sessions/none").bearer_auth(&stranger)).await;
    assert_eq!(assert_problem(&unknown, 404), "Session not found");
    for session in sessions(&server, access(&mine)).await {
        let path = format!("/api/v1/auth/sessions/{}", session["id"].as_str().unwrap());
        let refused = send(server.delete(&path).bearer_auth(&stranger)).await;
        assert_eq!(refused.comparable(), unknown.comparable());
    }
    refresh(&server, &mine).await.expect(200);
}

#[tokio::test]
async fn signing_out_everywhere_ends_access_tokens_too() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let other = server.sign_up("other@example.com").await;
    let pair = login(&server).await;
    let made = json!({"name": "n", "scopes": ["read"]});
    let made = send(server.post("/api/v1/api-keys", &made).bearer_auth(&token)).await.expect(201);
    let out = send(server.post("/api/v1/auth/logout-all", &json!({})).bearer_auth(&token)).await;
    assert_eq!((out.status.as_u16(), out.body.as_str()), (204, ""));
    for token in [token.as_str(), access(&pair)] {
        send(server.get("/api/v1/users/me").bearer_auth(token)).await.expect(401);
    }
    assert_problem(&refresh(&server, &pair).await, 401);
    send(server.get("/api/v1/users/me").bearer_auth(&other)).await.expect(200);
    send(server.get("/api/v1/users/me").bearer_auth(made["key"].as_str().unwrap())).await.expect(200);
    login(&server).await;
}

#[tokio::test]
async fn a_changed_password_ends_everything_that_the_old_one_opened() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let pair = login(&server).await;
    let made = json!({"name": "n", "scopes": ["read"]});
    let made = send(server.post("/api/v1/api-keys", &made).bearer_auth(&token)).await.expect(201);
    let body = json!({"current_password": PASSWORD, "new_password": "another-password"});
    let answer = send(server.post("/api/v1/auth/password", &body).bearer_auth(&token)).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let new = answer.expect(200);
    assert_fields(&new, &["access_token", "refresh_token", "token_type", "expires_in"]);
    for old in [token.as_str(), access(&pair), made["key"].as_str().unwrap()] {
        send(server.get("/api/users/me").bearer_auth(old)).await.expect(401);
    }
    assert_problem(&refresh(&server, &pair).await, 401);
    send(server.get("/api/users/me").bearer_auth(access(&new))).await.expect(200);
    assert_eq!(sessions(&server, access(&new)).await.len(), 1);
    refresh(&server, &new).await.expect(200);
    let login = |password: &str| {
        send(server.post("/api/v1/auth/login", &json!({"email": "user@example.com", "password": password})))
    };
    assert_problem(&login(PASSWORD).await, 401);
    login("another-password").await.expect(200);
}

#[tokio::test]
async fn a_wrong_old_password_or_an_unfit_new_one_changes_nothing() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let change = |body: Value| send(server.post("/api/v1/auth/password", &body).bearer_auth(&token));
    assert_problem(&change(json!({"current_password": "wrong-one", "new_password": "another-password"})).await, 400);
    assert_problem(&change(json!({"current_password": PASSWORD, "new_password": "short"})).await, 400);
    assert_problem(&change(json!({"new_password": "another-password"})).await, 422);
    let anyone = json!({"current_password": PASSWORD, "new_password": "another-password"});
    assert_problem(&send(server.post("/api/v1/auth/password", &anyone)).await, 401);
    login(&server).await;
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(200);
}
