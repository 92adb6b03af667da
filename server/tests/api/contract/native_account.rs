//! The lines of `native` on one's own account, and on administration.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, EMAIL, without};
use crate::kit::{Answer, assert_fields, assert_time, send};
use crate::support::{PASSWORD, Setup};

#[tokio::test]
async fn get_and_patch_users_me_answer_the_user() {
    let client = Client::start().await;
    let me = client.get("/api/v1/users/me").await.expect(200);
    let fields = ["id", "email", "email_verified", "username", "first_name", "last_name", "role", "created_at"];
    assert_fields(&me, &fields);
    assert_time(&me["created_at"]);
    let changed = client.call(Method::PATCH, "/api/v1/users/me", json!({"first_name": "Ada"})).await.expect(200);
    assert_eq!((&changed["first_name"], &changed["email"]), (&json!("Ada"), &json!(EMAIL)));
}

#[tokio::test]
async fn delete_users_me_erases_the_account_when_told_its_password() {
    let client = Client::start().await;
    let erase = |password: &'static str| client.call(Method::DELETE, "/api/v1/users/me", json!({"password": password}));
    erase("wrong-password").await.expect(400);
    assert_eq!(erase(PASSWORD).await.status, 204);
    client.get("/api/v1/users/me").await.expect(401);
}

#[tokio::test]
async fn get_users_me_export_answers_all_that_is_kept() {
    let client = Client::start().await;
    client.say("Hello").await;
    let export = client.get("/api/v1/users/me/export").await.expect(200);
    assert_eq!(export["account"]["email"], EMAIL);
    assert_eq!(export["conversations"][0]["messages"][0]["content"], "Hello");
    for list in ["consents", "sessions", "api_keys", "usage"] {
        assert!(export[list].is_array(), "{list}");
    }
}

#[tokio::test]
async fn get_and_put_users_me_consents_answer_what_was_agreed_to() {
    let client = Client::start().await;
    let consent = json!({"name": "terms", "version": "1", "granted": true});
    let given = client.call(Method::PUT, "/api/v1/users/me/consents", json!({"consents": [consent]})).await;
    let given = given.expect(200);
    assert_eq!(client.get("/api/v1/users/me/consents").await.expect(200), given);
    assert_fields(&given, &["consents", "history"]);
    assert_time(&given["consents"][0]["created_at"]);
    assert_eq!(without(&given["consents"][0], "created_at"), consent);
}

#[tokio::test]
async fn get_users_me_usage_answers_what_was_used() {
    let client = Client::start().await;
    let said = client.say("Hello").await;
    let usage = client.get("/api/v1/users/me/usage").await.expect(200);
    assert_eq!(usage["totals"]["requests"], 1);
    assert_eq!(usage["totals"]["total_tokens"], said["usage"]["total_tokens"]);
}

#[tokio::test]
async fn get_post_and_delete_api_keys_list_make_and_end_keys_that_work_as_bearer_tokens() {
    let client = Client::start().await;
    let made = client.post("/api/v1/api-keys", json!({"name": "n", "scopes": ["read"]})).await.expect(201);
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("pk-"));
    let listed = client.get("/api/v1/api-keys").await.expect(200);
    assert_eq!(listed["items"], json!([without(&made, "key")]));
    let by_key = async || -> Answer { send(client.server.get("/api/v1/users/me").bearer_auth(key)).await };
    assert_eq!(by_key().await.status, 200);
    let path = format!("/api/v1/api-keys/{}", made["id"].as_str().unwrap());
    assert_eq!(client.call(Method::DELETE, &path, Value::Null).await.status, 204);
    by_key().await.expect(401);
}

#[tokio::test]
async fn users_and_providers_are_for_admins() {
    let setup = Setup::new().env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD);
    let client = Client::of(setup).await;
    let admin = client.server.sign_in("admin@example.com").await;
    for path in ["/api/v1/admin/users", "/api/v1/admin/providers"] {
        client.get(path).await.expect(403);
        let listed = send(client.server.get(path).bearer_auth(&admin)).await.expect(200);
        assert!(listed["items"].is_array(), "{path}");
    }
}
