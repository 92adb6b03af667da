//! Messages that parse and yet cannot be sent.

use serde_json::{Value, json};

use super::table::{Bench, MESSAGE_CALLS, SECRET_TEXT, kinds};
use crate::kit::signing::bad_tokens;
use crate::support::SECRET;

#[tokio::test]
async fn an_empty_blank_overlong_or_unstorable_message_is_400() {
    let bench = Bench::start().await;
    let long = format!("{SECRET_TEXT}{}", "x".repeat(32_000));
    let nul = format!("{SECRET_TEXT}\0");
    let bad = [
        ("", "message must not be empty"),
        (" \n\t\u{3000}", "message must not be empty"),
        (&long, "message must have at most 32000 characters"),
        (&nul, "message must not contain a NUL character"),
    ];
    for (path, with_token) in MESSAGE_CALLS {
        for (message, sentence) in bad {
            let request = bench.raw(path, with_token, json!({"message": message}).to_string());
            let refused = bench.assert_refused(path, request, 400).await;
            assert_eq!(refused.json(), json!({"detail": sentence}));
        }
    }
}

#[tokio::test]
async fn the_longest_message_is_counted_in_characters() {
    let bench = Bench::start().await;
    let longest = json!({"message": "ü".repeat(32_000)}).to_string();
    let taken = bench.raw("/chat", false, longest).header("x-request-id", "the-longest");
    crate::kit::send(taken).await.expect(200);
    // Its line may come a moment after its answer.
    bench.server.wait_for_log("the-longest");
    let longer = json!({"message": "ü".repeat(32_001)}).to_string();
    bench.assert_refused("longer", bench.raw("/chat", false, longer), 400).await;
}

#[tokio::test]
async fn every_field_of_a_wrong_type_is_told() {
    let bench = Bench::start().await;
    let wrong = json!({"message": [SECRET_TEXT], "user_id": 5});
    let refused = bench.assert_refused("/chat", bench.raw("/chat", false, wrong.to_string()), 422).await;
    assert_eq!(kinds(&refused), ["string_type", "string_type"]);
    for (path, with_token) in MESSAGE_CALLS {
        for message in [json!(5), json!(null), json!(true), json!({"a": SECRET_TEXT}), json!([])] {
            let body = json!({"message": message}).to_string();
            let refused = bench.assert_refused(path, bench.raw(path, with_token, body), 422).await;
            assert_eq!(kinds(&refused), ["string_type"], "{path} {message}");
        }
        let id = if path == "/chat" { "conversation_id" } else { "session_id" };
        for value in [json!(1.5), json!([1]), json!({"a": 1}), json!(true), json!("1".repeat(65))] {
            let body = json!({"message": SECRET_TEXT, id: value}).to_string();
            let refused = bench.assert_refused(path, bench.raw(path, with_token, body), 422).await;
            assert_eq!(refused.json()["detail"][0]["loc"], json!(["body", id]), "{path} {value}");
        }
    }
}

#[tokio::test]
async fn an_unknown_conversation_is_404() {
    let bench = Bench::start().await;
    for (path, with_token) in MESSAGE_CALLS {
        let id = if path == "/chat" { "conversation_id" } else { "session_id" };
        for value in [
            json!(1),
            json!("1234567890123456"),
            json!("x"),
            json!(u64::MAX),
            json!(i64::MIN),
            json!("1; DROP TABLE messages"),
        ] {
            let body = json!({"message": SECRET_TEXT, id: value}).to_string();
            let refused = bench.assert_refused(path, bench.raw(path, with_token, body), 404).await;
            assert_eq!(refused.json(), json!({"detail": "Conversation not found"}), "{path} {value}");
        }
    }
}

#[tokio::test]
async fn a_bad_token_is_401_before_the_body_is_looked_at() {
    let bench = Bench::start().await;
    for (path, _) in MESSAGE_CALLS {
        for (what, token) in bad_tokens(&bench.token, SECRET) {
            let request = bench.raw(path, false, json!({"message": SECRET_TEXT}).to_string()).bearer_auth(token);
            let refused = bench.assert_refused(&format!("{path} with a token {what}"), request, 401).await;
            assert_eq!(refused.header("www-authenticate"), "Bearer");
        }
    }
    for path in ["/api/chat", "/api/chat/stream"] {
        bench.assert_refused(path, bench.raw(path, false, "not json"), 401).await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_logged_without_the_password_or_the_name() {
    let bench = Bench::start().await;
    let body = json!({"username": "user@example.com", "password": SECRET_TEXT}).to_string();
    bench.assert_refused("login", bench.raw("/api/auth/login", false, body), 401).await;
    let log = bench.server.log().join("\n");
    assert!(!log.contains("user@example.com") && !log.contains(SECRET_TEXT), "{log}");
}

#[tokio::test]
async fn no_log_line_holds_what_anybody_said_or_heard() {
    let upstream = parlor_bench::fake::FakeUpstream::start().await;
    let setup = crate::support::Setup::new().upstream(&upstream, "echo").env("LOG_LEVEL", "trace");
    let server = setup.start();
    let token = server.sign_up("user@example.com").await;
    for path in ["/chat", "/api/chat", "/api/chat/stream"] {
        let request = server.post(path, &json!({"message": SECRET_TEXT})).bearer_auth(&token);
        let answer = crate::kit::send(request.header("x-request-id", "the-last")).await;
        assert!(answer.body.contains("xyzzy"), "{answer:?}");
    }
    server.wait_for_log("/api/chat/stream");
    let log = server.log();
    for secret in [SECRET_TEXT, token.as_str(), SECRET, "sk-test", "SuperSecret123!"] {
        let holding: Vec<&String> = log.iter().filter(|line| line.contains(secret)).collect();
        assert!(holding.is_empty(), "{secret}: {holding:#?}");
    }
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["level"] == "TRACE" || line["level"] == "DEBUG"), "nothing more was logged");
}
