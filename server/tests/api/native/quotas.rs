//! `/api/v1/users/me/quota`, `/api/v1/admin/users/{id}/quota`, and how each surface says that a quota is used up.

use reqwest::Method;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::socket::Socket;
use crate::kit::{Answer, assert_fields, assert_time, send};
use crate::support::{PASSWORD, Setup, TestServer};

/// One request a month for accounts and guests, three for editors.
const ONE: &str = r#"
[[quotas]]
scope = "account"
window = "month"
requests = 1

[[quotas]]
scope = "role:editor"
window = "month"
requests = 3
"#;

async fn say(server: &TestServer, token: &str) -> Answer {
    send(server.post("/api/v1/chat/send", &json!({"message": "Hello"})).bearer_auth(token)).await
}

async fn own(server: &TestServer, token: &str) -> Value {
    send(server.get("/api/v1/users/me/quota").bearer_auth(token)).await.expect(200)["items"].clone()
}

fn assert_over(answer: &Answer, scope: &str, detail: &str) {
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(detail.starts_with(&format!("quota exceeded ({scope}): of 1 requests per month there are 0")), "{detail}");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=31 * 86_400).contains(&seconds), "{seconds}");
    let policy = format!("\"{}-month-requests\";", scope.replace([':', '_'], "-"));
    let window = answer.header("ratelimit-policy").strip_prefix(&policy).unwrap_or_else(|| panic!("{answer:?}"));
    let days: u64 = window.strip_prefix("q=1;w=").unwrap().parse::<u64>().unwrap() / 86_400;
    assert!((28..=31).contains(&days), "{window}");
    assert_eq!(answer.header("ratelimit"), format!("{policy}r=0;t={seconds}"));
}

#[tokio::test]
async fn one_sees_what_is_left_until_when() {
    let server = Setup::new().file(ONE).start();
    let token = server.sign_up("user@example.com").await;
    let left = |items: &Value| items[0]["remaining"].as_i64().unwrap();
    let before = own(&server, &token).await;
    assert_fields(&before[0], &["scope", "window", "metric", "limit", "used", "reserved", "remaining", "resets_at"]);
    assert_time(&before[0]["resets_at"]);
    assert_eq!(left(&before), 1);
    say(&server, &token).await.expect(200);
    let after = own(&server, &token).await;
    assert_eq!((after.as_array().unwrap().len(), left(&after), &after[0]["used"]), (1, 0, &json!(1)));
    let none = Setup::new().start();
    assert_eq!(own(&none, &none.sign_up("user@example.com").await).await, json!([]));
}

#[tokio::test]
async fn every_surface_says_which_quota_is_used_up_and_stores_nothing() {
    let server = Setup::new().file(ONE).start();
    let token = server.sign_up("user@example.com").await;
    say(&server, &token).await.expect(200);
    let stored = server.count("SELECT COUNT(*) FROM messages");
    for path in ["/api/v1/chat/send", "/api/v1/chat/stream"] {
        let refused = send(server.post(path, &json!({"message": "Hello"})).bearer_auth(&token)).await;
        assert_over(&refused, "account", &assert_problem(&refused, 429));
    }
    let message_id = json!({"message": "Hello", "user_id": 7, "message_id": "m1", "message_count": 1});
    for (path, body) in [
        ("/chat", json!({"message": "Hello"})),
        ("/chat-message", message_id.clone()),
        ("/chat/send", json!({"message": "Hello"})),
        ("/api/chat", json!({"message": "Hello"})),
        ("/api/chat/stream", json!({"message": "Hello"})),
    ] {
        let refused = send(server.post(path, &body).bearer_auth(&token)).await;
        assert_over(&refused, "account", &refused.detail());
        assert_eq!(refused.header("content-type"), "application/json", "{path}");
    }
    let mut socket = Socket::open(&server, &format!("/api/chat/ws?token={token}"), &[]).await.unwrap();
    socket.send(&json!({"message": "Hello"})).await;
    let frame = socket.frame().await;
    assert_eq!((&frame["type"], &frame["code"]), (&json!("error"), &json!("quota_exceeded")));
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), stored);
    // Guests have theirs.
    assert_eq!(send(server.post("/chat-message", &message_id)).await.status, 200);
    let again = json!({"message": "Hello", "user_id": 7, "message_id": "m2", "message_count": 1});
    assert_eq!(send(server.post("/chat-message", &again)).await.status, 429);
    // What was let in already is given again.
    assert_eq!(send(server.post("/chat-message", &message_id)).await.status, 200);
}

