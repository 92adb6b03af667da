//! `POST /api/auth/register` and `POST /api/auth/login`

use serde_json::{Value, json};

use crate::kit::{Answer, assert_fields, assert_number_id, assert_time, send};
use crate::support::{PASSWORD, Setup, TestServer};

async fn register(server: &TestServer, email: &str, password: &str) -> Answer {
    send(server.post("/api/auth/register", &json!({"email": email, "password": password}))).await
}

async fn login(server: &TestServer, username: &str, password: &str) -> Answer {
    send(server.post("/api/auth/login", &json!({"username": username, "password": password}))).await
}

#[tokio::test]
async fn registering_makes_an_account() {
    let server = Setup::new().start();
    let made = register(&server, "User@Example.com", PASSWORD).await.expect(201);
    assert_fields(&made, &["id", "email", "created_at"]);
    assert_number_id(&made["id"]);
    assert_eq!(made["email"], "User@Example.com");
    assert_time(&made["created_at"]);
    assert!(!made.to_string().contains(PASSWORD));
}

#[tokio::test]
async fn a_taken_address_is_409_whatever_its_case() {
    let server = Setup::new().start();
    register(&server, "user@example.com", PASSWORD).await.expect(201);
    for email in ["user@example.com", "USER@example.COM", " user@example.com "] {
        let refused = register(&server, email, "another-password").await;
        assert_eq!(refused.expect(409), json!({"detail": "Email already registered"}), "{email}");
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 1);
}

#[tokio::test]
async fn of_many_who_register_one_address_at_once_one_gets_it() {
    let server = Setup::new().start();
    let body = json!({"email": "user@example.com", "password": PASSWORD});
    let attempts = (0..20).map(|_| send(server.post("/api/auth/register", &body)));
    let answers = futures_util::future::join_all(attempts).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(409)), (1, 19));
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 1);
}

#[tokio::test]
async fn what_is_no_address_is_400() {
    let server = Setup::new().start();
    for email in ["", "user", "@example.com", "user@", "user@example", "a b@example.com", "a@b..com", "a@b.com\u{0}"] {
        let refused = register(&server, email, PASSWORD).await;
        assert_eq!(refused.status, 400, "{email:?}");
        assert_eq!(refused.detail(), "value is not a valid email address");
        assert_eq!(login(&server, email, PASSWORD).await.status, 400, "{email:?}");
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
}

#[tokio::test]
async fn a_password_has_8_to_128_characters() {
    let server = Setup::new().start();
    for password in ["", "1234567", &"x".repeat(129)] {
        let refused = register(&server, "user@example.com", password).await;
        assert_eq!(refused.status, 400, "{password}");
        assert_eq!(refused.detail(), "password must have 8 to 128 characters");
    }
    for (email, password) in [("short@example.com", "12345678".to_owned()), ("long@example.com", "ü".repeat(128))] {
        register(&server, email, &password).await.expect(201);
        login(&server, email, &password).await.expect(200);
    }
    let other_end = format!("{}u", "ü".repeat(127));
    login(&server, "long@example.com", &other_end).await.expect(401);
}

#[tokio::test]
async fn a_registration_that_lacks_several_fields_is_told_all_of_them() {
    let server = Setup::new().start();
    let refused = send(server.post("/api/auth/register", &json!({}))).await.expect(422);
    let missing = |field: &str| json!({"loc": ["body", field], "msg": "Field required", "type": "missing"});
    assert_eq!(refused, json!({"detail": [missing("email"), missing("password")]}));
    let refused = send(server.post("/api/auth/register", &json!({"email": 5, "password": ["x"]}))).await.expect(422);
    let wrong =
        |field: &str| json!({"loc": ["body", field], "msg": "Input should be a valid string", "type": "string_type"});
    assert_eq!(refused, json!({"detail": [wrong("email"), wrong("password")]}));
}

#[tokio::test]
async fn nobody_becomes_admin_by_registering() {
    let server = Setup::new().start();
    for path in ["/api/auth/register", "/api/v1/auth/register"] {
        let email = format!("a{}@example.com", path.len());
        let body =
            json!({"email": email, "password": PASSWORD, "role": "admin", "is_admin": true, "is_superuser": true});
        send(server.post(path, &body)).await.expect(201);
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts WHERE role = 'user'"), 2);
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 2);
}

fn assert_token(answer: &Value) {
    assert_fields(answer, &["access_token", "token_type", "expires_in"]);
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("bearer"), &json!(1800)));
    assert_eq!(answer["access_token"].as_str().unwrap().split('.').count(), 3);
}

#[tokio::test]
async fn signing_in_takes_a_form_and_json_under_both_names() {
    let server = Setup::new().start();
    register(&server, "user+tag@example.com", PASSWORD).await.expect(201);
    let form = "grant_type=password&username=user%2Btag%40example.com&password=SuperSecret123%21&scope=";
    for content_type in ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"] {
        let request = server.request(reqwest::Method::POST, "/api/auth/login").header("content-type", content_type);
        assert_token(&send(request.body(form)).await.expect(200));
    }
    for name in ["username", "email"] {
        let body = json!({name: "USER+tag@example.com", "password": PASSWORD});
        assert_token(&send(server.post("/api/auth/login", &body)).await.expect(200));
    }
}

#[tokio::test]
async fn a_token_lives_as_long_as_the_settings_say() {
    let server = Setup::new().env("ACCESS_TOKEN_EXPIRE_MINUTES", "5").start();
    let token = server.sign_up("user@example.com").await;
    let claims = crate::kit::signing::claims_of(&token);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    assert_eq!(login(&server, "user@example.com", PASSWORD).await.expect(200)["expires_in"], 300);
}

#[tokio::test]
async fn an_unknown_account_and_a_wrong_password_look_alike() {
    let server = Setup::new().start();
    register(&server, "user@example.com", PASSWORD).await.expect(201);
    let wrong = login(&server, "user@example.com", "WrongSecret123!").await;
    let unknown = login(&server, "nobody@example.com", PASSWORD).await;
    assert_eq!(wrong.expect(401), json!({"detail": "Incorrect email or password"}));
    assert_eq!(wrong.header("www-authenticate"), "Bearer");
    assert_eq!(wrong.comparable(), unknown.comparable());
    let too_long = login(&server, "user@example.com", &"x".repeat(5000)).await;
    assert_eq!(wrong.comparable(), too_long.comparable());
}

#[tokio::test]
async fn a_form_that_lacks_a_field_is_422() {
    let server = Setup::new().start();
    let request = server.request(reqwest::Method::POST, "/api/auth/login");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body("username=a%40b.de");
    let refused = send(request).await.expect(422);
    assert_eq!(refused["detail"], json!([{"loc": ["body", "password"], "msg": "Field required", "type": "missing"}]));
}
