//! Refusals, in OpenAI's shape.

use parlor_bench::fake::FakeUpstream;
use reqwest::Method;
use serde_json::{Value, json};

use super::{COMPLETIONS, ask, gateway, hello, ledger, mock, signed_up, streamed};
use crate::kit::{Answer, assert_fields, rows, send};
use crate::support::Setup;

/// The error of a refusal with that status.
fn refusal(answer: &Answer, status: u16) -> Value {
    let body = answer.expect(status);
    assert_fields(&body, &["error"]);
    assert_fields(&body["error"], &["message", "type", "param", "code"]);
    assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    body["error"].clone()
}

#[tokio::test]
async fn who_is_not_known_is_told_as_openai_tells_it() {
    let (server, _) = mock().await;
    for token in [None, Some("garbage"), Some("pk-garbage")] {
        let request = server.post(COMPLETIONS, &hello("mock"));
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let answer = send(request).await;
        let error = refusal(&answer, 401);
        assert_eq!((&error["type"], &error["code"]), (&json!("invalid_request_error"), &json!("invalid_api_key")));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_changes_nothing() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let before = rows::rows(&server);
    for (body, param) in [
        ("", Value::Null),
        ("{", Value::Null),
        ("[]", Value::Null),
        (r#"{"model":"m","stream":"yes"}"#, Value::Null),
        (r#"{"messages":[]}"#, json!("model")),
        (r#"{"model":5,"messages":[]}"#, json!("model")),
        (r#"{"model":"m","stream":true,"stream_options":1}"#, json!("stream_options")),
    ] {
        for path in [COMPLETIONS, "/v1/embeddings"] {
            let request = server.request(Method::POST, path).bearer_auth(&token);
            let answer = send(request.header("content-type", "application/json").body(body)).await;
            let error = refusal(&answer, 400);
            assert_eq!((&error["param"], &error["type"]), (&param, &json!("invalid_request_error")), "{body}");
        }
    }
    let page = server.request(Method::POST, COMPLETIONS).bearer_auth(&token).header("content-type", "text/plain");
    refusal(&send(page.body(hello("m").to_string())).await, 400);
    assert_eq!(rows::rows(&server), before);
    assert_eq!(upstream.chat_calls() + upstream.embedding_calls(), 0);
}

#[tokio::test]
async fn a_model_that_is_not_offered_does_not_exist() {
    let upstream = FakeUpstream::start().await;
    let (server, token) =
        signed_up(Setup::new().upstream(&upstream, "mock-full").env("CHAT__MODELS", "mock-echo").start()).await;
    ask(&server, &token, COMPLETIONS, &hello("mock-echo")).await.expect(200);
    for model in ["gpt-4o", "openai/mock-full"] {
        let error = refusal(&ask(&server, &token, COMPLETIONS, &hello(model)).await, 404);
        assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
    }
    assert_eq!(upstream.chat_calls(), 1);
}

#[tokio::test]
async fn a_body_over_the_gateways_own_limit_is_refused() {
    let (server, token) = signed_up(Setup::new().env("GATEWAY__MAX_BODY_BYTES", "2000").start()).await;
    let mut body = hello("gpt-4o-mini");
    body["padding"] = "x".repeat(3000).into();
    refusal(&ask(&server, &token, COMPLETIONS, &body).await, 413);
}

#[tokio::test]
async fn paths_and_methods_that_lead_nowhere_are_told_in_the_same_shape() {
    let (server, token) = mock().await;
    refusal(&send(server.get("/v1/files").bearer_auth(&token)).await, 404);
    refusal(&send(server.get(COMPLETIONS).bearer_auth(&token)).await, 405);
}

#[tokio::test]
async fn a_providers_refusal_keeps_its_meaning_and_none_of_its_words() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    for (model, status, code) in [
        ("mock-err400", 400, Value::Null),
        ("mock-err404", 404, json!("model_not_found")),
        ("mock-err429-retryafter90", 429, json!("rate_limit_exceeded")),
        ("mock-err401", 503, json!("provider_unauthorized")),
        ("mock-html", 503, json!("provider_protocol")),
    ] {
        for body in [hello(model), streamed(model)] {
            let answer = ask(&server, &token, COMPLETIONS, &body).await;
            let error = refusal(&answer, status);
            assert_eq!(error["code"], code, "{model}");
            for words in ["The request is invalid", "Incorrect API key", "Rate limit reached for", "Welcome"] {
                assert!(!answer.body.contains(words), "{model}: {answer:?}");
            }
            if status == 429 {
                assert_eq!(answer.header("retry-after"), "90");
            }
        }
    }
    assert!(ledger(&server).is_empty());
}

#[tokio::test]
async fn what_is_left_of_the_limits_is_told_in_openais_names() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, "mock-full").env("RATE_LIMIT__PER_HOUR", "4");
    let (server, token) = signed_up(setup.start()).await;
    for left in ["3", "2", "1", "0"] {
        let answer = ask(&server, &token, COMPLETIONS, &hello("mock-full")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), "4");
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), left);
        assert!(answer.header("x-ratelimit-reset-requests").ends_with('s'), "{answer:?}");
    }
    let answer = ask(&server, &token, COMPLETIONS, &hello("mock-full")).await;
    assert_eq!(refusal(&answer, 429)["code"], "rate_limit_exceeded");
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(upstream.chat_calls(), 4);
}

#[tokio::test]
async fn more_calls_than_there_are_places_are_refused() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, "mock-full").env("GATEWAY__MAX_RUNNING_CALLS", "1");
    let (server, token) = signed_up(setup.start()).await;
    let held = server.post(COMPLETIONS, &streamed("mock-100ms-500tok")).bearer_auth(&token).send().await.unwrap();
    let answer = ask(&server, &token, COMPLETIONS, &hello("mock-full")).await;
    assert_eq!(refusal(&answer, 503)["code"], "overloaded");
    drop(held);
    crate::kit::wait::until("the place is free", || ledger(&server).len() == 1).await;
    ask(&server, &token, COMPLETIONS, &hello("mock-full")).await.expect(200);
}
