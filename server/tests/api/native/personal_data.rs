//! `GET /api/v1/users/me/export`

use reqwest::Method;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::form::uploaded;
use crate::kit::{Answer, assert_fields, assert_time, send};
use crate::support::{PASSWORD, Setup, TestServer};

const FIELDS: [&str; 10] = [
    "exported_at",
    "account",
    "preferences",
    "consents",
    "sessions",
    "api_keys",
    "files",
    "usage",
    "blocked",
    "conversations",
];

async fn call(server: &TestServer, token: &str, method: Method, path: &str, body: Value) -> Answer {
    send(server.request(method, path).json(&body).bearer_auth(token)).await
}

async fn export(server: &TestServer, token: &str) -> Answer {
    send(server.get("/api/v1/users/me/export").bearer_auth(token)).await
}

async fn say(server: &TestServer, token: &str, text: &str) -> Value {
    call(server, token, Method::POST, "/api/v1/chat/send", json!({"message": text})).await.expect(200)
}

fn list<'a>(of: &'a Value, field: &str) -> &'a Vec<Value> {
    of[field].as_array().unwrap_or_else(|| panic!("no list {field} in {of}"))
}

#[tokio::test]
async fn who_has_done_nothing_gets_a_document_with_empty_lists() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let answer = export(&server, &token).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"parlor-export.json\"");
    assert_eq!(answer.header("cache-control"), "no-store");
    let document = answer.expect(200);
    assert_fields(&document, &FIELDS);
    assert_time(&document["exported_at"]);
    assert_eq!(document["account"]["email"], "user@example.com");
    for field in ["consents", "api_keys", "files", "usage", "blocked", "conversations"] {
        assert_eq!(document[field], json!([]), "{field}");
    }
    assert_eq!(list(&document, "sessions").len(), 1);
}

#[tokio::test]
async fn everything_that_is_kept_of_a_person_is_in_it_and_nothing_of_others() {
    let server = Setup::new().start();
    let other = server.sign_up("other@example.com").await;
    say(&server, &other, "something of the other's").await;
    let token = server.sign_up("user@example.com").await;
    call(&server, &token, Method::PUT, "/users/preferences", json!({"temperature": 0.2})).await.expect(200);
    let consents = json!({"consents": [{"name": "terms", "version": "1", "granted": true}]});
    call(&server, &token, Method::PUT, "/api/v1/users/me/consents", consents).await.expect(200);
    let key = json!({"name": "My program", "scopes": ["read"]});
    let key = call(&server, &token, Method::POST, "/api/v1/api-keys", key).await.expect(201);
    uploaded(&server, &token, "notes.txt", b"some notes").await;
    let said = say(&server, &token, "something of mine").await;
    let (conversation, message) = (said["conversation_id"].as_str().unwrap(), said["message_id"].as_str().unwrap());
    let path = format!("/api/v1/conversations/{conversation}");
    let of_message = format!("{path}/messages/{message}");
    call(&server, &token, Method::POST, &format!("{of_message}/regenerate"), json!({})).await.expect(200);
    let rating = json!({"rating": "up", "comment": "good"});
    call(&server, &token, Method::PUT, &format!("{of_message}/feedback"), rating).await.expect(200);
    let share = call(&server, &token, Method::POST, &format!("{path}/shares"), json!({})).await.expect(201);

    let answer = export(&server, &token).await;
    let document = answer.expect(200);
    assert_eq!(document["preferences"]["temperature"], 0.2);
    assert_eq!(document["consents"][0]["name"], "terms");
    assert_eq!((&document["api_keys"][0]["name"], list(&document, "api_keys").len()), (&json!("My program"), 1));
    assert_eq!((&document["files"][0]["name"], list(&document, "files").len()), (&json!("notes.txt"), 1));
    let usage = list(&document, "usage");
    assert_eq!(usage.len(), 2);
    assert_eq!((&usage[0]["kind"], &usage[0]["conversation_id"]), (&json!("chat"), &json!(conversation)));
    assert_eq!(list(&document, "conversations").len(), 1);
    let kept = &document["conversations"][0];
    assert_eq!(kept["id"], conversation);
    assert_eq!(kept["shares"][0]["id"], share["id"]);
    // The question, and both versions of the answer.
    let messages = list(kept, "messages");
    let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "assistant"]);
    assert_eq!(messages[1]["feedback"]["comment"], "good");
    assert_eq!(messages[2]["parent_id"], messages[0]["id"]);

    for secret in [key["key"].as_str().unwrap(), share["token"].as_str().unwrap(), &token, PASSWORD, "$2", "hash"] {
        assert!(!answer.body.contains(secret), "{secret} in {}", answer.body);
    }
    assert!(!answer.body.contains("other"), "{}", answer.body);
}

