//! `/api/v1/conversations/{id}/export`, `…/shares`, `/api/v1/shared/{token}`

use parlor_bench::fake::FakeUpstream;
use reqwest::Method;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::gated::GatedUpstream;
use crate::kit::{Answer, assert_fields, assert_time, rows, send};
use crate::support::{Setup, TestServer};

async fn say(server: &TestServer, token: &str, text: &str, conversation: Option<&str>) -> Value {
    let body = json!({"message": text, "conversation_id": conversation});
    send(server.post("/api/v1/chat/send", &body).bearer_auth(token)).await.expect(200)
}

async fn call(server: &TestServer, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = server.request(method, &format!("/api/v1{path}"));
    let request = if body.is_null() { request } else { request.json(body) };
    send(request.bearer_auth(token)).await
}

/// A server whose provider says what it is told, and a conversation with an answer given twice.
async fn talk() -> (FakeUpstream, TestServer, String, String) {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    let first = say(&server, &token, "**one**", None).await;
    let id = first["conversation_id"].as_str().unwrap().to_owned();
    let again = format!("/conversations/{id}/messages/{}/regenerate", first["message_id"].as_str().unwrap());
    call(&server, &token, Method::POST, &again, &json!({"model": "2tok"})).await.expect(200);
    (upstream, server, token, id)
}

#[tokio::test]
async fn an_export_holds_every_branch_as_json_and_the_active_one_as_markdown() {
    let (_upstream, server, token, id) = talk().await;
    let get = |format: &str| {
        let path = format!("/conversations/{id}/export{format}");
        let (server, token) = (&server, &token);
        async move { call(server, token, Method::GET, &path, &Value::Null).await }
    };
    for format in ["", "?format=json"] {
        let answer = get(format).await;
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"conversation-{id}.json\""));
        let export = answer.expect(200);
        assert_fields(&export, &["conversation", "messages", "truncated"]);
        assert_eq!((&export["conversation"]["id"], &export["truncated"]), (&json!(id), &json!(false)));
        let said: Vec<&str> =
            export["messages"].as_array().unwrap().iter().map(|m| m["content"].as_str().unwrap().trim_end()).collect();
        assert_eq!(said, ["**one**", "**one**", "word1 word2"]);
    }
    let markdown = get("?format=markdown").await;
    assert_eq!(markdown.header("content-type"), "text/markdown; charset=utf-8");
    assert_eq!(markdown.header("content-disposition"), format!("attachment; filename=\"conversation-{id}.md\""));
    assert!(markdown.body.starts_with("# **one**\n"), "{}", markdown.body);
    let at = |what: &str| markdown.body.find(what).unwrap_or_else(|| panic!("no {what} in {}", markdown.body));
    assert!(
        at("## You") < at("\n**one**\n")
            && at("\n**one**\n") < at("## Assistant (2tok")
            && at("## Assistant (2tok") < at("word1")
    );
    assert_eq!(markdown.body.matches("\n**one**\n").count(), 1);
    assert_problem(&get("?format=pdf").await, 400);
}

#[tokio::test]
async fn a_link_shows_what_was_said_when_it_was_made_and_nothing_of_whose_it_is() {
    let (_upstream, server, token, id) = talk().await;
    let made = call(&server, &token, Method::POST, &format!("/conversations/{id}/shares"), &Value::Null).await;
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.expect(201);
    assert_fields(&made, &["id", "title", "created_at", "expires_at", "token", "path"]);
    let link = made["token"].as_str().unwrap();
    assert!(link.len() >= 43, "256 bits");
    assert_eq!(made["path"], format!("/api/v1/shared/{link}"));
    say(&server, &token, "later", Some(&id)).await;
    let path = format!("/conversations/{id}");
    call(&server, &token, Method::PATCH, &path, &json!({"title": "Later"})).await.expect(200);
    let shown = send(server.get(made["path"].as_str().unwrap())).await;
    assert!(shown.header("x-robots-tag").contains("noindex"));
    assert_eq!(shown.header("cache-control"), "no-store");
    let shown = shown.expect(200);
    assert_fields(&shown, &["title", "shared_at", "expires_at", "messages"]);
    assert_eq!((&shown["title"], &shown["expires_at"]), (&json!("**one**"), &Value::Null));
    assert_time(&shown["shared_at"]);
    let messages = shown["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    assert_fields(&messages[0], &["role", "content", "created_at"]);
    assert_eq!(messages[1]["content"].as_str().unwrap().trim_end(), "word1 word2");
    let hashed = format!("SELECT COUNT(*) FROM shares WHERE token_hash = '{link}'");
    assert_eq!(server.count(&hashed), 0, "the token is stored as a hash");
    assert!(!server.log().join("\n").contains(link));
}

#[tokio::test]
async fn an_answer_that_is_being_written_is_not_shared() {
    let mut upstream = GatedUpstream::start().await;
    let server = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url()).start();
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/api/v1/chat/stream", &json!({"message": "Hi"})).bearer_auth(&token);
    let running = request.send().await.unwrap();
    let answer = upstream.call().await;
    let id = rows::text(&server, "SELECT CAST(id AS TEXT) FROM conversations");
    let made =
        call(&server, &token, Method::POST, &format!("/conversations/{id}/shares"), &json!({})).await.expect(201);
    answer.say("secret");
    answer.finish();
    running.text().await.unwrap();
    let shown = send(server.get(made["path"].as_str().unwrap())).await.expect(200);
    assert_eq!(shown["messages"].as_array().unwrap().len(), 1);
    assert_eq!(shown["messages"][0]["content"], "Hi");
}

