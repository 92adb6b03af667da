//! The refresh token in a cookie: `X-Parlor-CSRF: 1` in login, refresh and logout.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::assert_problem;
use crate::kit::{Answer, assert_fields, send};
use crate::support::{PASSWORD, Setup, TestServer};

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";

async fn login(server: &TestServer) -> Answer {
    let body = json!({"username": "user@example.com", "password": PASSWORD});
    send(server.post(LOGIN, &body).header("x-parlor-csrf", "1")).await
}

/// The cookie's name and value, as a browser sends them back.
fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

fn with_cookie(server: &TestServer, path: &str, cookie: &str) -> RequestBuilder {
    server.request(Method::POST, path).header("cookie", format!("theme=dark; {cookie}"))
}

async fn with_csrf(server: &TestServer, path: &str, cookie: &str) -> Answer {
    send(with_cookie(server, path, cookie).header("x-parlor-csrf", "1")).await
}

#[tokio::test]
async fn the_token_is_where_no_script_and_no_other_site_reaches_it() {
    let server = Setup::new().env("TRUSTED_PROXIES", "127.0.0.1").start();
    server.sign_up("user@example.com").await;
    let answer = login(&server).await;
    assert_fields(&answer.expect(200), &["access_token", "token_type", "expires_in"]);
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.starts_with("parlor_refresh=rt-"), "{cookie}");
    for part in ["Path=/api/v1/auth", "Max-Age=604800", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    assert!(!cookie.contains("Secure"), "there is no TLS here: {cookie}");
    let body = json!({"username": "user@example.com", "password": PASSWORD});
    let request = server.post(LOGIN, &body).header("x-parlor-csrf", "1").header("x-forwarded-proto", "https");
    assert!(send(request).await.header("set-cookie").ends_with("; Secure"));
    let without = send(server.post(LOGIN, &body)).await;
    assert_eq!(without.header("set-cookie"), "");
    assert_fields(&without.expect(200), &["access_token", "refresh_token", "token_type", "expires_in"]);
}

#[tokio::test]
async fn the_cookie_rotates_at_every_refresh_and_a_logout_takes_it_away() {
    let server = Setup::new().start();
    server.sign_up("user@example.com").await;
    let first = cookie_of(&login(&server).await);
    let refreshed = with_csrf(&server, REFRESH, &first).await;
    let token = refreshed.expect(200)["access_token"].as_str().unwrap().to_owned();
    send(server.get("/api/users/me").bearer_auth(token)).await.expect(200);
    let second = cookie_of(&refreshed);
    assert_ne!(first, second);
    let left = with_csrf(&server, LOGOUT, &second).await;
    assert_eq!(left.status, 204);
    assert!(left.header("set-cookie").starts_with("parlor_refresh=; "), "{left:?}");
    assert!(left.header("set-cookie").contains("Max-Age=0"), "{left:?}");
    assert_problem(&with_csrf(&server, REFRESH, &second).await, 401);
    assert_eq!(with_csrf(&server, LOGOUT, "theme=dark").await.status, 204);
}

#[tokio::test]
async fn the_cookie_alone_does_nothing() {
    let server = Setup::new().start();
    server.sign_up("user@example.com").await;
    let cookie = cookie_of(&login(&server).await);
    assert_problem(&send(with_cookie(&server, REFRESH, &cookie)).await, 422);
    assert_problem(&send(with_cookie(&server, REFRESH, &cookie).header("x-parlor-csrf", "0")).await, 422);
    assert_problem(&send(with_cookie(&server, LOGOUT, &cookie)).await, 422);
    assert_eq!(
        server.count("SELECT COUNT(*) FROM refresh_tokens WHERE used_at IS NOT NULL OR revoked_at IS NOT NULL"),
        0
    );
    assert_problem(&with_csrf(&server, REFRESH, "theme=dark").await, 401);
    assert_problem(&with_csrf(&server, REFRESH, "parlor_refresh=rt-garbage").await, 401);
    with_csrf(&server, REFRESH, &cookie).await.expect(200);
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_can_neither_refresh_nor_sign_anybody_in() {
    let server = Setup::new().start();
    server.sign_up("user@example.com").await;
    let cookie = cookie_of(&login(&server).await);
    for origin in ["https://evil.example", "null"] {
        for path in [REFRESH, LOGOUT] {
            let request = with_cookie(&server, path, &cookie).header("x-parlor-csrf", "1").header("origin", origin);
            assert_problem(&send(request).await, 403);
        }
        let body = json!({"username": "user@example.com", "password": PASSWORD});
        let request = server.post(LOGIN, &body).header("x-parlor-csrf", "1").header("origin", origin);
        let refused = send(request).await;
        assert_problem(&refused, 403);
        assert_eq!(refused.header("set-cookie"), "");
    }
    let own = format!("http://{}", server.authority());
    let request = with_cookie(&server, REFRESH, &cookie).header("x-parlor-csrf", "1").header("origin", own);
    send(request).await.expect(200);
}
