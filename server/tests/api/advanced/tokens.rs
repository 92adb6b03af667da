//! What opens a door, and what does not.

use reqwest::Method;
use serde_json::json;

use crate::kit::gated::GatedUpstream;
use crate::kit::signing::{bad_tokens, claims_of, sign};
use crate::kit::{rows, send};
use crate::support::{PASSWORD, SECRET, Setup};

/// The calls that need a token.
const PROTECTED: [(Method, &str); 6] = [
    (Method::GET, "/api/users/me"),
    (Method::GET, "/api/history"),
    (Method::POST, "/api/chat"),
    (Method::POST, "/api/chat/stream"),
    (Method::GET, "/api/v1/chat/messages/1/stream"),
    (Method::POST, "/api/v1/chat/messages/1/stop"),
];

#[tokio::test]
async fn no_bad_token_opens_a_door() {
    let server = Setup::new().start();
    let good = server.sign_up("user@example.com").await;
    let before = rows::rows(&server);
    for (method, path) in PROTECTED {
        for (what, token) in bad_tokens(&good, SECRET) {
            let request = server.request(method.clone(), path).bearer_auth(token).json(&json!({"message": "Hi"}));
            let refused = send(request).await;
            assert_eq!(refused.status, 401, "{path} with a token {what}");
            assert_eq!(refused.header("www-authenticate"), "Bearer");
            assert_eq!(refused.detail(), "Could not validate credentials", "{what}");
        }
        let refused = send(server.request(method, path).json(&json!({"message": "Hi"}))).await;
        assert_eq!((refused.status.as_u16(), refused.detail().as_str()), (401, "Not authenticated"), "{path}");
    }
    assert_eq!(rows::rows(&server), before);
    send(server.get("/api/users/me").bearer_auth(good)).await.expect(200);
}

#[tokio::test]
async fn the_tests_own_signature_is_a_good_one() {
    let server = Setup::new().start();
    let good = server.sign_up("user@example.com").await;
    let copy = sign(&json!({"alg": "HS256", "typ": "JWT"}), &claims_of(&good), SECRET);
    send(server.get("/api/users/me").bearer_auth(copy)).await.expect(200);
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token() {
    let server = Setup::new().start();
    server.sign_up("user@example.com").await;
    let body = json!({"email": "user@example.com", "password": PASSWORD});
    let pair = send(server.post("/api/v1/auth/login", &body)).await.expect(200);
    let refresh = pair["refresh_token"].as_str().unwrap();
    for (method, path) in PROTECTED {
        let request = server.request(method, path).bearer_auth(refresh).json(&json!({"message": "Hi"}));
        send(request).await.expect(401);
    }
}

#[tokio::test]
async fn a_deactivated_account_is_out_at_once() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let login = json!({"email": "user@example.com", "password": PASSWORD});
    let pair = send(server.post("/api/v1/auth/login", &login)).await.expect(200);
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(200);
    server.database().execute("UPDATE accounts SET is_active = 0", []).unwrap();
    for (method, path) in PROTECTED {
        let request = server.request(method, path).bearer_auth(&token).json(&json!({"message": "Hi"}));
        send(request).await.expect(401);
    }
    send(server.post("/chat", &json!({"message": "Hi"})).bearer_auth(&token)).await.expect(401);
    send(server.post("/api/v1/auth/refresh", &json!({"refresh_token": pair["refresh_token"]}))).await.expect(401);
    let refused =
        send(server.post("/api/auth/login", &json!({"username": "user@example.com", "password": PASSWORD}))).await;
    assert_eq!(refused.expect(401), json!({"detail": "Incorrect email or password"}));
}

#[tokio::test]
async fn an_open_stream_of_a_deactivated_account_ends() {
    let mut upstream = GatedUpstream::start().await;
    let setup = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url());
    let server = setup.env("SERVER__KEEP_ALIVE_SECONDS", "1").start();
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/api/chat/stream", &json!({"message": "Hi"})).bearer_auth(&token);
    let response = request.send().await.unwrap();
    let call = upstream.call().await;
    server.database().execute("UPDATE accounts SET is_active = 0", []).unwrap();
    let body = response.text().await.unwrap();
    assert!(!body.contains("event: done"), "{body}");
    drop(call);
}

#[tokio::test]
async fn a_deleted_account_is_out_at_once() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    server.database().execute("DELETE FROM accounts", []).unwrap();
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(401);
}

#[tokio::test]
async fn a_raised_token_version_ends_what_was_issued_before() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    server.database().execute("UPDATE accounts SET token_version = token_version + 1", []).unwrap();
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(401);
    let token = server.sign_in("user@example.com").await;
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(200);
}

#[tokio::test]
async fn a_token_goes_on_working_after_a_restart() {
    let mut server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    server.restart();
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(200);
}

#[tokio::test]
async fn the_schemes_name_is_read_in_any_case() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    for scheme in ["bearer", "BEARER", "Bearer"] {
        let request = server.get("/api/users/me").header("authorization", format!("{scheme} {token}"));
        send(request).await.expect(200);
    }
}