#[tokio::test]
async fn links_that_ended_expired_or_never_were_are_the_same() {
    let (_upstream, server, token, id) = talk().await;
    let shares = format!("/conversations/{id}/shares");
    let mut made = Vec::new();
    for body in [json!({}), json!({"expires_in_days": 7}), json!({})] {
        made.push(call(&server, &token, Method::POST, &shares, &body).await.expect(201));
    }
    let list = call(&server, &token, Method::GET, &shares, &Value::Null).await.expect(200);
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    assert_fields(&items[0], &["id", "title", "created_at", "expires_at"]);
    assert_time(&items[1]["expires_at"]);
    assert_eq!(items[0]["id"], made[2]["id"]);
    let end = format!("{shares}/{}", made[0]["id"].as_str().unwrap());
    assert_eq!(call(&server, &token, Method::DELETE, &end, &Value::Null).await.status, 204);
    assert_problem(&call(&server, &token, Method::DELETE, &end, &Value::Null).await, 404);
    server.database().execute("UPDATE shares SET expires_at = 1 WHERE expires_at IS NOT NULL", []).unwrap();
    let list = call(&server, &token, Method::GET, &shares, &Value::Null).await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let get = |path: &Value| send(server.get(path.as_str().unwrap()));
    let unknown = get(&json!("/api/v1/shared/abc")).await;
    assert_problem(&unknown, 404);
    assert!(unknown.header("x-robots-tag").contains("noindex"));
    assert_eq!(get(&made[0]["path"]).await.comparable(), unknown.comparable());
    assert_eq!(get(&made[1]["path"]).await.comparable(), unknown.comparable());
    get(&made[2]["path"]).await.expect(200);
    server.database().execute("UPDATE accounts SET is_active = 0", []).unwrap();
    assert_eq!(get(&made[2]["path"]).await.comparable(), unknown.comparable(), "its owner may no longer call");
    server.database().execute("UPDATE accounts SET is_active = 1", []).unwrap();
    let gone = call(&server, &token, Method::DELETE, &format!("/conversations/{id}"), &Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(get(&made[2]["path"]).await.comparable(), unknown.comparable());
    assert_eq!(server.count("SELECT COUNT(*) FROM shares"), 0);
}

#[tokio::test]
async fn only_the_owner_makes_sees_and_ends_links() {
    let (_upstream, server, token, id) = talk().await;
    let other = server.sign_up("other@example.com").await;
    let shares = format!("/conversations/{id}/shares");
    let made = call(&server, &token, Method::POST, &shares, &json!({})).await.expect(201);
    let before = rows::rows(&server);
    for (method, rest) in [
        (Method::POST, "/shares".to_owned()),
        (Method::GET, "/shares".to_owned()),
        (Method::DELETE, format!("/shares/{}", made["id"].as_str().unwrap())),
        (Method::GET, "/export".to_owned()),
    ] {
        let theirs = call(&server, &other, method.clone(), &format!("/conversations/{id}{rest}"), &Value::Null).await;
        assert_problem(&theirs, 404);
        for none in ["1234567890123456", "x"] {
            let path = format!("/conversations/{none}{rest}");
            let nobodys = call(&server, &other, method.clone(), &path, &Value::Null).await;
            assert_eq!(nobodys.comparable(), theirs.comparable(), "{method} {rest} {none}");
        }
    }
    for days in [0, 366] {
        assert_problem(&call(&server, &token, Method::POST, &shares, &json!({"expires_in_days": days})).await, 400);
    }
    assert_problem(&call(&server, &token, Method::POST, &shares, &json!({"expires_in_days": "x"})).await, 422);
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn a_conversation_has_fifty_links_and_no_more() {
    let (_upstream, server, token, id) = talk().await;
    let shares = format!("/conversations/{id}/shares");
    for _ in 0..50 {
        call(&server, &token, Method::POST, &shares, &json!({})).await.expect(201);
    }
    assert_problem(&call(&server, &token, Method::POST, &shares, &json!({})).await, 400);
    assert_eq!(server.count("SELECT COUNT(*) FROM shares"), 50);
}
