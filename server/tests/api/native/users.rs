//! `/api/v1/users/me`

use parlor_bench::fake::FakeUpstream;
use reqwest::Method;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::{Answer, assert_fields, rows, send, wait};
use crate::support::{PASSWORD, Setup, TestServer};

const FIELDS: [&str; 8] =
    ["id", "email", "email_verified", "username", "first_name", "last_name", "role", "created_at"];

async fn me(server: &TestServer, token: &str) -> Answer {
    send(server.get("/api/v1/users/me").bearer_auth(token)).await
}

async fn patch(server: &TestServer, token: &str, body: &Value) -> Answer {
    send(server.request(Method::PATCH, "/api/v1/users/me").json(body).bearer_auth(token)).await
}

async fn delete(server: &TestServer, token: &str, password: &str) -> Answer {
    send(server.delete("/api/v1/users/me").json(&json!({"password": password})).bearer_auth(token)).await
}

#[tokio::test]
async fn an_account_shows_itself() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let account = me(&server, &token).await.expect(200);
    assert_fields(&account, &FIELDS);
    assert_eq!((&account["email"], &account["email_verified"]), (&json!("user@example.com"), &json!(false)));
    assert_problem(&send(server.get("/api/v1/users/me")).await, 401);
}

#[tokio::test]
async fn what_is_given_changes_and_the_rest_stays() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let body = json!({"first_name": "John", "last_name": "Doe", "username": "johnny"});
    let changed = patch(&server, &token, &body).await.expect(200);
    assert_fields(&changed, &FIELDS);
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&changed[field], value);
    }
    let changed = patch(&server, &token, &json!({"last_name": null})).await.expect(200);
    assert_eq!((&changed["first_name"], &changed["last_name"]), (&json!("John"), &Value::Null));
    assert_eq!(patch(&server, &token, &json!({})).await.expect(200), changed);
    assert_eq!(me(&server, &token).await.expect(200), changed);
    let login = json!({"username": "Johnny", "password": PASSWORD});
    send(server.post("/api/v1/auth/login", &login)).await.expect(200);
}

#[tokio::test]
async fn another_address_needs_the_password_and_is_not_verified() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    server.database().execute("UPDATE accounts SET email_verified_at = 1", []).unwrap();
    assert_problem(&patch(&server, &token, &json!({"email": "new@example.com"})).await, 400);
    let wrong = json!({"email": "new@example.com", "password": "wrong-one", "first_name": "John"});
    assert_problem(&patch(&server, &token, &wrong).await, 400);
    let unchanged = me(&server, &token).await.expect(200);
    assert_eq!((&unchanged["email"], &unchanged["first_name"]), (&json!("user@example.com"), &Value::Null));
    let spelt = json!({"email": "User@example.com", "password": PASSWORD});
    assert_eq!(patch(&server, &token, &spelt).await.expect(200)["email_verified"], true);
    let changed = patch(&server, &token, &json!({"email": "new@example.com", "password": PASSWORD})).await.expect(200);
    assert_eq!((&changed["email"], &changed["email_verified"]), (&json!("new@example.com"), &json!(false)));
    server.sign_in("new@example.com").await;
}

#[tokio::test]
async fn a_change_that_breaks_a_rule_or_takes_anothers_name_changes_nothing() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let body = json!({"email": "b@example.com", "username": "ben", "password": PASSWORD});
    send(server.post("/api/v1/auth/register", &body)).await.expect(201);
    let before = me(&server, &token).await.expect(200);
    for (body, status) in [
        (json!({"first_name": "John", "username": "BEN"}), 409),
        (json!({"first_name": "John", "email": "B@example.com", "password": PASSWORD}), 409),
        (json!({"first_name": "", "last_name": "Doe"}), 400),
        (json!({"first_name": "John", "username": "a@b"}), 400),
        (json!({"first_name": "John", "email": "none", "password": PASSWORD}), 400),
        (json!({"first_name": 5}), 422),
    ] {
        assert_problem(&patch(&server, &token, &body).await, status);
    }
    assert_eq!(me(&server, &token).await.expect(200), before);
}

