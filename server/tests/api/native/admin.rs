//! `/api/v1/admin/…`

use parlor_bench::fake::FakeUpstream;
use reqwest::Method;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::gated::GatedUpstream;
use crate::kit::socket::Socket;
use crate::kit::{Answer, assert_fields, assert_time, rows, send, wait};
use crate::support::{PASSWORD, Setup, TestServer};

/// A server with an admin, and the admin's token.
async fn start(setup: Setup) -> (TestServer, String) {
    let server = setup.env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD).start();
    let token = server.sign_in("admin@example.com").await;
    (server, token)
}

fn id_of(server: &TestServer, email: &str) -> i64 {
    server.count(&format!("SELECT id FROM accounts WHERE email = '{email}'"))
}

async fn list(server: &TestServer, admin: &str, query: &str) -> Answer {
    send(server.get(&format!("/api/v1/admin/users?{query}")).bearer_auth(admin)).await
}

async fn change(server: &TestServer, admin: &str, id: i64, body: &Value) -> Answer {
    send(server.request(Method::PATCH, &format!("/api/v1/admin/users/{id}")).bearer_auth(admin).json(body)).await
}

fn emails(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["email"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn accounts_are_listed_newest_first_and_page_by_page() {
    let (server, admin) = start(Setup::new()).await;
    for name in ["anna", "ben", "cara"] {
        server.sign_up(&format!("{name}@example.com")).await;
    }
    send(server.post("/chat", &json!({"message": "Hi"}))).await.expect(200);
    let page = list(&server, &admin, "limit=3").await.expect(200);
    assert_fields(&page, &["items", "has_more"]);
    assert_fields(&page["items"][0], &["id", "email", "username", "role", "is_active", "created_at"]);
    assert_time(&page["items"][0]["created_at"]);
    assert_eq!(emails(&page), ["cara@example.com", "ben@example.com", "anna@example.com"]);
    assert_eq!(page["has_more"], true);
    let last = page["items"][2]["id"].as_i64().unwrap();
    let rest = list(&server, &admin, &format!("limit=3&before={last}")).await.expect(200);
    assert_eq!((emails(&rest), &rest["has_more"]), (vec!["admin@example.com"], &json!(false)));
    let one = send(server.get(&format!("/api/v1/admin/users/{last}")).bearer_auth(&admin)).await.expect(200);
    assert_eq!(one, page["items"][2]);
}

#[tokio::test]
async fn accounts_are_found_by_name_role_and_state() {
    let (server, admin) = start(Setup::new()).await;
    for name in ["anna", "hannah", "a_b"] {
        server.sign_up(&format!("{name}@example.com")).await;
    }
    send(server.post("/chat", &json!({"message": "Hi"}))).await.expect(200);
    change(&server, &admin, id_of(&server, "anna@example.com"), &json!({"is_active": false})).await.expect(200);
    let found = async |query: &str| {
        let page = list(&server, &admin, query).await.expect(200);
        emails(&page).into_iter().map(|email| email.split('@').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("q=ANNA").await, ["hannah", "anna"]);
    assert_eq!(found("q=_").await, ["a_b"], "what is searched for is no pattern");
    assert_eq!(found("q=%25").await, Vec::<String>::new());
    assert_eq!(found("q=anna&active=true").await, ["hannah"]);
    assert_eq!(found("active=false").await, ["anna"]);
    assert_eq!(found("role=admin").await, ["admin"]);
    let guests = list(&server, &admin, "role=guest").await.expect(200);
    assert_eq!(guests["items"][0]["username"], "default_user");
    for bad in ["limit=0", "limit=101", "role=king", "active=perhaps", &format!("q={}", "x".repeat(255))] {
        assert_problem(&list(&server, &admin, bad).await, 400);
    }
    for bad in ["limit=x", "before=x"] {
        assert_problem(&list(&server, &admin, bad).await, 422);
    }
}

#[tokio::test]
async fn a_changed_role_acts_and_ends_what_was_issued_before() {
    let (server, admin) = start(Setup::new()).await;
    let old = server.sign_up("user@example.com").await;
    let login = json!({"username": "user@example.com", "password": PASSWORD});
    let pair = send(server.post("/api/v1/auth/login", &login)).await.expect(200);
    let id = id_of(&server, "user@example.com");
    let changed = change(&server, &admin, id, &json!({"role": "admin"})).await.expect(200);
    assert_eq!(changed["role"], "admin");
    send(server.get("/api/users/me").bearer_auth(&old)).await.expect(401);
    let refresh = json!({"refresh_token": pair["refresh_token"]});
    assert_problem(&send(server.post("/api/v1/auth/refresh", &refresh)).await, 401);
    let new = server.sign_in("user@example.com").await;
    list(&server, &new, "").await.expect(200);
    let same = change(&server, &admin, id, &json!({"role": "admin", "is_active": true})).await.expect(200);
    assert_eq!(same, changed);
    list(&server, &new, "").await.expect(200);
}

#[tokio::test]
async fn a_deactivated_account_is_out_until_it_is_reactivated() {
    let (server, admin) = start(Setup::new()).await;
    let token = server.sign_up("user@example.com").await;
    let id = id_of(&server, "user@example.com");
    let out = change(&server, &admin, id, &json!({"is_active": false})).await.expect(200);
    assert_eq!(out["is_active"], false);
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(401);
    change(&server, &admin, id, &json!({"is_active": true})).await.expect(200);
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(401);
    let token = server.sign_in("user@example.com").await;
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(200);
}

#[tokio::test]
async fn an_open_socket_ends_at_once_with_a_word_of_why() {
    let (server, admin) = start(Setup::new()).await;
    let token = server.sign_up("user@example.com").await;
    let other = server.sign_up("other@example.com").await;
    let mut socket = Socket::open(&server, &format!("/api/chat/ws?token={token}"), &[]).await.unwrap();
    let mut unharmed = Socket::open(&server, &format!("/api/chat/ws?token={other}"), &[]).await.unwrap();
    change(&server, &admin, id_of(&server, "user@example.com"), &json!({"is_active": false})).await.expect(200);
    let frame = socket.frame().await;
    assert_eq!((&frame["type"], &frame["code"]), (&json!("error"), &json!("unauthenticated")));
    assert_eq!(u16::from(socket.closed().await.unwrap().code), 1008);
    unharmed.send(&json!({"message": "Hi"})).await;
    assert_eq!(unharmed.answer().await.last().unwrap()["type"], "done");
}

#[tokio::test]
async fn an_open_stream_ends_with_an_error_and_its_answer_is_still_stored() {
    let mut upstream = GatedUpstream::start().await;
    let setup = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url());
    let (server, admin) = start(setup).await;
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/api/chat/stream", &json!({"message": "Hi"})).bearer_auth(&token);
    let response = request.send().await.unwrap();
    let call = upstream.call().await;
    call.say("one ");
    change(&server, &admin, id_of(&server, "user@example.com"), &json!({"role": "editor"})).await.expect(200);
    let body = response.text().await.unwrap();
    let last = body.split("\n\n").filter(|block| !block.is_empty()).last().unwrap();
    assert!(last.starts_with("event: error\n") && last.contains("\"code\":\"unauthenticated\""), "{body}");
    call.say("two");
    call.finish();
    let stored = "SELECT COUNT(*) FROM turns WHERE state = 'complete'";
    wait::until("the answer is stored", || server.count(stored) == 1).await;
    assert_eq!(rows::text(&server, "SELECT content FROM messages WHERE role = 'assistant'"), "one two");
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_behind_but_what_it_used() {
    let (server, admin) = start(Setup::new()).await;
    let token = server.sign_up("user@example.com").await;
    send(server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&token)).await.expect(200);
    let path = format!("/api/v1/admin/users/{}", id_of(&server, "user@example.com"));
    let gone = send(server.delete(&path).bearer_auth(&admin)).await;
    assert_eq!((gone.status.as_u16(), gone.body.as_str()), (204, ""));
    for table in ["conversations", "messages", "turns"] {
        assert_eq!(server.count(&format!("SELECT COUNT(*) FROM {table}")), 0, "{table}");
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger"), 1);
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(401);
    assert_problem(&send(server.delete(&path).bearer_auth(&admin)).await, 404);
}

#[tokio::test]
async fn a_running_answer_of_a_deleted_account_stops() {
    let upstream = FakeUpstream::start().await;
    let (server, admin) = start(Setup::new().upstream(&upstream, "9tok-stall3")).await;
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/api/chat/stream", &json!({"message": "Hi"})).bearer_auth(&token);
    let response = request.send().await.unwrap();
    wait::until("the provider is asked", || upstream.open() == 1).await;
    let path = format!("/api/v1/admin/users/{}", id_of(&server, "user@example.com"));
    assert_eq!(send(server.delete(&path).bearer_auth(&admin)).await.status, 204);
    assert!(!response.text().await.unwrap().contains("event: done"));
    wait::until("the provider is left", || upstream.aborted() == 1).await;
}

#[tokio::test]
async fn an_admin_can_neither_lock_out_nor_delete_the_last_one_nor_oneself() {
    let (server, admin) = start(Setup::new()).await;
    let own = id_of(&server, "admin@example.com");
    let refused = assert_problem(&change(&server, &admin, own, &json!({"is_active": false})).await, 409);
    assert!(refused.contains("yourself"), "{refused}");
    assert_problem(&change(&server, &admin, own, &json!({"role": "user"})).await, 409);
    let path = format!("/api/v1/admin/users/{own}");
    assert_problem(&send(server.delete(&path).bearer_auth(&admin)).await, 409);
    list(&server, &admin, "").await.expect(200);
    let refused = server.run(&["user", "deactivate", "admin@example.com"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("last active admin"));
}

#[tokio::test]
async fn what_makes_no_sense_changes_nothing() {
    let (server, admin) = start(Setup::new()).await;
    send(server.post("/chat", &json!({"message": "Hi"}))).await.expect(200);
    server.sign_up("user@example.com").await;
    let (guest, user) =
        (server.count("SELECT id FROM accounts WHERE role = 'guest'"), id_of(&server, "user@example.com"));
    assert_problem(&change(&server, &admin, guest, &json!({"role": "admin"})).await, 400);
    assert_problem(&change(&server, &admin, user, &json!({"role": "guest"})).await, 400);
    assert_problem(&change(&server, &admin, user, &json!({"role": "king"})).await, 400);
    assert_problem(&change(&server, &admin, user, &json!({"role": 5})).await, 422);
    assert_problem(&change(&server, &admin, user, &json!({"is_active": "no"})).await, 422);
    assert_problem(&change(&server, &admin, 999_999, &json!({"role": "user"})).await, 404);
    let path = "/api/v1/admin/users/x";
    assert_problem(&send(server.get(path).bearer_auth(&admin)).await, 404);
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts WHERE token_version <> 0 OR is_active = 0"), 0);
}

#[tokio::test]
async fn nobody_but_admins_is_let_in() {
    let (server, _) = start(Setup::new()).await;
    let user = server.sign_up("user@example.com").await;
    for path in ["/api/v1/admin/users", "/api/v1/admin/users/1", "/api/v1/admin/users/x", "/api/v1/admin/providers"] {
        assert_problem(&send(server.get(path)).await, 401);
        let refused = send(server.get(path).bearer_auth(&user)).await;
        assert_eq!(assert_problem(&refused, 403), "Not enough permissions");
    }
}

#[tokio::test]
async fn the_providers_are_shown_as_health_shows_them() {
    let (server, admin) = start(Setup::new()).await;
    let shown = send(server.get("/api/v1/admin/providers").bearer_auth(&admin)).await.expect(200);
    let health = send(server.get("/health")).await.expect(200);
    let (item, check) = (&shown["items"][0], &health["checks"]["providers"][0]);
    for field in ["name", "model", "breaker", "last_error"] {
        assert_eq!(item[field], check[field], "{field}");
    }
    assert_eq!((&item["in_flight"], &item["usual_start_ms"], &item["keys"]), (&json!(0), &Value::Null, &json!(0)));
    assert!(item["breaker_seconds"].is_u64() && item["keys_resting"] == 0);
}
