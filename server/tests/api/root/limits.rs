//! How often one may call. The limits here are per hour, which no test outlasts.

use reqwest::StatusCode;
use serde_json::json;

use crate::kit::socket::Socket;
use crate::kit::{Answer, send};
use crate::support::{Setup, TestServer};

fn hourly(quota: u32) -> Setup {
    Setup::new().env("RATE_LIMIT__PER_HOUR", &quota.to_string())
}

async fn me(server: &TestServer, token: &str) -> Answer {
    send(server.get("/api/users/me").bearer_auth(token)).await
}

fn assert_limited(answer: &Answer, policy: &str, quota: u32) {
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(answer.detail(), "too many requests: try again later");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=7200).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("ratelimit-policy"), format!("\"{policy}\";q={quota};w=3600"));
    assert_eq!(answer.header("ratelimit"), format!("\"{policy}\";r=0;t={seconds}"));
}

#[tokio::test]
async fn every_answer_says_what_is_left_of_the_usual_limits() {
    let server = Setup::new().without("RATE_LIMIT__PER_MINUTE").without("RATE_LIMIT__PER_HOUR").start();
    let token = server.sign_up("user@example.com").await;
    for left in [59, 58] {
        let answer = me(&server, &token).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), "\"minute\";q=60;w=60, \"hour\";q=1000;w=3600");
        let state = answer.header("ratelimit");
        assert!(state.starts_with(&format!("\"minute\";r={left};t=")), "{state}");
        assert!(state.contains(&format!("\"hour\";r={};t=", 940 + left)), "{state}");
    }
    let refused = send(server.get("/api/users/me")).await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("ratelimit-policy").starts_with("\"address-minute\";q=600;w=60"), "{refused:?}");
}

#[tokio::test]
async fn each_account_is_counted_for_itself_over_all_dialects() {
    let server = hourly(4).start();
    let (anna, ben) = (server.sign_up("anna@example.com").await, server.sign_up("ben@example.com").await);
    me(&server, &anna).await.expect(200);
    send(server.get("/api/history").bearer_auth(&anna)).await.expect(200);
    send(server.get("/api/v1/chat/messages/1/stream").bearer_auth(&anna)).await.expect(404);
    send(server.post("/chat", &json!({"message": "Hi"})).bearer_auth(&anna)).await.expect(200);
    assert_limited(&me(&server, &anna).await, "hour", 4);
    let refused = send(server.post("/chat", &json!({"message": "Hi"})).bearer_auth(&anna)).await;
    assert_limited(&refused, "hour", 4);
    assert_eq!(refused.header("content-type"), "application/json");
    let refused = send(server.get("/api/v1/chat/messages/1/stream").bearer_auth(&anna)).await;
    assert_limited(&refused, "hour", 4);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!(server.count("SELECT COUNT(*) FROM turns"), 1);
    me(&server, &ben).await.expect(200);
}

#[tokio::test]
async fn who_has_no_account_is_counted_by_address() {
    let server = hourly(3).start();
    for guest in ["anna", "ben", "cara"] {
        send(server.post("/chat", &json!({"message": "Hi", "user_id": guest}))).await.expect(200);
    }
    assert_limited(&send(server.post("/chat", &json!({"message": "Hi", "user_id": "dora"}))).await, "hour", 3);
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 3, "a refused guest is not made");
    let login = json!({"username": "nobody@example.com", "password": "wrong-password"});
    assert_limited(&send(server.post("/api/auth/login", &login)).await, "hour", 3);
    let refused = send(server.post("/api/v1/auth/login", &login).bearer_auth("garbage")).await;
    assert_limited(&refused, "hour", 3);
    assert_eq!(refused.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn an_address_makes_ten_callers_worth_of_requests_whoever_they_are() {
    let server = hourly(1).start();
    for _ in 0..10 {
        send(server.get("/api/users/me").bearer_auth("garbage")).await.expect(401);
    }
    assert_limited(&send(server.get("/api/users/me").bearer_auth("garbage")).await, "address-hour", 10);
}

#[tokio::test]
async fn behind_a_trusted_proxy_an_ipv6_household_counts_as_one() {
    let server = hourly(1).env("TRUSTED_PROXIES", "127.0.0.1").start();
    let chat = async |address: &str| {
        let request = server.post("/chat", &json!({"message": "Hi", "user_id": address}));
        send(request.header("x-forwarded-for", address)).await.status
    };
    assert_eq!(chat("2001:db8:1:2::1").await, StatusCode::OK);
    assert_eq!(chat("2001:db8:1:2:ffff::9").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(chat("2001:db8:1:3::1").await, StatusCode::OK);
    assert_eq!(chat("192.0.2.1").await, StatusCode::OK);
    assert_eq!(chat("192.0.2.2").await, StatusCode::OK);
}

#[tokio::test]
async fn an_address_that_the_client_makes_up_is_not_counted() {
    let server = hourly(1).start();
    let mut statuses = Vec::new();
    for number in 0..2 {
        let request = server.post("/chat", &json!({"message": "Hi"}));
        statuses.push(send(request.header("x-forwarded-for", format!("203.0.113.{number}"))).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 429]);
}

#[tokio::test]
async fn a_sockets_messages_count_too() {
    let server = hourly(2).start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = Socket::open(&server, &format!("/api/chat/ws?token={token}"), &[]).await.unwrap();
    for _ in 0..2 {
        socket.send(&json!({"message": "Hi"})).await;
        assert_eq!(socket.answer().await.last().unwrap()["type"], "done");
    }
    socket.send(&json!({"message": "Hi"})).await;
    let frame = socket.frame().await;
    assert_eq!((&frame["type"], &frame["code"]), (&json!("error"), &json!("rate_limited")));
    assert_limited(&me(&server, &token).await, "hour", 2);
    assert_eq!(server.count("SELECT COUNT(*) FROM turns"), 2);
}

#[tokio::test]
async fn pages_files_and_health_are_never_counted() {
    let server = hourly(1).start();
    for _ in 0..15 {
        for path in ["/", "/health", "/docs", "/openapi.json", "/metrics", "/static/nothing", "/nothing"] {
            let answer = send(server.get(path)).await;
            assert_ne!(answer.status, 429, "{path}");
            assert_eq!(answer.header("ratelimit-policy"), "", "{path}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_can_read_the_refusal_and_its_preflight_costs_nothing() {
    let server = hourly(1).start();
    let origin = "http://localhost:3000";
    for _ in 0..15 {
        let request = server.request(reqwest::Method::OPTIONS, "/chat").header("origin", origin);
        assert_eq!(send(request.header("access-control-request-method", "POST")).await.status, 200);
    }
    let ask = || send(server.post("/chat", &json!({"message": "Hi"})).header("origin", origin));
    ask().await.expect(200);
    let refused = ask().await;
    assert_limited(&refused, "hour", 1);
    assert_eq!(refused.header("access-control-allow-origin"), origin);
    assert!(refused.header("access-control-expose-headers").contains("ratelimit"));
}

#[tokio::test]
async fn nought_is_no_limit() {
    let server = hourly(0).start();
    let token = server.sign_up("user@example.com").await;
    let answer = me(&server, &token).await;
    assert_eq!(answer.header("ratelimit"), "");
}
