//! How often a login may fail.

use serde_json::json;

use crate::kit::{Answer, send};
use crate::support::{PASSWORD, Setup, TestServer};

async fn login(server: &TestServer, email: &str, password: &str) -> Answer {
    send(server.post("/api/auth/login", &json!({"username": email, "password": password}))).await
}

fn assert_limited(answer: &Answer, policy: &str, quota: u32) {
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(answer.detail(), "too many attempts: try again later");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=900).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("ratelimit-policy"), format!("\"{policy}\";q={quota};w=900"));
    assert_eq!(answer.header("ratelimit"), format!("\"{policy}\";r=0;t={seconds}"));
}

#[tokio::test]
async fn an_account_takes_so_many_failures_and_then_not_even_the_right_password() {
    let server = Setup::new().env("LIMITS__LOGIN_ATTEMPTS_PER_ACCOUNT", "3").start();
    server.sign_up("user@example.com").await;
    server.sign_up("other@example.com").await;
    for email in ["user@example.com", "USER@example.com", "user@Example.com"] {
        login(&server, email, "wrong-password").await.expect(401);
    }
    let limited = login(&server, "user@example.com", PASSWORD).await;
    assert_limited(&limited, "login-account", 3);
    login(&server, "other@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_unknown_account_is_limited_like_a_known_one() {
    let server = Setup::new().env("LIMITS__LOGIN_ATTEMPTS_PER_ACCOUNT", "2").start();
    for _ in 0..2 {
        login(&server, "nobody@example.com", PASSWORD).await.expect(401);
    }
    assert_limited(&login(&server, "nobody@example.com", PASSWORD).await, "login-account", 2);
}

#[tokio::test]
async fn a_right_password_forgives_the_failures_before_it() {
    let server = Setup::new().env("LIMITS__LOGIN_ATTEMPTS_PER_ACCOUNT", "3").start();
    server.sign_up("user@example.com").await;
    for _ in 0..3 {
        login(&server, "user@example.com", "wrong-password").await.expect(401);
        login(&server, "user@example.com", "wrong-password").await.expect(401);
        login(&server, "user@example.com", PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn an_address_takes_so_many_failures_over_all_accounts() {
    let server = Setup::new().env("LIMITS__LOGIN_ATTEMPTS_PER_ADDRESS", "4").start();
    server.sign_up("user@example.com").await;
    for number in 0..4 {
        login(&server, &format!("guess{number}@example.com"), "wrong-password").await.expect(401);
    }
    assert_limited(&login(&server, "user@example.com", PASSWORD).await, "login-address", 4);
}

#[tokio::test]
async fn an_address_that_the_client_makes_up_changes_nothing() {
    let server = Setup::new().env("LIMITS__LOGIN_ATTEMPTS_PER_ADDRESS", "2").start();
    let mut statuses = Vec::new();
    for number in 0..3 {
        let body = json!({"username": format!("guess{number}@example.com"), "password": "wrong-password"});
        let request = server.post("/api/auth/login", &body).header("x-forwarded-for", format!("203.0.113.{number}"));
        statuses.push(send(request).await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 429]);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_is_counted_for_itself() {
    let server =
        Setup::new().env("LIMITS__LOGIN_ATTEMPTS_PER_ADDRESS", "1").env("TRUSTED_PROXIES", "127.0.0.1").start();
    let mut statuses = Vec::new();
    for (number, client) in ["203.0.113.1", "203.0.113.2", "203.0.113.1"].iter().enumerate() {
        let body = json!({"username": format!("guess{number}@example.com"), "password": "wrong-password"});
        let request = server.post("/api/auth/login", &body).header("x-forwarded-for", *client);
        statuses.push(send(request).await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 429]);
}

#[tokio::test]
async fn the_limit_holds_over_both_dialects() {
    let server = Setup::new().env("LIMITS__LOGIN_ATTEMPTS_PER_ACCOUNT", "2").start();
    server.sign_up("user@example.com").await;
    let body = json!({"username": "user@example.com", "password": "wrong-password"});
    send(server.post("/api/auth/login", &body)).await.expect(401);
    send(server.post("/api/v1/auth/login", &body)).await.expect(401);
    let limited = send(server.post("/api/v1/auth/login", &body)).await;
    assert_limited(&limited, "login-account", 2);
    assert_eq!(limited.header("content-type"), "application/problem+json");
    assert_eq!(limited.json()["status"], 429);
}
