//! Moderation, in every dialect: what is blocked reaches nobody but the admins' list.

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use crate::kit::socket::Socket;
use crate::kit::{Answer, send};
use crate::support::{Setup, TestServer, events};

const RULES: &str = r#"
[[moderation_rules]]
category = "swearing"
words = ["darn"]
patterns = ['s3cr[e3]t', 'word7\b']
"#;

fn by_rules(upstream: &FakeUpstream) -> Setup {
    Setup::new().upstream(upstream, "mock-0ms-20tok").env("MODERATION__PROVIDER", "rules").file(RULES)
}

fn by_openai(upstream: &FakeUpstream, model: &str) -> Setup {
    Setup::new().upstream(upstream, "mock-echo").env("MODERATION__PROVIDER", "openai").env("MODERATION__MODEL", model)
}

async fn chat(server: &TestServer, message: &str) -> Answer {
    send(server.post("/chat", &json!({"message": message}))).await
}

fn nothing_is_stored(server: &TestServer) {
    for table in ["messages", "turns", "conversations", "idempotency_keys"] {
        assert_eq!(server.count(&format!("SELECT COUNT(*) FROM {table}")), 0, "{table}");
    }
}

#[tokio::test]
async fn a_blocked_call_of_the_gateway_is_400_in_openais_shape_and_goes_to_no_provider() {
    let upstream = FakeUpstream::start().await;
    let server = by_rules(&upstream).start();
    let token = server.sign_up("user@example.com").await;
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": "oh DARN it"}]}, {"role": "assistant", "content": "Well"},
        {"role": "user", "content": "Hello"}]);
    for (path, body) in [
        ("/v1/chat/completions", json!({"model": "mock-0ms-20tok", "messages": messages})),
        ("/v1/chat/completions", json!({"model": "mock-0ms-20tok", "messages": messages, "stream": true})),
        ("/v1/responses", json!({"model": "mock-0ms-20tok", "input": "oh DARN it"})),
    ] {
        let refusal = send(server.post(path, &body).bearer_auth(&token)).await.expect(400);
        assert_eq!(refusal["error"]["code"], "content_filter", "{path}");
    }
    assert_eq!(upstream.chat_calls(), 0);
    assert_eq!(server.count("SELECT COUNT(*) FROM moderation_events"), 3);
    // What the program itself says is not judged.
    let system = json!({"model": "mock-0ms-20tok", "messages": [{"role": "system", "content": "darn"}, {"role": "user", "content": "Hi"}]});
    send(server.post("/v1/chat/completions", &system).bearer_auth(&token)).await.expect(200);
}

#[tokio::test]
async fn a_blocked_message_is_400_in_every_dialect_and_goes_to_no_provider() {
    let upstream = FakeUpstream::start().await;
    let server = by_rules(&upstream).start();
    let token = server.sign_up("user@example.com").await;
    let text = "oh DARN it";
    let guest = json!({"message": text, "user_id": 7, "message_id": "m1", "message_count": 1});
    for (path, body) in [
        ("/chat", json!({"message": text})),
        ("/chat-message", guest),
        ("/chat/send", json!({"message": text})),
        ("/api/chat", json!({"message": text})),
        ("/api/chat/stream", json!({"message": text})),
        ("/api/v1/chat/send", json!({"message": text})),
        ("/api/v1/chat/stream", json!({"message": text})),
    ] {
        let request = server.post(path, &body);
        let is_guests = path == "/chat" || path == "/chat-message";
        let answer = send(if is_guests { request } else { request.bearer_auth(&token) }).await;
        let refusal = answer.expect(400);
        assert_eq!(refusal["code"], "content_filter", "{path}");
        assert!(refusal["detail"].as_str().unwrap().contains("content filter"), "{path}");
        assert!(!answer.body.contains("swearing"), "a client is not told of the rule");
    }
    nothing_is_stored(&server);
    assert_eq!(upstream.chat_calls(), 0);
    let kept = "SELECT COUNT(*) FROM moderation_events WHERE content = 'oh DARN it' AND category = 'swearing' AND source = 'rules'";
    assert_eq!(server.count(kept), 7);
    assert!(!server.log().iter().any(|line| line.contains("DARN")), "the log holds no text of people");
    assert_eq!(send(server.post("/chat", &json!({"message": "darning socks"}))).await.status, 200);
}

