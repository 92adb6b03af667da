//! The API's description.

use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::send;
use crate::support::Setup;

fn description() -> Value {
    let data = tempfile::tempdir().unwrap();
    let output = Setup::new().command(data.path(), &["openapi"]).output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_description_changes_only_on_purpose() {
    let mut description = description();
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    description["info"]["version"] = json!("[version]");
    insta::assert_snapshot!(serde_json::to_string_pretty(&description).unwrap());
}

#[test]
fn every_reference_in_it_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    found.push(reference.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let description = description();
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        assert!(description.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[test]
fn every_route_of_the_contract_is_in_it() {
    let description = description();
    for (method, path) in [
        ("get", "/"),
        ("get", "/health"),
        ("get", "/api"),
        ("post", "/chat"),
        ("post", "/conversations"),
        ("get", "/conversations/{conversation_id}/messages"),
        ("get", "/conversations/user/{user_id}"),
        ("get", "/conversations/{conversation_id}/full"),
        ("delete", "/conversations/{conversation_id}"),
        ("post", "/chat-message"),
        ("get", "/get-conversation-history/{conversation_id}"),
        ("post", "/auth/signup"),
        ("post", "/auth/login"),
        ("get", "/users/me"),
        ("put", "/users/preferences"),
        ("patch", "/users/preferences"),
        ("post", "/users/preferences"),
        ("post", "/chat/send"),
        ("get", "/chat/history/{conversation_id}"),
        ("post", "/api/auth/register"),
        ("post", "/api/auth/login"),
        ("get", "/api/users/me"),
        ("post", "/api/chat"),
        ("post", "/api/chat/stream"),
        ("get", "/api/chat/ws"),
        ("get", "/api/history"),
        ("post", "/api/v1/auth/register"),
        ("post", "/api/v1/auth/login"),
        ("post", "/api/v1/auth/refresh"),
        ("post", "/api/v1/auth/logout"),
        ("post", "/api/v1/chat/send"),
        ("post", "/api/v1/chat/stream"),
        ("get", "/api/v1/chat/ws/{user_id}"),
        ("get", "/api/v1/chat/messages/{message_id}/stream"),
        ("post", "/api/v1/chat/messages/{message_id}/stop"),
        ("get", "/api/v1/conversations"),
        ("get", "/api/v1/conversations/{conversation_id}"),
        ("patch", "/api/v1/conversations/{conversation_id}"),
        ("delete", "/api/v1/conversations/{conversation_id}"),
        ("get", "/api/v1/conversations/{conversation_id}/messages"),
        ("get", "/api/v1/conversations/{conversation_id}/export"),
        ("post", "/api/v1/conversations/{conversation_id}/shares"),
        ("get", "/api/v1/conversations/{conversation_id}/shares"),
        ("delete", "/api/v1/conversations/{conversation_id}/shares/{share_id}"),
        ("get", "/api/v1/shared/{token}"),
        ("put", "/api/v1/conversations/{conversation_id}/head"),
        ("post", "/api/v1/conversations/{conversation_id}/messages/{message_id}/regenerate"),
        ("post", "/api/v1/conversations/{conversation_id}/messages/{message_id}/edit"),
        ("put", "/api/v1/conversations/{conversation_id}/messages/{message_id}/feedback"),
        ("delete", "/api/v1/conversations/{conversation_id}/messages/{message_id}/feedback"),
    ] {
        assert!(description["paths"][path][method].is_object(), "{method} {path}");
    }
}

#[tokio::test]
async fn every_route_in_it_is_there_and_asks_for_a_token_when_it_says_so() {
    let server = Setup::new().env("GUEST_ACCESS", "off").start();
    for (path, methods) in description()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let security = operation["security"].as_array();
            let needs_token = security.is_some_and(|ways| !ways.contains(&json!({})));
            let path = path.replace("{conversation_id}", "1234567890123456").replace("{message_id}", "1");
            let path = path.replace("{user_id}", "anna").replace("{share_id}", "1");
            // Who has no link is told that there is none.
            let is_link = path.contains("{token}");
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = json!({"message": "Hi", "user_id": "anna"});
            let request = server.request(method.clone(), &path);
            let request = if method == Method::POST { request.json(&body) } else { request };
            let answer = send(request).await;
            assert!(is_link || ![404, 405].contains(&answer.status.as_u16()), "{method} {path}: {answer:?}");
            if needs_token {
                assert_eq!(answer.status, 401, "{method} {path}");
            }
            let told = &operation["responses"][answer.status.as_str()];
            assert!(told.is_object(), "{method} {path} answers {}, which its description lacks", answer.status);
        }
    }
}
