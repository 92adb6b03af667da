//! `/api/v1/admin/moderation`

use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::{Answer, assert_fields, assert_time, send};
use crate::support::{PASSWORD, Setup, TestServer};

const RULES: &str = "[[moderation_rules]]\ncategory = \"swearing\"\nwords = [\"darn\"]\n";

async fn start() -> (TestServer, String) {
    let setup = Setup::new().env("MODERATION__PROVIDER", "rules").file(RULES);
    let server = setup.env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD).start();
    let token = server.sign_in("admin@example.com").await;
    (server, token)
}

async fn block(server: &TestServer, texts: &[&str]) {
    for text in texts {
        assert_eq!(send(server.post("/chat", &json!({"message": text}))).await.status, 400);
    }
}

async fn list(server: &TestServer, admin: &str, query: &str) -> Answer {
    send(server.get(&format!("/api/v1/admin/moderation?{query}")).bearer_auth(admin)).await
}

async fn review(server: &TestServer, admin: &str, id: &str, body: &Value) -> Answer {
    send(server.post(&format!("/api/v1/admin/moderation/{id}/review"), body).bearer_auth(admin)).await
}

fn texts(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_was_blocked_is_listed_newest_first_and_page_by_page() {
    let (server, admin) = start().await;
    assert_eq!(list(&server, &admin, "").await.expect(200), json!({"items": [], "has_more": false}));
    block(&server, &["darn 1", "darn 2", "darn 3"]).await;
    let page = list(&server, &admin, "limit=2").await.expect(200);
    assert_eq!((texts(&page), &page["has_more"]), (vec!["darn 3", "darn 2"], &json!(true)));
    let first = &page["items"][0];
    assert_fields(
        first,
        &[
            "id",
            "account_id",
            "subject",
            "conversation_id",
            "message_id",
            "text",
            "source",
            "category",
            "state",
            "created_at",
            "reviewed_by",
            "reviewed_at",
        ],
    );
    assert_time(&first["created_at"]);
    assert_eq!((&first["subject"], &first["source"]), (&json!("message"), &json!("rules")));
    assert_eq!((&first["category"], &first["state"]), (&json!("swearing"), &json!("open")));
    let rest = list(&server, &admin, &format!("limit=2&before={}", page["items"][1]["id"])).await.expect(200);
    assert_eq!((texts(&rest), &rest["has_more"]), (vec!["darn 1"], &json!(false)));
    for bad in ["limit=0", "limit=101", "state=new"] {
        assert_problem(&list(&server, &admin, bad).await, 400);
    }
    assert_problem(&list(&server, &admin, "before=x").await, 422);
}

#[tokio::test]
async fn a_verdict_is_kept_with_who_gave_it_and_can_change() {
    let (server, admin) = start().await;
    block(&server, &["darn 1", "darn 2"]).await;
    let page = list(&server, &admin, "").await.expect(200);
    let id = page["items"][0]["id"].to_string();
    let reviewed = review(&server, &admin, &id, &json!({"verdict": "dismissed"})).await.expect(200);
    let admin_id = server.count("SELECT id FROM accounts WHERE email = 'admin@example.com'");
    assert_eq!((&reviewed["state"], &reviewed["reviewed_by"]), (&json!("dismissed"), &json!(admin_id)));
    assert_time(&reviewed["reviewed_at"]);
    let of_state = async |state: &str| {
        let page = list(&server, &admin, &format!("state={state}")).await.expect(200);
        texts(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((of_state("open").await, of_state("dismissed").await), (vec!["darn 1".into()], vec!["darn 2".into()]));
    review(&server, &admin, &id, &json!({"verdict": "confirmed"})).await.expect(200);
    assert_eq!(of_state("confirmed").await, ["darn 2"]);
}

#[tokio::test]
async fn a_verdict_that_is_none_and_an_event_that_is_not_there_are_refused() {
    let (server, admin) = start().await;
    block(&server, &["darn"]).await;
    let id = list(&server, &admin, "").await.expect(200)["items"][0]["id"].to_string();
    for bad in ["open", "perhaps", ""] {
        assert_problem(&review(&server, &admin, &id, &json!({"verdict": bad})).await, 400);
    }
    assert_problem(&review(&server, &admin, &id, &json!({})).await, 422);
    for unknown in ["999999", "none", "-1"] {
        assert_problem(&review(&server, &admin, unknown, &json!({"verdict": "confirmed"})).await, 404);
    }
    let user = server.sign_up("user@example.com").await;
    assert_problem(&list(&server, &user, "").await, 403);
    assert_problem(&review(&server, &user, &id, &json!({"verdict": "confirmed"})).await, 403);
    assert_eq!(server.count("SELECT COUNT(*) FROM moderation_events WHERE state = 'open'"), 1);
}

#[tokio::test]
async fn what_was_blocked_goes_with_its_account() {
    let (server, _) = start().await;
    let user = server.sign_up("user@example.com").await;
    let blocked = send(server.post("/api/v1/chat/send", &json!({"message": "darn"})).bearer_auth(&user)).await;
    assert_problem_code(&blocked);
    let body = json!({"password": PASSWORD});
    let gone = server.request(reqwest::Method::DELETE, "/api/v1/users/me").bearer_auth(&user).json(&body);
    assert!(send(gone).await.status.is_success());
    assert_eq!(server.count("SELECT COUNT(*) FROM moderation_events"), 0);
}

fn assert_problem_code(answer: &Answer) {
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.expect(400);
    assert_fields(&problem, &["type", "title", "status", "detail", "code"]);
    assert_eq!(problem["code"], "content_filter");
}
