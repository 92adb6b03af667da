//! The lines on what a message does, in every dialect.

use std::net::SocketAddr;

use axum::Json;
use axum::routing::post;
use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Client, with_provider};
use crate::kit::gated::GatedUpstream;
use crate::kit::{rows, send, wait};
use crate::support::Setup;

#[tokio::test]
async fn a_message_is_moderated_before_it_is_stored_or_sent() {
    let upstream = FakeUpstream::start().await;
    let rules = "[[moderation_rules]]\ncategory = \"swearing\"\nwords = [\"darn\"]\n";
    let setup = Setup::new().upstream(&upstream, "echo").env("MODERATION__PROVIDER", "rules").file(rules);
    let client = Client::of(setup).await;
    client.post("/api/v1/chat/send", json!({"message": "darn it"})).await.expect(400);
    assert_eq!((upstream.chat_calls(), client.server.count("SELECT COUNT(*) FROM messages")), (0, 0));
}

#[tokio::test]
async fn the_context_is_the_system_prompt_the_preferences_and_the_history() {
    let (upstream, client) = with_provider("echo").await;
    client.call(reqwest::Method::PUT, "/users/preferences", json!({"system_prompt": "Rhyme."})).await.expect(200);
    let first = client.say("one").await;
    let next = json!({"message": "two", "conversation_id": first["conversation_id"]});
    client.post("/api/v1/chat/send", next).await.expect(200);
    let asked = upstream.requests().pop().unwrap()["messages"].clone();
    let system = asked[0]["content"].as_str().unwrap();
    assert!(system.starts_with("You are a helpful assistant chatbot.") && system.contains("Rhyme."), "{system}");
    let said: Vec<&Value> = asked.as_array().unwrap()[1..].iter().map(|message| &message["content"]).collect();
    assert_eq!(said, ["one", "one", "two"]);
}

#[tokio::test]
async fn a_provider_that_fails_is_asked_again() {
    let (upstream, client) = with_provider("flaky1-3tok").await;
    assert_eq!(client.say("Hello").await["response"].as_str().unwrap().trim_end(), "word1 word2 word3");
    assert_eq!(upstream.chat_calls(), 2);
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_its_answer() {
    let mut upstream = GatedUpstream::start().await;
    let setup = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url());
    let client = Client::of(setup).await;
    let request = client.server.post("/api/v1/chat/stream", &json!({"message": "Hello"})).bearer_auth(&client.token);
    let response = request.send().await.unwrap();
    let call = upstream.call().await;
    drop(response);
    call.say("said to nobody");
    call.finish();
    let stored = "SELECT COUNT(*) FROM messages WHERE role = 'assistant' AND content = 'said to nobody'";
    wait::until("the answer is stored", || client.server.count(stored) == 1).await;
}

#[tokio::test]
async fn a_message_is_stored_with_its_answers_model_tokens_and_elapsed_time() {
    let (_upstream, client) = with_provider("3tok").await;
    client.say("Hello").await;
    assert_eq!(rows::text(&client.server, "SELECT group_concat(role) FROM messages"), "user,assistant");
    assert_eq!(rows::text(&client.server, "SELECT model FROM usage_ledger"), "3tok");
    assert_eq!(client.server.count("SELECT completion_tokens FROM usage_ledger"), 3);
    assert_eq!(client.server.count("SELECT COUNT(*) FROM message_store WHERE elapsed_time IS NOT NULL"), 2);
}

#[tokio::test]
async fn when_every_provider_failed_each_dialect_answers_as_it_must() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, "err500").env("PROVIDERS__MAX_RETRIES", "0");
    let client = Client::of(setup.env("PROVIDERS__BREAKER_FAILURES", "1000")).await;
    let full_chatbot = json!({"message": "Hello", "user_id": 1, "message_id": "m", "message_count": 1});
    for (path, body, status) in [
        ("/chat", json!({"message": "Hello"}), 200),
        ("/chat-message", full_chatbot, 200),
        ("/api/chat", json!({"message": "Hello"}), 500),
        ("/api/v1/chat/send", json!({"message": "Hello"}), 503),
        ("/chat/send", json!({"message": "Hello"}), 503),
    ] {
        assert_eq!(client.post(path, body).await.status, status, "{path}");
    }
    assert!(client.server.count("SELECT COUNT(*) FROM message_store WHERE Status = 'Error'") >= 2);
}

#[tokio::test]
async fn a_provider_that_times_out_is_504_but_in_advanced_500() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, "hang").env("PROVIDERS__MAX_RETRIES", "0");
    let client = Client::of(setup.env("PROVIDERS__TOTAL_TIMEOUT_SECONDS", "0.5")).await;
    for (path, status) in [("/chat/send", 504), ("/api/v1/chat/send", 504), ("/api/chat", 500)] {
        assert_eq!(client.post(path, json!({"message": "Hello"})).await.status, status, "{path}");
    }
}

/// A plain generate endpoint that answers so, and says whether it got all that the contract names.
async fn generate(answer: Value) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler = move |Json(body): Json<Value>| async move {
        let is_whole = ["messages", "prompt", "max_tokens", "temperature"].iter().all(|field| !body[*field].is_null());
        Json(if is_whole { answer } else { json!({"response": format!("lacking: {body}")}) })
    };
    let router = axum::Router::new().route("/generate", post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn ai_model_endpoint_is_any_openai_compatible_base_url_or_a_plain_generate_endpoint() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().env("AI_MODEL_ENDPOINT", &upstream.base_url()).env("CHAT__MODEL", "echo");
    assert_eq!(Client::of(setup).await.say("An answer").await["response"], "An answer");
    for field in ["response", "text", "generated_text", "output"] {
        let address = generate(json!({field: "An answer"})).await;
        let client = Client::of(Setup::new().env("AI_MODEL_ENDPOINT", &format!("http://{address}/generate"))).await;
        assert_eq!(client.say("Hello").await["response"], "An answer", "{field}");
    }
    let address = generate(json!({"choices": [{"text": "An answer"}]})).await;
    let client = Client::of(Setup::new().env("AI_MODEL_ENDPOINT", &format!("http://{address}/generate"))).await;
    assert_eq!(send(client.server.post("/chat", &json!({"message": "Hello"}))).await.json()["response"], "An answer");
}
