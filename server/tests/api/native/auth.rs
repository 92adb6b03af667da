//! `POST /api/v1/auth/register` and `POST /api/v1/auth/login`

use serde_json::json;

use super::assert_problem;
use crate::kit::{assert_fields, assert_number_id, assert_time, send};
use crate::support::{PASSWORD, Setup};

#[tokio::test]
async fn registering_takes_an_address_a_name_or_both() {
    let server = Setup::new().start();
    for (number, (email, username)) in
        [(Some("a@example.com"), None), (None, Some("bea")), (Some("c@example.com"), Some("Cara"))].iter().enumerate()
    {
        let body = json!({"email": email, "username": username, "password": PASSWORD});
        let made = send(server.post("/api/v1/auth/register", &body)).await.expect(201);
        assert_fields(
            &made,
            &["id", "email", "email_verified", "username", "first_name", "last_name", "role", "created_at"],
        );
        assert_number_id(&made["id"]);
        assert_eq!(
            (&made["email"], &made["username"], &made["role"]),
            (&json!(email), &json!(username), &json!("user"))
        );
        assert_time(&made["created_at"]);
        assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), i64::try_from(number).unwrap() + 1);
    }
}

#[tokio::test]
async fn a_registration_that_breaks_a_rule_is_refused_as_a_problem() {
    let server = Setup::new().start();
    let register = |body: serde_json::Value| send(server.post("/api/v1/auth/register", &body));
    register(json!({"email": "a@example.com", "username": "anna", "password": PASSWORD})).await.expect(201);
    assert_problem(&register(json!({"password": PASSWORD})).await, 400);
    assert_problem(&register(json!({"email": "x", "password": PASSWORD})).await, 400);
    assert_problem(&register(json!({"username": "a@b", "password": PASSWORD})).await, 400);
    assert_problem(&register(json!({"username": "ben", "password": "short"})).await, 400);
    assert_problem(&register(json!({"email": "A@example.com", "password": PASSWORD})).await, 409);
    let taken = assert_problem(&register(json!({"username": "ANNA", "password": PASSWORD})).await, 409);
    assert_eq!(taken, "Username already registered");
    let both = register(json!({"email": "new@example.com", "username": "anna", "password": PASSWORD})).await;
    assert_eq!(assert_problem(&both, 409), "Username already registered", "of the two it names the one that is taken");
    assert_problem(&register(json!({"email": 5})).await, 422);
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 1);
}

#[tokio::test]
async fn signing_in_gives_a_pair_that_nobody_on_the_way_keeps() {
    let server = Setup::new().start();
    let body = json!({"email": "a@example.com", "username": "anna", "password": PASSWORD});
    send(server.post("/api/v1/auth/register", &body)).await.expect(201);
    let logins = [json!({"email": "a@example.com"}), json!({"username": "ANNA"}), json!({"username": "a@example.com"})];
    for mut login in logins {
        login["password"] = json!(PASSWORD);
        let answer = send(server.post("/api/v1/auth/login", &login)).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let pair = answer.expect(200);
        assert_fields(&pair, &["access_token", "refresh_token", "token_type", "expires_in"]);
        assert_eq!((&pair["token_type"], &pair["expires_in"]), (&json!("bearer"), &json!(1800)));
        let token = pair["access_token"].as_str().unwrap();
        send(server.get("/api/users/me").bearer_auth(token)).await.expect(200);
    }
    let request = server.request(reqwest::Method::POST, "/api/v1/auth/login");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    send(request.body(format!("username=anna&password={PASSWORD}"))).await.expect(200);
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_look_alike() {
    let server = Setup::new().start();
    let body = json!({"username": "anna", "password": PASSWORD});
    send(server.post("/api/v1/auth/register", &body)).await.expect(201);
    let login =
        |name: &str| send(server.post("/api/v1/auth/login", &json!({"username": name, "password": "wrong-one"})));
    let (wrong, unknown) = (login("anna").await, login("nobody").await);
    assert_problem(&wrong, 401);
    assert_eq!(wrong.header("www-authenticate"), "Bearer");
    assert_eq!(wrong.comparable(), unknown.comparable());
}

#[tokio::test]
async fn a_guest_has_no_login() {
    let server = Setup::new().start();
    send(server.post("/chat", &json!({"message": "Hi", "user_id": "anna"}))).await.expect(200);
    for password in ["", "anna", PASSWORD] {
        let body = json!({"username": "anna", "password": password});
        assert_problem(&send(server.post("/api/v1/auth/login", &body)).await, 401);
    }
}