#[tokio::test]
async fn a_socket_says_so_and_stays_open() {
    let upstream = FakeUpstream::start().await;
    let server = by_rules(&upstream).start();
    let token = server.sign_up("user@example.com").await;
    let mut socket = Socket::open(&server, &format!("/api/chat/ws?token={token}"), &[]).await.unwrap();
    socket.send(&json!({"message": "my s3cret"})).await;
    let frame = socket.frame().await;
    assert_eq!((&frame["type"], &frame["code"]), (&json!("error"), &json!("content_filter")));
    socket.send(&json!({"message": "hello"})).await;
    assert_eq!(socket.answer().await[0]["type"], "start");
}

#[tokio::test]
async fn an_edit_is_judged_and_changes_nothing_when_it_is_blocked() {
    let upstream = FakeUpstream::start().await;
    let server = by_rules(&upstream).env("MODERATION__ANSWERS", "false").start();
    let token = server.sign_up("user@example.com").await;
    let sent =
        send(server.post("/api/v1/chat/send", &json!({"message": "hello"})).bearer_auth(&token)).await.expect(200);
    let conversation = sent["conversation_id"].as_str().unwrap();
    let question = server.count("SELECT id FROM messages WHERE role = 'user'");
    let path = format!("/api/v1/conversations/{conversation}/messages/{question}/edit");
    let edited = send(server.post(&path, &json!({"message": "darn"})).bearer_auth(&token)).await;
    assert_eq!(edited.expect(400)["code"], "content_filter");
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 2);
}

#[tokio::test]
async fn a_key_replays_the_refusal_without_another_call() {
    let upstream = FakeUpstream::start().await;
    let mut server = by_openai(&upstream, "omni-moderation-latest").start();
    let token = server.sign_up("user@example.com").await;
    let post = async |server: &TestServer, key: &str, text: &str| {
        let request = server.post("/api/chat", &json!({"message": text})).bearer_auth(&token);
        send(request.header("idempotency-key", key)).await
    };
    let first = post(&server, "k1", "a [flag] here").await;
    assert_eq!(first.expect(400)["code"], "content_filter");
    server.restart();
    assert_eq!(post(&server, "k1", "a [flag] here").await.comparable(), first.comparable());
    assert_eq!(upstream.moderation_calls(), 1);
    assert_eq!(server.count("SELECT COUNT(*) FROM moderation_events"), 1);
    assert_eq!(post(&server, "k1", "something else").await.status, 422);
    let answered = post(&server, "k2", "hello").await.expect(200);
    assert_eq!(post(&server, "k2", "hello").await.expect(200), answered);
    assert_eq!(
        upstream.moderation_calls(),
        2,
        "one for the blocked message, one for hello, and none for the same as its answer"
    );
}

#[tokio::test]
async fn a_text_that_was_judged_lately_is_not_judged_again() {
    let upstream = FakeUpstream::start().await;
    let server = by_openai(&upstream, "omni-moderation-latest").start();
    for _ in 0..3 {
        assert_eq!(chat(&server, "a [flag] here").await.expect(400)["code"], "content_filter");
        assert_eq!(chat(&server, "hello").await.expect(200)["response"], "hello");
    }
    assert_eq!(upstream.moderation_calls(), 2);
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger WHERE kind = 'moderation'"), 2);
    assert_eq!(server.count("SELECT COUNT(*) FROM moderation_events"), 3, "each is kept for review");
}

#[tokio::test]
async fn two_requests_under_one_key_are_one_blocked_message() {
    let upstream = FakeUpstream::start().await;
    let server = by_rules(&upstream).start();
    let token = server.sign_up("user@example.com").await;
    let post = || {
        let request = server.post("/api/chat", &json!({"message": "darn"})).bearer_auth(&token);
        send(request.header("idempotency-key", "k"))
    };
    let (one, two) = tokio::join!(post(), post());
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (400, 400));
    assert_eq!(server.count("SELECT COUNT(*) FROM moderation_events"), 1);
}

#[tokio::test]
async fn openai_is_asked_with_its_key_and_its_calls_are_in_the_ledger() {
    let upstream = FakeUpstream::start().await;
    let server = by_openai(&upstream, "omni-moderation-latest").start();
    assert_eq!(chat(&server, "a [flag] here").await.expect(400)["code"], "content_filter");
    let asked = upstream.requests().pop().unwrap();
    assert_eq!(asked, json!({"model": "omni-moderation-latest", "input": "a [flag] here"}));
    assert_eq!(upstream.last_authorization().unwrap(), "Bearer sk-test");
    let line = "SELECT COUNT(*) FROM usage_ledger WHERE kind = 'moderation' AND provider = 'openai' AND \
                model = 'omni-moderation-latest' AND prompt_tokens > 0 AND is_estimated = 1 AND cost_micros = 0";
    assert_eq!(server.count(line), 1);
    assert_eq!(server.count("SELECT COUNT(*) FROM moderation_events WHERE source = 'openai' AND category = 'hate'"), 1);
    assert_eq!(chat(&server, "hello").await.expect(200)["response"], "hello");
}

