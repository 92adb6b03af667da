//! `POST /chat/send`

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::{say, sign_up};
use crate::input::table::kinds;
use crate::kit::rows::rows;
use crate::kit::{assert_fields, assert_text_id, send};
use crate::support::Setup;

#[tokio::test]
async fn a_message_is_answered_and_goes_on_in_its_conversation() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = sign_up(&server, "ada").await;
    let first = say(&server, &token, &json!({"message": "Hello there"})).await.expect(200);
    assert_fields(&first, &["conversation_id", "message", "usage"]);
    let id = assert_text_id(&first["conversation_id"]);
    assert_fields(&first["message"], &["role", "content", "attachments"]);
    assert_eq!((&first["message"]["role"], &first["message"]["attachments"]), (&json!("assistant"), &json!([])));
    assert!(first["message"]["content"].as_str().unwrap().contains("Hello there"));
    let usage = &first["usage"];
    assert_fields(usage, &["prompt_tokens", "completion_tokens", "total_tokens"]);
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert!(
        count("completion_tokens") > 0 && count("total_tokens") == count("prompt_tokens") + count("completion_tokens")
    );
    for same in [json!(id), json!(id.parse::<i64>().unwrap())] {
        let more = say(&server, &token, &json!({"content": "And now?", "conversation_id": same})).await.expect(200);
        assert_eq!(more["conversation_id"], first["conversation_id"]);
    }
    for new in [json!(null), json!("")] {
        let other = say(&server, &token, &json!({"message": "Hi", "conversation_id": new})).await.expect(200);
        assert_ne!(other["conversation_id"], first["conversation_id"]);
    }
}

#[tokio::test]
async fn what_the_answer_cost_is_in_the_ledger() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "7tok").start();
    let token = sign_up(&server, "ada").await;
    let usage = say(&server, &token, &json!({"message": "Hi"})).await.expect(200)["usage"].clone();
    assert_eq!(usage["completion_tokens"], 7);
    assert_eq!(
        server.count("SELECT prompt_tokens + completion_tokens FROM usage_ledger"),
        usage["total_tokens"].as_i64().unwrap()
    );
}

#[tokio::test]
async fn a_message_that_says_nothing_is_refused() {
    let server = Setup::new().start();
    let token = sign_up(&server, "ada").await;
    let before = rows(&server);
    let refused = say(&server, &token, &json!({"attachments": []})).await;
    assert_eq!((refused.status.as_u16(), kinds(&refused)), (422, vec!["missing".to_owned()]));
    assert_eq!(refused.json()["detail"][0]["loc"], json!(["body", "message"]));
    for (body, status) in [
        (json!({"message": null}), 422),
        (json!({"message": 5}), 422),
        (json!({"content": ["Hi"]}), 422),
        (json!({"message": " "}), 400),
        (json!({"message": "x".repeat(32_001)}), 400),
        (json!({"message": "Hi", "conversation_id": true}), 422),
    ] {
        assert_eq!(say(&server, &token, &body).await.status, status, "{body}");
    }
    assert_eq!(rows(&server), before);
    send(server.post("/chat/send", &json!({"message": "Hi"}))).await.expect(401);
}

#[tokio::test]
async fn anothers_conversation_is_as_unknown_as_none() {
    let server = Setup::new().start();
    let (ada, bob) = (sign_up(&server, "ada").await, sign_up(&server, "bob").await);
    let theirs = say(&server, &ada, &json!({"message": "Hi"})).await.expect(200)["conversation_id"].clone();
    let before = rows(&server);
    for id in [theirs, json!("1234567890123456"), json!("abc"), json!(-1)] {
        let refused = say(&server, &bob, &json!({"message": "Hi", "conversation_id": id})).await;
        assert_eq!(refused.expect(404), json!({"detail": "Conversation not found"}), "{id}");
    }
    assert_eq!(rows(&server), before);
}

#[tokio::test]
async fn attachments_are_stored_and_told_to_the_model() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "3tok").start();
    let token = sign_up(&server, "ada").await;
    let urls = json!(["https://example.com/a.png", "http://example.com/b?c=d"]);
    let first = say(&server, &token, &json!({"message": "Look", "attachments": urls})).await.expect(200);
    let told = "Look\n\nAttachments:\nhttps://example.com/a.png\nhttp://example.com/b?c=d";
    assert_eq!(upstream.requests().pop().unwrap()["messages"][1]["content"], told);
    let more = json!({"message": "And?", "conversation_id": first["conversation_id"]});
    say(&server, &token, &more).await.expect(200);
    let asked = upstream.requests().pop().unwrap();
    assert_eq!((&asked["messages"][1]["content"], &asked["messages"][3]["content"]), (&json!(told), &json!("And?")));
    let path = format!("/chat/history/{}", first["conversation_id"].as_str().unwrap());
    let history = send(server.get(&path).bearer_auth(&token)).await.expect(200);
    let attached: Vec<&Value> = history["messages"].as_array().unwrap().iter().map(|m| &m["attachments"]).collect();
    assert_eq!(attached, [&urls, &json!([]), &json!([]), &json!([])]);
    assert_eq!(history["messages"][0]["content"], "Look");
}

#[tokio::test]
async fn what_is_no_attachment_is_refused_and_changes_nothing() {
    let server = Setup::new().start();
    let token = sign_up(&server, "ada").await;
    let before = rows(&server);
    for (attachments, status) in [
        (json!(["file:///etc/passwd"]), 400),
        (json!(["data:image/png;base64,AA"]), 400),
        (json!(["javascript:alert(1)"]), 400),
        (json!(["https://example.com/\nIgnore"]), 400),
        (json!([""]), 400),
        (json!([format!("https://example.com/{}", "x".repeat(2048))]), 400),
        (json!(vec!["https://example.com"; 11]), 400),
        (json!("https://example.com"), 422),
        (json!([5]), 422),
        (json!([null]), 422),
    ] {
        let refused = say(&server, &token, &json!({"message": "Look", "attachments": attachments})).await;
        assert_eq!(refused.status, status, "{attachments}");
    }
    assert_eq!(rows(&server), before);
    say(&server, &token, &json!({"message": "Look", "attachments": null})).await.expect(200);
}

#[tokio::test]
async fn attachments_belong_to_what_a_key_stands_for() {
    let server = Setup::new().start();
    let token = sign_up(&server, "ada").await;
    let attempt = |attachments: Value| {
        let body = json!({"message": "Look", "attachments": attachments});
        send(server.post("/chat/send", &body).bearer_auth(&token).header("idempotency-key", "k"))
    };
    let first = attempt(json!(["https://example.com/a"])).await.expect(200);
    assert_eq!(attempt(json!(["https://example.com/a"])).await.expect(200), first);
    for other in
        [json!([]), json!(["https://example.com/b"]), json!(["https://example.com/a", "https://example.com/a"])]
    {
        assert_eq!(attempt(other).await.status, 422);
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 2);
}

#[tokio::test]
async fn a_provider_that_is_down_is_503_and_one_that_is_too_slow_504() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().env("PROVIDERS__MAX_RETRIES", "0").env("PROVIDERS__TOTAL_TIMEOUT_SECONDS", "1");
    let server = setup.upstream(&upstream, "3tok").start();
    let token = sign_up(&server, "ada").await;
    for (model, status) in [("err500", 503), ("hang", 504)] {
        super::prefer(&server, &token, reqwest::Method::PUT, &json!({"model": model})).await.expect(200);
        let refused = say(&server, &token, &json!({"message": "Hi"})).await;
        assert_eq!(refused.status, status, "{model}");
        assert!(!refused.detail().is_empty());
    }
}
