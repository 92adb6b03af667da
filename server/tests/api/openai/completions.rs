//! Whole answers.

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use super::{COMPLETIONS, ask, gateway, hello, ledger, line, mock};
use crate::kit::{rows, send};
use crate::support::TestServer;

/// Nothing in it is as a JSON library would write it.
const ODD: &str = r#" { "n":2 ,"logprobs" : true,"seed":1.50, "model":"mock-full",
  "x_future":{"a":[1e3,"\u017c\/"]},"messages":[{"role":"user","content":"Hi","x":null}] } "#;

async fn post(server: &TestServer, token: &str, body: &'static str) -> crate::kit::Answer {
    let request = server.request(reqwest::Method::POST, COMPLETIONS).bearer_auth(token);
    send(request.header("content-type", "application/json").body(body)).await
}

#[tokio::test]
async fn what_is_asked_and_what_is_answered_pass_through_byte_for_byte() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let answer = post(&server, &token, ODD).await;
    assert_eq!(upstream.last_body().unwrap(), ODD);
    let address = format!("{}/chat/completions", upstream.base_url());
    let direct = send(server.client.post(address).header("content-type", "application/json").body(ODD)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, direct.body);
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!(body["choices"].as_array().unwrap().len(), 2);
    assert_eq!(body["choices"][1]["logprobs"]["content"][0]["logprob"], -0.25);
    assert_eq!(body["x_unknown"]["kept"][1], 2.5);
}

#[tokio::test]
async fn a_call_is_a_line_of_the_ledger_and_no_conversation() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let before = rows::rows(&server);
    ask(&server, &token, COMPLETIONS, &hello("mock-full")).await.expect(200);
    assert_eq!(ledger(&server), [line("gateway", "mock-full", (21, 7), false)]);
    let mut after = rows::rows(&server);
    *after.get_mut("usage_ledger").unwrap() -= 1;
    assert_eq!(after, before);
    let (_, provider, ..) = ledger(&server).remove(0);
    assert_eq!(provider, "openai");
    assert_eq!(upstream.last_authorization().as_deref(), Some("Bearer sk-test"));
}

#[tokio::test]
async fn tokens_that_the_provider_does_not_count_are_estimated() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    ask(&server, &token, COMPLETIONS, &hello("mock-nousage")).await.expect(200);
    let (kind, _, _, prompt, completion, is_estimated) = ledger(&server).remove(0);
    assert_eq!((kind.as_str(), is_estimated), ("gateway", true));
    assert!(prompt > 0 && completion > 0);
}

#[tokio::test]
async fn a_providers_name_before_the_models_picks_it() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let answer = ask(&server, &token, COMPLETIONS, &hello("openai/mock-full")).await.expect(200);
    assert_eq!(upstream.requests()[0]["model"], "mock-full");
    assert_eq!(answer["model"], "mock-full");
}

#[tokio::test]
async fn a_failing_provider_is_asked_again_before_anything_was_said() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    ask(&server, &token, COMPLETIONS, &hello("mock-flaky1-full")).await.expect(200);
    assert_eq!(upstream.chat_calls(), 2);
    assert_eq!(ledger(&server).len(), 1);
}

#[tokio::test]
async fn pictures_inside_of_the_json_may_be_large() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let url = format!("data:image/png;base64,{}", "A".repeat(3 << 20));
    let parts = json!([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]);
    let body = json!({"model": "mock-nousage", "messages": [{"role": "user", "content": parts}]});
    ask(&server, &token, COMPLETIONS, &body).await.expect(200);
    assert_eq!(upstream.requests()[0]["messages"][0]["content"][1]["image_url"]["url"], url);
    let (_, _, _, prompt, ..) = ledger(&server).remove(0);
    assert!(prompt < 2000, "{prompt} tokens for one picture");
}

#[tokio::test]
async fn the_mock_answers_without_a_key() {
    let (server, token) = mock().await;
    let answer = ask(&server, &token, COMPLETIONS, &hello("gpt-4o")).await.expect(200);
    assert_eq!(answer["object"], "chat.completion");
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let choice = &answer["choices"][0];
    assert!(choice["message"]["content"].as_str().unwrap().contains("Hello there"), "{answer}");
    assert_eq!((&choice["message"]["role"], &choice["finish_reason"]), (&json!("assistant"), &json!("stop")));
    assert!(answer["usage"]["total_tokens"].as_i64().unwrap() > 5);
    let (_, provider, ..) = ledger(&server).remove(0);
    assert_eq!(provider, "mock");
}

#[tokio::test]
async fn the_mock_calls_a_tool_and_answers_with_what_it_gives() {
    let (server, token) = mock().await;
    let mut body = hello("mock-tool");
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    body["tools"] = json!([{"type": "function", "function": {"name": "weather", "parameters": schema}}]);
    let answer = ask(&server, &token, COMPLETIONS, &body).await.expect(200);
    let message = answer["choices"][0]["message"].clone();
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(message["tool_calls"][0]["function"]["name"], "weather");
    let result = json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain"});
    body["messages"].as_array_mut().unwrap().extend([message, result]);
    let answer = ask(&server, &token, COMPLETIONS, &body).await.expect(200);
    assert_eq!(answer["choices"][0]["message"]["content"], "The tool says: rain");
}

#[tokio::test]
async fn what_a_provider_cannot_do_is_refused_by_its_name() {
    let (server, token) = mock().await;
    for (field, value) in [("n", json!(2)), ("logprobs", json!(true)), ("stop", json!(["x"]))] {
        let mut body = hello("mock");
        body[field] = value;
        let error = ask(&server, &token, COMPLETIONS, &body).await.expect(400)["error"].clone();
        assert_eq!((&error["param"], &error["type"]), (&json!(field), &json!("invalid_request_error")));
    }
    assert!(ledger(&server).is_empty());
}