#[tokio::test]
async fn an_admin_allows_more_takes_it_back_and_begins_a_window_anew() {
    let setup = Setup::new().file(ONE).env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD);
    let server = setup.start();
    let (admin, token) = (server.sign_in("admin@example.com").await, server.sign_up("user@example.com").await);
    let id = server.count("SELECT id FROM accounts WHERE email = 'user@example.com'");
    let path = format!("/api/v1/admin/users/{id}/quota");
    let put = |body: Value| send(server.request(Method::PUT, &path).bearer_auth(&admin).json(&body));
    say(&server, &token).await.expect(200);
    assert_eq!(say(&server, &token).await.status, 429);

    let more = json!({"quotas": [{"window": "month", "requests": 2, "tokens": 100000, "usd": "0.50"}]});
    let now = put(more).await.expect(200);
    let metrics: Vec<_> =
        now["items"].as_array().unwrap().iter().map(|item| (&item["metric"], &item["limit"])).collect();
    let micros = (&json!("micros"), &json!(500_000));
    assert_eq!(metrics, [(&json!("requests"), &json!(2)), (&json!("tokens"), &json!(100_000)), micros]);
    say(&server, &token).await.expect(200);
    assert_eq!(say(&server, &token).await.status, 429);
    assert_eq!(own(&server, &token).await, send(server.get(&path).bearer_auth(&admin)).await.expect(200)["items"]);

    let reset = |body: Value| send(server.post(&format!("{path}/reset"), &body).bearer_auth(&admin));
    assert_problem(&reset(json!({"window": "year"})).await, 400);
    assert_eq!(reset(json!({"window": "day"})).await.expect(200)["items"][0]["used"], 2);
    assert_eq!(reset(json!({})).await.expect(200)["items"][0]["used"], 0);
    say(&server, &token).await.expect(200);

    assert_eq!(send(server.delete(&path).bearer_auth(&admin)).await.status, 204);
    assert_eq!(own(&server, &token).await[0]["limit"], 1);
    assert_eq!(say(&server, &token).await.status, 429);
    send(
        server
            .request(Method::PATCH, &format!("/api/v1/admin/users/{id}"))
            .bearer_auth(&admin)
            .json(&json!({"role": "editor"})),
    )
    .await
    .expect(200);
    let token = server.sign_in("user@example.com").await;
    assert_eq!(
        (own(&server, &token).await[0]["scope"].clone(), own(&server, &token).await[0]["limit"].clone()),
        (json!("role:editor"), json!(3))
    );

    for bad in [
        json!({"quotas": [{"window": "year", "requests": 1}]}),
        json!({"quotas": [{"window": "day"}]}),
        json!({"quotas": [{"window": "day", "usd": "-1"}]}),
        json!({"quotas": [{"window": "day", "requests": 1}, {"window": "day", "tokens": 1}]}),
    ] {
        assert_problem(&put(bad).await, 400);
    }
    assert_problem(&put(json!({})).await, 400);
    assert_problem(&put(json!({"quotas": "none"})).await, 422);
    assert_problem(&send(server.get("/api/v1/admin/users/999/quota").bearer_auth(&admin)).await, 404);
    assert_problem(&send(server.get(&path).bearer_auth(&token)).await, 403);
}

#[tokio::test]
async fn a_key_has_a_quota_of_its_own_beside_its_accounts() {
    let quota = "[[quotas]]\nscope = \"api_key\"\nwindow = \"month\"\nrequests = 1\n";
    let server = Setup::new().file(quota).start();
    let token = server.sign_up("user@example.com").await;
    let made = server.post("/api/v1/api-keys", &json!({"name": "one", "scopes": ["read", "chat"]})).bearer_auth(&token);
    let made = send(made).await.expect(201);
    let key = made["key"].as_str().unwrap_or_else(|| panic!("{made}"));
    say(&server, key).await.expect(200);
    let refused = say(&server, key).await;
    assert_over(&refused, "api_key", &refused.detail());
    say(&server, &token).await.expect(200);
    say(&server, &token).await.expect(200);
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger WHERE api_key_id IS NOT NULL"), 1);
    assert_eq!(own(&server, key).await[0]["scope"], "api_key");
    assert_eq!(own(&server, &token).await, json!([]));
}