/// Adds what no test could say in time.
fn add_rows(server: &TestServer, conversations: i64, messages: i64) {
    let database = server.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 1..=conversations {
        database
            .execute(
                "INSERT INTO conversations (id, account_id, created_at, updated_at) VALUES (?1, 1, ?1, ?1)",
                [number],
            )
            .unwrap();
    }
    for number in 1..=messages {
        let sql = "INSERT INTO messages (conversation_id, role, content, tokens, created_at, updated_at) \
                   VALUES (7, 'user', 'number ' || ?1, 1, ?1, ?1)";
        database.execute(sql, [number]).unwrap();
        let sql = "INSERT INTO usage_ledger (account_id, kind, model, prompt_tokens, completion_tokens, is_estimated, created_at) \
                   VALUES (1, 'chat', 'm', ?1, 0, 0, ?1 / 3)";
        database.execute(sql, [number]).unwrap();
    }
    database.execute_batch("COMMIT").unwrap();
}

#[tokio::test]
async fn what_takes_many_readings_comes_whole_and_in_order() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    add_rows(&server, 120, 1100);
    let document = export(&server, &token).await.expect(200);
    let ids: Vec<String> = (1..=120).map(|id: i64| id.to_string()).collect();
    let conversations = list(&document, "conversations");
    assert_eq!(conversations.iter().map(|one| one["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    let texts: Vec<String> = (1..=1100).map(|number| format!("number {number}")).collect();
    let messages = list(&conversations[6], "messages");
    assert_eq!(messages.iter().map(|one| one["content"].as_str().unwrap()).collect::<Vec<_>>(), texts);
    assert_eq!(conversations[7]["messages"], json!([]));
    let tokens = list(&document, "usage").iter().map(|row| row["prompt_tokens"].as_i64().unwrap());
    assert_eq!(tokens.collect::<Vec<_>>(), (1..=1100).collect::<Vec<i64>>());
}

#[tokio::test]
async fn nobody_and_a_key_without_the_scope_get_none() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    assert_problem(&send(server.get("/api/v1/users/me/export")).await, 401);
    let body = json!({"name": "My program", "scopes": ["read", "chat"]});
    let key = call(&server, &token, Method::POST, "/api/v1/api-keys", body).await.expect(201);
    let refused = export(&server, key["key"].as_str().unwrap()).await;
    assert_eq!(assert_problem(&refused, 403), "This API key lacks the scope account");
}

#[tokio::test]
async fn what_moderation_blocked_of_a_person_is_in_it_page_by_page() {
    const RULES: &str = "[[moderation_rules]]\ncategory = \"swearing\"\nwords = [\"darn\"]\n";
    let server = Setup::new().env("MODERATION__PROVIDER", "rules").file(RULES).start();
    let (other, token) = (server.sign_up("other@example.com").await, server.sign_up("user@example.com").await);
    for (token, text) in [(&other, "darn others"), (&token, "darn mine")] {
        call(&server, token, Method::POST, "/api/v1/chat/send", json!({"message": text})).await.expect(400);
    }
    {
        let database = server.database();
        for number in 0..60 {
            let sql = "INSERT INTO moderation_events (account_id, subject, content, source, category, created_at) \
                       SELECT account_id, subject, ?1, source, category, created_at FROM moderation_events \
                       WHERE content = 'darn mine'";
            database.execute(sql, [format!("again {number}")]).unwrap();
        }
    }
    let document = export(&server, &token).await.expect(200);
    let blocked = list(&document, "blocked");
    let first = &blocked[0];
    assert_eq!((&first["content"], &first["category"]), (&json!("darn mine"), &json!("swearing")));
    assert_eq!((&first["subject"], &first["state"]), (&json!("message"), &json!("open")));
    assert_time(&first["created_at"]);
    assert_eq!((blocked.len(), &blocked[60]["content"]), (61, &json!("again 59")));
}