#[tokio::test]
async fn only_the_categories_and_scores_that_are_set_block() {
    let upstream = FakeUpstream::start().await;
    let other = by_openai(&upstream, "m").env("MODERATION__CATEGORIES", "violence").start();
    assert_eq!(chat(&other, "a [flag] here").await.status, 200);
    let low = by_openai(&upstream, "m").env("MODERATION__THRESHOLD", "0.00005").start();
    assert_eq!(chat(&low, "hello").await.status, 400);
}

#[tokio::test]
async fn while_nobody_can_judge_messages_are_refused_and_may_come_again() {
    let upstream = FakeUpstream::start().await;
    for model in ["m-err500", "m-html", "m-hang", "m-err401"] {
        let server = by_openai(&upstream, model).env("MODERATION__TIMEOUT_SECONDS", "0.3").start();
        let token = server.sign_up("user@example.com").await;
        for path in ["/api/chat", "/api/v1/chat/send", "/chat/send"] {
            let request = server.post(path, &json!({"message": "hello"})).bearer_auth(&token);
            let answer = send(request.header("idempotency-key", path)).await;
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "5"), "{model} {path}");
        }
        assert_eq!(chat(&server, "hello").await.status, 503, "a fallback text would hide that nothing is judged");
        nothing_is_stored(&server);
        assert_eq!(server.count("SELECT COUNT(*) FROM moderation_events"), 0);
    }
    assert_eq!(upstream.chat_calls(), 0);
    let mut server = by_openai(&upstream, "m-err500").start();
    let post = async |server: &TestServer, token: &str| {
        let request = server.post("/api/chat", &json!({"message": "hello"})).bearer_auth(token);
        send(request.header("idempotency-key", "k")).await
    };
    let token = server.sign_up("user@example.com").await;
    assert_eq!(post(&server, &token).await.status, 503);
    server.restart_with(|setup| setup.env("MODERATION__MODEL", "m"));
    assert_eq!(post(&server, &token).await.status, 200, "what was refused for an outage can be sent again");
}

#[tokio::test]
async fn an_open_door_lets_unjudged_messages_pass_and_counts_them() {
    let upstream = FakeUpstream::start().await;
    let server = by_openai(&upstream, "m-err500").env("MODERATION__OUTAGE", "open").start();
    assert_eq!(chat(&server, "a [flag] here").await.expect(200)["response"], "a [flag] here");
    let metrics = send(server.get("/metrics")).await.body;
    assert!(metrics.contains(r#"parlor_moderation_total{subject="message",outcome="let_through"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"parlor_moderation_total{subject="answer",outcome="let_through"} 1"#), "{metrics}");
}

#[tokio::test]
async fn a_whole_answer_that_breaks_a_rule_is_replaced_and_billed() {
    let upstream = FakeUpstream::start().await;
    let server = by_rules(&upstream).env("MODERATION__REFUSAL", "Not that.").start();
    let token = server.sign_up("user@example.com").await;
    let sent =
        send(server.post("/api/v1/chat/send", &json!({"message": "count"})).bearer_auth(&token)).await.expect(200);
    assert_eq!(sent["response"], "Not that.");
    assert_eq!(sent["usage"]["completion_tokens"], 20);
    assert_eq!(
        server.count("SELECT COUNT(*) FROM turns WHERE finish_reason = 'content_filter' AND state = 'complete'"),
        1
    );
    assert_eq!(server.count("SELECT COUNT(*) FROM messages WHERE content LIKE '%word7%'"), 0);
    let id = sent["message_id"].as_str().unwrap();
    let kept = format!(
        "SELECT COUNT(*) FROM moderation_events WHERE subject = 'answer' AND message_id = {id} AND content LIKE '%word7%'"
    );
    assert_eq!(server.count(&kept), 1);
    assert_eq!(server.count("SELECT SUM(completion_tokens) FROM usage_ledger"), 20);
}

#[tokio::test]
async fn a_streamed_answer_is_not_judged() {
    let upstream = FakeUpstream::start().await;
    let server = by_rules(&upstream).start();
    let token = server.sign_up("user@example.com").await;
    let answer = send(server.post("/api/chat/stream", &json!({"message": "count"})).bearer_auth(&token)).await;
    let events = events(&answer.body);
    assert_eq!(events.last().unwrap().data["finish_reason"], "stop");
}
