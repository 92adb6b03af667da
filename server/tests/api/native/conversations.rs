//! `/api/v1/conversations`: listing, searching, changing, deleting.

use reqwest::Method;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::wait::until;
use crate::kit::{Answer, assert_fields, assert_time, rows, send};
use crate::support::{Setup, TestServer};

const FIELDS: [&str; 9] = [
    "id",
    "title",
    "pinned",
    "archived",
    "message_count",
    "last_message",
    "head_message_id",
    "created_at",
    "updated_at",
];

async fn begin(server: &TestServer, token: &str, message: &str) -> String {
    let body = json!({"message": message});
    let answer = send(server.post("/api/v1/chat/send", &body).bearer_auth(token)).await.expect(200);
    answer["conversation_id"].as_str().unwrap().to_owned()
}

async fn list(server: &TestServer, token: &str, query: &str) -> Value {
    send(server.get(&format!("/api/v1/conversations{query}")).bearer_auth(token)).await.expect(200)
}

async fn patch(server: &TestServer, token: &str, id: &str, body: &Value) -> Answer {
    send(server.request(Method::PATCH, &format!("/api/v1/conversations/{id}")).json(body).bearer_auth(token)).await
}

fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_hold_every_conversation_once_pinned_ones_first() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(begin(&server, &token, &format!("number {number}")).await);
    }
    patch(&server, &token, &made[1], &json!({"pinned": true})).await.expect(200);
    let expected: Vec<String> = [1, 4, 3, 2, 0].into_iter().map(|at: usize| made[at].clone()).collect();
    let whole = list(&server, &token, "").await;
    assert_fields(&whole, &["items", "next"]);
    assert_fields(&whole["items"][0], &FIELDS);
    assert_time(&whole["items"][0]["updated_at"]);
    assert_eq!((ids(&whole), &whole["next"]), (expected.clone(), &Value::Null));
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = list(&server, &token, &query).await;
        assert!(ids(&page).len() <= 2);
        seen.extend(ids(&page));
        match page["next"].as_str() {
            None => break,
            Some(next) => query = format!("?limit=2&before={next}"),
        }
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn parameters_that_are_none_are_refused() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let long = format!("?q={}", "a".repeat(201));
    for (query, status) in [
        ("?limit=0", 400),
        ("?limit=101", 400),
        ("?before=nonsense", 400),
        (long.as_str(), 400),
        ("?limit=x", 422),
        ("?archived=maybe", 422),
    ] {
        let request = server.get(&format!("/api/v1/conversations{query}"));
        assert_problem(&send(request.bearer_auth(&token)).await, status);
    }
    assert_problem(&send(server.get("/api/v1/conversations")).await, 401);
}

#[tokio::test]
async fn a_search_finds_words_in_titles_and_messages_of_ones_own() {
    let server = Setup::new().start();
    let (mine, other) = (server.sign_up("a@example.com").await, server.sign_up("b@example.com").await);
    let fox = begin(&server, &mine, "Tell me about a curious Fox in Zürich").await;
    let tea = begin(&server, &mine, "How long does green tea steep?").await;
    begin(&server, &other, "A fox of somebody else's").await;
    // The same before the index has them, and after.
    for _ in 0..2 {
        for (query, expected) in [
            ("fox", vec![&fox]),
            ("FOX%20cur", vec![&fox]),
            ("z%C3%BCrich", vec![&fox]),
            ("Z%C3%9CRICH", vec![&fox]),
            ("zurich%20a", vec![&fox]),
            ("green%20te", vec![&tea]),
            ("fox%20tea", vec![]),
            ("reen", vec![]),
            ("%22%20NEAR%20*%20-%20(", vec![]),
            ("%2A", vec![]),
        ] {
            let found = list(&server, &mine, &format!("?q={query}")).await;
            assert_eq!(ids(&found).iter().collect::<Vec<_>>(), expected, "{query}");
        }
        all_is_indexed(&server).await;
    }
    patch(&server, &mine, &tea, &json!({"title": "Kettles"})).await.expect(200);
    assert_eq!(ids(&list(&server, &mine, "?q=kettle").await), std::slice::from_ref(&tea));
    let path = format!("/api/v1/conversations/{fox}");
    assert_eq!(send(server.delete(&path).bearer_auth(&mine)).await.status, 204);
    assert_eq!(ids(&list(&server, &mine, "?q=fox").await), Vec::<String>::new());
    let indexed = "SELECT COUNT(*) FROM message_words";
    until("what was deleted has left the index", || server.count(indexed) == 4).await;
}