#[tokio::test]
async fn wrong_passwords_are_limited() {
    let server = Setup::new().env("LIMITS__LOGIN_ATTEMPTS_PER_ACCOUNT", "2").start();
    let token = server.sign_up("user@example.com").await;
    for status in [400, 400, 429] {
        assert_problem(&delete(&server, &token, "wrong-one").await, status);
    }
    let limited = delete(&server, &token, PASSWORD).await;
    assert_problem(&limited, 429);
    assert!(!limited.header("retry-after").is_empty());
    me(&server, &token).await.expect(200);
}

#[tokio::test]
async fn an_erased_account_leaves_only_what_it_used() {
    let server = Setup::new().start();
    let (token, other) = (server.sign_up("user@example.com").await, server.sign_up("other@example.com").await);
    for token in [&token, &other] {
        send(server.post("/api/chat", &json!({"message": "Hello there"})).bearer_auth(token)).await.expect(200);
        let key = json!({"name": "n", "scopes": ["read"]});
        send(server.post("/api/v1/api-keys", &key).bearer_auth(token)).await.expect(201);
    }
    let refresh = send(server.post("/api/v1/auth/login", &json!({"email": "user@example.com", "password": PASSWORD})));
    let pair = refresh.await.expect(200);
    let before = rows::rows(&server);
    assert_problem(&delete(&server, &token, "wrong-one").await, 400);
    assert_eq!(rows::rows(&server), before);

    let answer = delete(&server, &token, PASSWORD).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
    assert_problem(&me(&server, &token).await, 401);
    let body = json!({"refresh_token": pair["refresh_token"]});
    assert_problem(&send(server.post("/api/v1/auth/refresh", &body)).await, 401);
    let login = json!({"email": "user@example.com", "password": PASSWORD});
    assert_problem(&send(server.post("/api/v1/auth/login", &login)).await, 401);
    let after = rows::rows(&server);
    for table in ["accounts", "conversations", "api_keys", "turns"] {
        assert_eq!(after[table], 1, "{table}");
    }
    assert_eq!((after["messages"], after["usage_ledger"]), (2, before["usage_ledger"]));
    me(&server, &other).await.expect(200);
    // Its address is free again, and leads to none of what was there.
    let again = server.sign_up("user@example.com").await;
    assert_eq!(send(server.get("/api/history").bearer_auth(&again)).await.expect(200)["total"], 0);
    let used = send(server.get("/api/v1/users/me/usage").bearer_auth(&again)).await.expect(200);
    assert_eq!(used["totals"]["requests"], 0);
}

#[tokio::test]
async fn erasing_an_account_stops_the_answer_that_is_being_written() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "9tok-stall3").start();
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/api/chat/stream", &json!({"message": "Hello"})).bearer_auth(&token);
    let mut response = request.send().await.unwrap();
    let mut seen = String::new();
    while !seen.contains("word3") {
        seen.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert_eq!(delete(&server, &token, PASSWORD).await.status, 204);
    wait::until("the provider is left", || upstream.aborted() == 1).await;
    response.text().await.unwrap();
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 0);
    send(server.get("/health")).await.expect(200);
}

#[tokio::test]
async fn a_key_changes_its_account_only_with_the_scope() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let body = json!({"name": "n", "scopes": ["read", "chat"]});
    let made = send(server.post("/api/v1/api-keys", &body).bearer_auth(&token)).await.expect(201);
    let key = made["key"].as_str().unwrap();
    me(&server, key).await.expect(200);
    assert_problem(&patch(&server, key, &json!({"first_name": "John"})).await, 403);
    assert_problem(&delete(&server, key, PASSWORD).await, 403);
    let consents = json!({"consents": [{"name": "terms", "version": "1", "granted": true}]});
    let put = server.request(Method::PUT, "/api/v1/users/me/consents").json(&consents).bearer_auth(key);
    assert_problem(&send(put).await, 403);
    let password = json!({"current_password": PASSWORD, "new_password": "another-password"});
    assert_problem(&send(server.post("/api/v1/auth/password", &password).bearer_auth(key)).await, 403);
    assert_problem(&send(server.get("/api/v1/auth/sessions").bearer_auth(key)).await, 403);
    assert_problem(&send(server.post("/api/v1/auth/logout-all", &json!({})).bearer_auth(key)).await, 403);
}

