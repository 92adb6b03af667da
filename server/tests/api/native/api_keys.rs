//! `/api/v1/api-keys`, and calling with a key.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::{Answer, assert_fields, assert_text_id, assert_time, rows, send};
use crate::support::{Setup, TestServer};

async fn make(server: &TestServer, token: &str, body: &Value) -> Answer {
    send(server.post("/api/v1/api-keys", body).bearer_auth(token)).await
}

async fn key(server: &TestServer, token: &str, scopes: &[&str]) -> String {
    let made = make(server, token, &json!({"name": "test", "scopes": scopes})).await.expect(201);
    made["key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_is_shown_once_and_stored_as_a_hash() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let body = json!({"name": " My program ", "scopes": ["chat", "read"], "expires_at": "2999-01-31T13:00:00+01:00"});
    let answer = make(&server, &token, &body).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let made = answer.expect(201);
    assert_fields(&made, &["id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "key"]);
    assert_text_id(&made["id"]);
    assert_time(&made["created_at"]);
    assert_eq!((&made["name"], &made["scopes"]), (&json!("My program"), &json!(["read", "chat"])));
    assert_eq!(made["expires_at"], "2999-01-31T12:00:00.000000Z");
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with(made["prefix"].as_str().unwrap()) && key.len() == 46, "{key}");

    let listed = send(server.get("/api/v1/api-keys").bearer_auth(&token)).await;
    assert!(!listed.body.contains(key));
    let items = listed.expect(200)["items"].clone();
    assert_fields(&items[0], &["id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at"]);
    assert_eq!(items[0]["id"], made["id"]);
    let stored = rows::text(&server, "SELECT name || prefix || key_hash || scopes FROM api_keys");
    assert!(!stored.contains(&key[12..]), "{stored}");
    assert!(!server.log().join("\n").contains(&key[12..]));
}

#[tokio::test]
async fn a_key_works_wherever_a_token_does() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    let key = key(&server, &token, &["read", "chat"]).await;
    let sent = send(server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&key)).await.expect(200);
    let id: i64 = sent["session_id"].as_str().unwrap().parse().unwrap();
    let by_token = send(server.get(&format!("/conversations/{id}/full")).bearer_auth(&token)).await;
    let by_key = send(server.get(&format!("/conversations/{id}/full")).bearer_auth(&key)).await;
    by_key.expect(200);
    assert_eq!(by_key.comparable(), by_token.comparable());
    send(server.post("/chat", &json!({"message": "Hi", "conversation_id": id})).bearer_auth(&key)).await.expect(200);
    let message = sent["message_id"].as_str().unwrap();
    let stream = send(server.get(&format!("/api/v1/chat/messages/{message}/stream")).bearer_auth(&key)).await;
    assert_eq!(stream.status, 200);
    send(server.get("/api/users/me").bearer_auth(&key)).await.expect(200);
}

#[tokio::test]
async fn a_key_without_the_scope_is_refused() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let sent = send(server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&token)).await.expect(200);
    let id: i64 = sent["session_id"].as_str().unwrap().parse().unwrap();
    let (reader, writer) = (key(&server, &token, &["read"]).await, key(&server, &token, &["chat"]).await);
    let before = server.count("SELECT COUNT(*) FROM messages");
    for path in ["/api/chat", "/api/chat/stream", "/chat"] {
        let refused = send(server.post(path, &json!({"message": "Hi"})).bearer_auth(&reader)).await;
        assert_eq!((refused.status.as_u16(), refused.detail().as_str()), (403, "This API key lacks the scope chat"));
    }
    send(server.delete(&format!("/conversations/{id}")).bearer_auth(&reader)).await.expect(403);
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), before);
    for path in ["/api/history".to_owned(), format!("/conversations/{id}/full"), "/api/users/me".to_owned()] {
        send(server.get(&path).bearer_auth(&writer)).await.expect(403);
    }
    let message = sent["message_id"].as_str().unwrap();
    let stream = send(server.get(&format!("/api/v1/chat/messages/{message}/stream")).bearer_auth(&writer)).await;
    assert_eq!(assert_problem(&stream, 403), "This API key lacks the scope read");
}

#[tokio::test]
async fn only_a_key_with_the_scope_account_reaches_keys_and_gives_no_more_than_it_has() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    for scopes in [&["read", "chat"][..], &["admin"][..]] {
        let key = key(&server, &token, scopes).await;
        assert_problem(&send(server.get("/api/v1/api-keys").bearer_auth(&key)).await, 403);
        assert_problem(&make(&server, &key, &json!({"name": "n", "scopes": ["read"]})).await, 403);
        assert_problem(&send(server.delete("/api/v1/api-keys/1").bearer_auth(&key)).await, 403);
    }
    let account = key(&server, &token, &["account"]).await;
    send(server.get("/api/v1/api-keys").bearer_auth(&account)).await.expect(200);
    make(&server, &account, &json!({"name": "n", "scopes": ["read", "account"]})).await.expect(201);
    assert_problem(&make(&server, &account, &json!({"name": "n", "scopes": ["admin"]})).await, 403);
    assert_eq!(server.count("SELECT COUNT(*) FROM api_keys"), 4);
}