/// Waits until the index of words has every message.
async fn all_is_indexed(server: &TestServer) {
    let behind = "SELECT COALESCE((SELECT MAX(message_id) FROM search_cursor), 0) < (SELECT MAX(id) FROM messages)";
    until("the index has every message", || server.count(behind) == 0).await;
}

#[tokio::test]
async fn renaming_pinning_and_archiving_change_nothing_else() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let id = begin(&server, &token, "Hello there").await;
    let path = format!("/api/v1/conversations/{id}");
    let before = send(server.get(&path).bearer_auth(&token)).await.expect(200);
    assert_fields(&before, &FIELDS);
    assert_eq!(before["title"], "Hello there");
    let renamed = patch(&server, &token, &id, &json!({"title": "  Grüße  "})).await.expect(200);
    let mut expected = before.clone();
    expected["title"] = json!("Grüße");
    assert_eq!(renamed, expected);
    let archived = patch(&server, &token, &id, &json!({"archived": true, "title": null})).await.expect(200);
    expected["archived"] = json!(true);
    assert_eq!(archived, expected);
    assert_eq!(ids(&list(&server, &token, "").await), Vec::<String>::new());
    assert_eq!(ids(&list(&server, &token, "?archived=true").await), std::slice::from_ref(&id));
    assert_eq!(patch(&server, &token, &id, &json!({})).await.expect(200), expected);
    for (body, status) in [
        (json!({"title": " "}), 400),
        (json!({"title": "x".repeat(61)}), 400),
        (json!({"title": "a\nb"}), 400),
        (json!({"pinned": "yes"}), 422),
        (json!([]), 422),
    ] {
        assert_problem(&patch(&server, &token, &id, &body).await, status);
    }
    assert_eq!(send(server.get(&path).bearer_auth(&token)).await.expect(200), expected);
}

#[tokio::test]
async fn what_is_somebody_elses_answers_like_what_is_not_there() {
    let server = Setup::new().start();
    let (mine, other) = (server.sign_up("a@example.com").await, server.sign_up("b@example.com").await);
    let id = begin(&server, &mine, "Hello").await;
    let message = server.count("SELECT MAX(id) FROM messages");
    let before = rows::rows(&server);
    let calls = [
        (Method::GET, "", Value::Null),
        (Method::PATCH, "", json!({"title": "Mine now"})),
        (Method::DELETE, "", Value::Null),
        (Method::GET, "/messages", Value::Null),
        (Method::PUT, "/head", json!({"message_id": message})),
        (Method::POST, "/messages/{m}/regenerate", json!({})),
        (Method::POST, "/messages/{m}/edit", json!({"message": "Hi"})),
        (Method::PUT, "/messages/{m}/feedback", json!({"rating": "up"})),
        (Method::DELETE, "/messages/{m}/feedback", Value::Null),
    ];
    for (method, rest, body) in calls {
        let rest = rest.replace("{m}", &message.to_string());
        let call = |id: &str| {
            let request = server.request(method.clone(), &format!("/api/v1/conversations/{id}{rest}"));
            let request = if body.is_null() { request } else { request.json(&body) };
            send(request.bearer_auth(&other))
        };
        let theirs = call(&id).await;
        assert_problem(&theirs, 404);
        for none in ["1234567890123456", "x"] {
            let nobodys = call(none).await;
            assert_eq!(nobodys.comparable(), theirs.comparable(), "{method} {rest} {none}");
        }
    }
    assert_eq!(rows::rows(&server), before);
}
