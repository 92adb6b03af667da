//! The lines of `openai`.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::Client;
use crate::kit::{assert_fields, send};
use crate::support::Setup;

/// An account whose requests reach a provider that says what it is told.
async fn gateway() -> (FakeUpstream, Client) {
    super::with_provider("echo").await
}

fn hello() -> Value {
    json!({"model": "echo", "messages": [{"role": "user", "content": "Hello there"}]})
}

#[tokio::test]
async fn an_api_key_or_a_bearer_token_opens_v1_and_errors_have_openais_shape() {
    let (_upstream, client) = gateway().await;
    let key = client.post("/api/v1/api-keys", json!({"name": "n", "scopes": ["read", "chat"]})).await.expect(201);
    for token in [client.token.as_str(), key["key"].as_str().unwrap()] {
        let request = client.server.post("/v1/chat/completions", &hello()).bearer_auth(token);
        send(request).await.expect(200);
    }
    for (request, status) in [
        (client.server.post("/v1/chat/completions", &hello()), 401),
        (client.server.get("/v1/models/none").bearer_auth("garbage"), 401),
        (client.server.post("/v1/chat/completions", &json!({})).bearer_auth(&client.token), 400),
    ] {
        let refused = send(request).await.expect(status);
        assert_fields(&refused["error"], &["message", "type", "param", "code"]);
    }
}

#[tokio::test]
async fn post_v1_chat_completions_answers_a_completion() {
    let (upstream, client) = gateway().await;
    let mut body = hello();
    body["unknown_parameter"] = json!(5);
    let said = client.post("/v1/chat/completions", body).await.expect(200);
    assert_eq!((&said["object"], &said["model"]), (&json!("chat.completion"), &json!("echo")));
    assert_eq!(said["choices"][0]["message"]["content"], "Hello there");
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
    super::assert_usage(&said["usage"]);
    assert_eq!(upstream.requests().pop().unwrap()["unknown_parameter"], 5, "unknown parameters pass through");
}

#[tokio::test]
async fn post_v1_chat_completions_streams_with_usage_when_asked_to() {
    let (_upstream, client) = gateway().await;
    let mut body = hello();
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let streamed = client.post("/v1/chat/completions", body).await;
    assert!(streamed.status == 200 && streamed.header("content-type").starts_with("text/event-stream"), "{streamed:?}");
    assert!(streamed.body.ends_with("data: [DONE]\n\n") && streamed.body.contains("\"total_tokens\""));
}

#[tokio::test]
async fn post_v1_responses_answers_a_response() {
    let (_upstream, client) = gateway().await;
    let said = client.post("/v1/responses", json!({"model": "echo", "input": "Hello there"})).await.expect(200);
    assert_eq!((&said["object"], &said["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(said["output"][0]["content"][0]["text"], "Hello there");
}

#[tokio::test]
async fn post_v1_embeddings_answers_vectors() {
    let (_upstream, client) = gateway().await;
    let body = json!({"model": "text-embedding-3-small", "input": ["one", "two"]});
    let made = client.post("/v1/embeddings", body).await.expect(200);
    assert_eq!((&made["object"], made["data"].as_array().unwrap().len()), (&json!("list"), 2));
    assert!(made["data"][0]["embedding"].is_array());
}

#[tokio::test]
async fn post_v1_moderations_answers_what_was_found() {
    let (_upstream, client) = gateway().await;
    let found = client.post("/v1/moderations", json!({"input": ["fine", "[flag]"]})).await.expect(200);
    assert_eq!((&found["results"][0]["flagged"], &found["results"][1]["flagged"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn get_v1_models_lists_them_and_with_an_id_answers_one() {
    let client = Client::of(Setup::new().env("CHAT__MODEL", "first").env("CHAT__MODELS", "second")).await;
    let list = client.get("/v1/models").await.expect(200);
    assert_eq!(list["object"], "list");
    assert_fields(&list["data"][0], &["id", "object", "created", "owned_by"]);
    assert_eq!(client.get("/v1/models/first").await.expect(200), list["data"][0]);
    client.get("/v1/models/none").await.expect(404);
}

#[tokio::test]
async fn a_model_named_provider_slash_model_picks_the_provider() {
    let (upstream, client) = gateway().await;
    let mut body = hello();
    body["model"] = json!("openai/echo");
    client.post("/v1/chat/completions", body).await.expect(200);
    assert_eq!(upstream.requests().pop().unwrap()["model"], "echo");
}

#[tokio::test]
async fn usage_is_metered() {
    let (_upstream, client) = gateway().await;
    let said = client.post("/v1/chat/completions", hello()).await.expect(200);
    let usage = client.get("/api/v1/users/me/usage").await.expect(200);
    assert_eq!(usage["totals"]["total_tokens"], said["usage"]["total_tokens"]);
}

#[tokio::test]
async fn a_quota_holds() {
    let quota = "[[quotas]]\nscope = \"account\"\nwindow = \"month\"\nrequests = 1\n";
    let upstream = FakeUpstream::start().await;
    let client = Client::of(Setup::new().upstream(&upstream, "echo").file(quota)).await;
    client.post("/v1/chat/completions", hello()).await.expect(200);
    let refused = client.post("/v1/chat/completions", hello()).await;
    assert!(!refused.header("retry-after").is_empty());
    assert!(refused.expect(429)["error"]["message"].is_string());
    assert_eq!(upstream.chat_calls(), 1);
}

#[tokio::test]
async fn aliases_and_failover_groups_come_from_the_configuration() {
    let upstream = FakeUpstream::start().await;
    let text = format!(
        "[[upstreams]]\nname = \"one\"\nurl = {:?}\nkeys = [\"sk-1\"]\n[routes.steady]\naliases = [\"always\"]\n\
         targets = [{{ provider = \"one\", model = \"err500\" }}, {{ provider = \"one\", model = \"echo\" }}]\n",
        upstream.base_url()
    );
    let client = Client::of(Setup::new().file(&text).env("PROVIDERS__MAX_RETRIES", "0")).await;
    let mut body = hello();
    body["model"] = json!("always");
    let said = client.post("/v1/chat/completions", body).await.expect(200);
    assert_eq!(said["choices"][0]["message"]["content"], "Hello there");
    assert_eq!(upstream.chat_calls(), 2);
}
