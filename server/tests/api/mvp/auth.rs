//! `/auth/signup`, `/auth/login`, `GET /users/me`

use reqwest::Method;
use serde_json::{Value, json};

use super::sign_up;
use crate::kit::rows::rows;
use crate::kit::{assert_fields, assert_number_id, assert_time, send};
use crate::support::{PASSWORD, Setup};

#[tokio::test]
async fn signing_up_makes_an_account() {
    let server = Setup::new().start();
    let body = json!({"username": "Ada", "password": PASSWORD, "email": "Ada@example.com"});
    let made = send(server.post("/auth/signup", &body)).await.expect(201);
    assert_fields(&made, &["id", "username", "email", "created_at"]);
    assert_number_id(&made["id"]);
    assert_time(&made["created_at"]);
    assert_eq!((&made["username"], &made["email"]), (&json!("Ada"), &json!("Ada@example.com")));
    for email in [json!(null), json!(""), json!(" ")] {
        let name = format!("user{}", server.count("SELECT COUNT(*) FROM accounts"));
        let body = json!({"username": name, "password": PASSWORD, "email": email});
        assert_eq!(send(server.post("/auth/signup", &body)).await.expect(201)["email"], Value::Null);
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts WHERE role = 'user'"), 4);
}

#[tokio::test]
async fn a_taken_name_or_address_is_409_whatever_its_case() {
    let server = Setup::new().start();
    let body = |username: &str, email: &str| json!({"username": username, "password": PASSWORD, "email": email});
    send(server.post("/auth/signup", &body("ada", "ada@example.com"))).await.expect(201);
    let before = rows(&server);
    for (username, email, taken) in [
        ("ADA", "other@example.com", "Username already registered"),
        ("other", "ADA@example.com", "Email already registered"),
    ] {
        let refused = send(server.post("/auth/signup", &body(username, email))).await;
        assert_eq!((refused.status.as_u16(), refused.detail().as_str()), (409, taken));
    }
    assert_eq!(rows(&server), before);
}

#[tokio::test]
async fn what_breaks_a_rule_is_400_and_makes_nobody() {
    let server = Setup::new().start();
    for (username, password, email) in [
        ("", PASSWORD, "a@example.com"),
        ("a b", PASSWORD, "a@example.com"),
        ("a@example.com", PASSWORD, "a@example.com"),
        ("ada", "1234567", "a@example.com"),
        ("ada", &"x".repeat(129), "a@example.com"),
        ("ada", PASSWORD, "none"),
    ] {
        let body = json!({"username": username, "password": password, "email": email});
        assert_eq!(send(server.post("/auth/signup", &body)).await.status, 400, "{body}");
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
}

#[tokio::test]
async fn nobody_becomes_admin_by_signing_up() {
    let server = Setup::new().start();
    let body = json!({"username": "ada", "password": PASSWORD, "role": "admin", "is_admin": true});
    send(server.post("/auth/signup", &body)).await.expect(201);
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts WHERE role = 'user'"), 1);
}

#[tokio::test]
async fn one_signs_in_by_name_or_address_by_json_or_form() {
    let server = Setup::new().start();
    let body = json!({"username": "ada", "password": PASSWORD, "email": "ada@example.com"});
    send(server.post("/auth/signup", &body)).await.expect(201);
    for name in ["ada", "ADA", "ada@example.com", " Ada@Example.com "] {
        let json = server.post("/auth/login", &json!({"username": name, "password": PASSWORD}));
        let form = server
            .request(Method::POST, "/auth/login")
            .body(format!("username={}&password={PASSWORD}", name.replace(' ', "+")));
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        for request in [json, form] {
            let login = send(request).await.expect(200);
            assert_fields(&login, &["access_token", "token_type", "expires_in"]);
            assert_eq!((&login["token_type"], &login["expires_in"]), (&json!("bearer"), &json!(1800)));
            let token = login["access_token"].as_str().unwrap();
            assert_eq!(send(server.get("/users/me").bearer_auth(token)).await.expect(200)["username"], "ada");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_look_alike() {
    let server = Setup::new().start();
    sign_up(&server, "ada").await;
    let wrong = send(server.post("/auth/login", &json!({"username": "ada", "password": "wrong-password"}))).await;
    let unknown = send(server.post("/auth/login", &json!({"username": "bob", "password": PASSWORD}))).await;
    assert_eq!((wrong.status.as_u16(), wrong.header("www-authenticate")), (401, "Bearer"));
    assert_eq!(wrong.comparable(), unknown.comparable());
}

#[tokio::test]
async fn failed_logins_are_limited_together_with_the_other_dialects() {
    let server = Setup::new().env("LIMITS__LOGIN_ATTEMPTS_PER_ACCOUNT", "2").start();
    let body = json!({"username": "user@example.com", "password": "wrong-password"});
    send(server.post("/api/auth/login", &body)).await.expect(401);
    send(server.post("/auth/login", &body)).await.expect(401);
    let limited = send(server.post("/auth/login", &body)).await;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(limited.header("ratelimit-policy").starts_with("\"login-account\";q=2"));
}

#[tokio::test]
async fn one_sees_oneself_whichever_dialect_made_the_account() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let me = send(server.get("/users/me").bearer_auth(&token)).await.expect(200);
    assert_fields(&me, &["id", "username", "email", "preferences", "created_at"]);
    assert_eq!((&me["username"], &me["email"]), (&Value::Null, &json!("user@example.com")));
    assert_time(&me["created_at"]);
    let nothing =
        json!({"model": null, "temperature": null, "max_tokens": null, "system_prompt": null, "language": null});
    assert_eq!(me["preferences"], nothing);
    let named = sign_up(&server, "ada").await;
    let me = send(server.get("/api/users/me").bearer_auth(&named)).await.expect(200);
    assert_eq!(me["email"], Value::Null);
    send(server.get("/users/me")).await.expect(401);
}