#[tokio::test]
async fn consents_keep_their_history() {
    let server = Setup::new().start();
    let (token, other) = (server.sign_up("user@example.com").await, server.sign_up("other@example.com").await);
    let get = |token: &str| send(server.get("/api/v1/users/me/consents").bearer_auth(token));
    let put =
        |body: Value| send(server.request(Method::PUT, "/api/v1/users/me/consents").json(&body).bearer_auth(&token));
    assert_eq!(get(&token).await.expect(200), json!({"consents": [], "history": []}));
    let consent =
        |name: &str, version: &str, granted: bool| json!({"name": name, "version": version, "granted": granted});
    let both = json!({"consents": [consent("terms", "1", true), consent("news", "1", true)]});
    let given = put(both.clone()).await.expect(200);
    assert_fields(&given["consents"][0], &["name", "version", "granted", "created_at"]);
    assert_eq!(put(both).await.expect(200), given, "what holds already is not said again");
    let taken = put(json!({"consents": [consent("news", "1", false)]})).await.expect(200);
    let now: Vec<_> = taken["consents"].as_array().unwrap().iter().map(|c| (&c["name"], &c["granted"])).collect();
    assert_eq!(now, [(&json!("terms"), &json!(true)), (&json!("news"), &json!(false))]);
    assert_eq!(taken["history"].as_array().unwrap().len(), 3);
    for bad in
        [json!([]), json!([consent("", "1", true)]), json!([consent("terms", "2", true), consent("X", "1", true)])]
    {
        assert_problem(&put(json!({"consents": bad})).await, 400);
    }
    assert_problem(&put(json!({"consents": [{"name": "terms"}]})).await, 422);
    assert_eq!(get(&token).await.expect(200), taken);
    assert_eq!(get(&other).await.expect(200)["history"], json!([]));
}

#[tokio::test]
async fn usage_is_told_by_day_model_and_kind_and_to_nobody_else() {
    let server = Setup::new().start();
    let (token, other) = (server.sign_up("user@example.com").await, server.sign_up("other@example.com").await);
    for _ in 0..2 {
        send(server.post("/api/chat", &json!({"message": "Hello there"})).bearer_auth(&token)).await.expect(200);
    }
    let old = "UPDATE usage_ledger SET created_at = 1767182400000000, prompt_tokens = 5, completion_tokens = 7, model = 'old' \
               WHERE id = (SELECT MIN(id) FROM usage_ledger)";
    server.database().execute(old, []).unwrap();
    let usage =
        |token: &str, query: &str| send(server.get(&format!("/api/v1/users/me/usage{query}")).bearer_auth(token));
    let recent = usage(&token, "").await.expect(200);
    assert_fields(&recent, &["from", "to", "totals", "items"]);
    assert_eq!((&recent["totals"]["requests"], recent["items"].as_array().unwrap().len()), (&json!(1), 1));
    let day = usage(&token, "?from=2025-12-31&to=2025-12-31").await.expect(200);
    let expected = json!({"day": "2025-12-31", "model": "old", "kind": "chat", "requests": 1, "prompt_tokens": 5,
                          "completion_tokens": 7, "total_tokens": 12, "cached_tokens": 0, "estimated_requests": 0,
                          "unpriced_requests": 0, "cost_micros": 0});
    assert_eq!(day["items"], json!([expected]));
    assert_eq!(day["to"], "2026-01-01T00:00:00.000000Z");
    let exact = usage(&token, "?from=2025-12-31T12:00:00Z&to=2025-12-31T12:00:01Z").await.expect(200);
    assert_eq!(exact["totals"]["total_tokens"], 12);
    assert_eq!(usage(&other, "?from=2025-12-31&to=2025-12-31").await.expect(200)["items"], json!([]));
    for bad in ["?from=x", "?to=2026-13-01", "?from=2026-01-02&to=2026-01-01", "?from=2020-01-01&to=2026-01-01"] {
        assert_problem(&usage(&token, bad).await, 400);
    }
}
