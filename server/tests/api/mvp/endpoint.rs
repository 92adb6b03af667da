//! `AI_MODEL_ENDPOINT`: a plain generate endpoint, or an OpenAI-compatible address.

use std::net::SocketAddr;

use axum::Json;
use axum::routing::post;
use parlor_bench::fake::FakeUpstream;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{prefer, say, sign_up};
use crate::kit::send;
use crate::support::Setup;

/// A generate endpoint that answers with `answer`, and the bodies that it gets.
async fn generate(answer: Value) -> (SocketAddr, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, bodies) = mpsc::channel(100);
    let handler = move |Json(body): Json<Value>| async move {
        sender.try_send(body).unwrap();
        Json(answer)
    };
    let router = axum::Router::new().route("/generate", post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, bodies)
}

#[tokio::test]
async fn a_plain_generate_endpoint_answers_whatever_it_calls_its_text() {
    for answer in [
        json!({"response": "An answer"}),
        json!({"text": "An answer"}),
        json!({"generated_text": "An answer"}),
        json!({"output": "An answer"}),
        json!({"choices": [{"message": {"role": "assistant", "content": "An answer"}}]}),
    ] {
        let (address, mut bodies) = generate(answer.clone()).await;
        let server = Setup::new().env("AI_MODEL_ENDPOINT", &format!("http://{address}/generate")).start();
        let token = sign_up(&server, "ada").await;
        prefer(&server, &token, Method::PUT, &json!({"max_tokens": 9, "temperature": 0.5})).await.expect(200);
        let told = say(&server, &token, &json!({"message": "Hello!"})).await.expect(200);
        assert_eq!(told["message"]["content"], "An answer", "{answer}");
        assert!(told["usage"]["total_tokens"].as_u64().unwrap() > 0, "counted here");
        let asked = bodies.recv().await.unwrap();
        assert_eq!((&asked["max_tokens"], &asked["temperature"]), (&json!(9), &json!(0.5)));
        assert_eq!(asked["messages"][1], json!({"role": "user", "content": "Hello!"}));
        assert!(asked["prompt"].as_str().unwrap().ends_with("user: Hello!\nassistant: "));
    }
}

#[tokio::test]
async fn an_endpoint_without_a_text_is_503() {
    let (address, _bodies) = generate(json!({"status": "ok"})).await;
    let setup = Setup::new().env("AI_MODEL_ENDPOINT", &format!("http://{address}/generate"));
    let server = setup.env("PROVIDERS__MAX_RETRIES", "0").start();
    let token = sign_up(&server, "ada").await;
    assert_eq!(say(&server, &token, &json!({"message": "Hello!"})).await.status, 503);
    let checks = send(server.get("/health")).await.expect(200)["checks"].clone();
    assert_eq!(checks["providers"][0]["name"], "endpoint");
}

#[tokio::test]
async fn an_openai_compatible_address_is_spoken_to_as_such() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().env("AI_MODEL_ENDPOINT", &upstream.base_url()).env("CHAT__MODEL", "5tok");
    let server = setup.start();
    let token = sign_up(&server, "ada").await;
    let told = say(&server, &token, &json!({"message": "Hello!"})).await.expect(200);
    assert_eq!(told["usage"]["completion_tokens"], 5);
    let asked = upstream.requests().pop().unwrap();
    assert_eq!((&asked["model"], &asked["messages"][1]["content"]), (&json!("5tok"), &json!("Hello!")));
}