#[tokio::test]
async fn a_deleted_expired_or_deactivated_key_opens_nothing_at_once() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let me = |key: &str| send(server.get("/api/users/me").bearer_auth(key));
    let unknown = me("pk-unknown").await;
    unknown.expect(401);
    assert_eq!(unknown.header("www-authenticate"), "Bearer");

    let deleted = make(&server, &token, &json!({"name": "n", "scopes": ["read"]})).await.expect(201);
    let path = format!("/api/v1/api-keys/{}", deleted["id"].as_str().unwrap());
    let answer = send(server.delete(&path).bearer_auth(&token)).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
    assert_eq!(me(deleted["key"].as_str().unwrap()).await.comparable(), unknown.comparable());

    let key = key(&server, &token, &["read"]).await;
    me(&key).await.expect(200);
    server.database().execute("UPDATE api_keys SET expires_at = created_at", []).unwrap();
    assert_eq!(me(&key).await.comparable(), unknown.comparable());
    server.database().execute("UPDATE api_keys SET expires_at = NULL", []).unwrap();
    me(&key).await.expect(200);
    server.database().execute("UPDATE accounts SET is_active = 0", []).unwrap();
    assert_eq!(me(&key).await.comparable(), unknown.comparable());
}

#[tokio::test]
async fn a_keys_use_is_noted_at_most_once_a_minute() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let key = key(&server, &token, &["read"]).await;
    let use_it = || send(server.get("/api/users/me").bearer_auth(&key));
    let noted = || server.count("SELECT COALESCE(last_used_at, 0) FROM api_keys");
    assert_eq!(noted(), 0);
    use_it().await.expect(200);
    let first = noted();
    assert!(first > 0);
    // An hour ahead: no use of this hour is worth a write.
    server.database().execute("UPDATE api_keys SET last_used_at = last_used_at + 3600000000", []).unwrap();
    use_it().await.expect(200);
    assert_eq!(noted(), first + 3_600_000_000);
    server.database().execute("UPDATE api_keys SET last_used_at = created_at - 60000000", []).unwrap();
    use_it().await.expect(200);
    assert!(noted() >= first);
}

#[tokio::test]
async fn a_strangers_key_looks_like_none() {
    let server = Setup::new().start();
    let (one, two) = (server.sign_up("one@example.com").await, server.sign_up("two@example.com").await);
    let made = make(&server, &one, &json!({"name": "n", "scopes": ["read"]})).await.expect(201);
    let unknown = send(server.delete("/api/v1/api-keys/999999").bearer_auth(&two)).await;
    assert_eq!(assert_problem(&unknown, 404), "API key not found");
    for id in [made["id"].as_str().unwrap(), "0", "abc", "-1"] {
        let refused = send(server.delete(&format!("/api/v1/api-keys/{id}")).bearer_auth(&two)).await;
        assert_eq!(refused.comparable(), unknown.comparable(), "{id}");
    }
    assert_eq!(send(server.get("/api/v1/api-keys").bearer_auth(&two)).await.expect(200)["items"], json!([]));
    assert_eq!(server.count("SELECT COUNT(*) FROM api_keys"), 1);
    assert_problem(&send(server.get("/api/v1/api-keys")).await, 401);
}

#[tokio::test]
async fn a_key_that_breaks_a_rule_is_refused() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let long = "x".repeat(101);
    for body in [
        json!({"name": "", "scopes": ["read"]}),
        json!({"name": long, "scopes": ["read"]}),
        json!({"name": "a\u{0}", "scopes": ["read"]}),
        json!({"name": "n", "scopes": []}),
        json!({"name": "n", "scopes": ["root"]}),
        json!({"name": "n", "scopes": ["read"], "expires_at": "tomorrow"}),
        json!({"name": "n", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"}),
    ] {
        assert_problem(&make(&server, &token, &body).await, 400);
    }
    assert_problem(&make(&server, &token, &json!({"name": "n"})).await, 422);
    assert_problem(&make(&server, &token, &json!({"name": "n", "scopes": "read"})).await, 422);
    assert_eq!(server.count("SELECT COUNT(*) FROM api_keys"), 0);
}

#[tokio::test]
async fn an_account_has_fifty_keys_at_most_even_when_asked_at_once() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let body = json!({"name": "n", "scopes": ["read"]});
    let answers = futures_util::future::join_all((0..55).map(|_| make(&server, &token, &body))).await;
    let full: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 201).collect();
    assert_eq!(full.len(), 5);
    full.into_iter().for_each(|answer| drop(assert_problem(answer, 409)));
    assert_eq!(server.count("SELECT COUNT(*) FROM api_keys"), 50);
}

#[tokio::test]
async fn an_admins_key_is_an_ordinary_user_unless_scoped_admin() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    server.database().execute("UPDATE accounts SET role = 'admin'", []).unwrap();
    for (scopes, role) in [(&["read"][..], "user"), (&["admin"][..], "admin")] {
        let key = key(&server, &token, scopes).await;
        let me = send(server.get("/api/v1/users/me").bearer_auth(&key)).await.expect(200);
        assert_eq!(me["role"], role);
    }
}
