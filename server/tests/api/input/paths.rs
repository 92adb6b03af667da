//! Addresses that lead nowhere.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::kit::{assert_fields, send};
use crate::native::assert_problem;
use crate::support::{Setup, TestServer};

/// A GET of exactly that path. Gives the status and the JSON.
fn get(server: &TestServer, path: &str, token: &str) -> (u16, serde_json::Value) {
    let mut socket = TcpStream::connect(server.authority()).unwrap();
    let host = server.authority();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {path} {answer}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_in_its_dialects_form() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    for path in ["/conversations/user/%FF", "/conversations/%FF/full", "/conversations/%C3%28/messages"] {
        let (status, body) = get(&server, path, &token);
        assert_eq!((status, body["detail"][0]["type"].as_str()), (422, Some("string_unicode")), "{path}");
    }
    let (status, body) = get(&server, "/api/v1/chat/messages/%FF/stream", &token);
    assert_eq!((status, body["errors"][0]["type"].as_str()), (422, Some("string_unicode")));
    for path in ["/static/%FF", "/static/nothing.js"] {
        assert_eq!(get(&server, path, &token), (404, serde_json::json!({"detail": "Not Found"})), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_told_in_the_form_of_the_surface_it_belongs_to() {
    let server = Setup::new().start();
    for path in ["/nothing", "/api/nothing", "/conversations", "/static/nothing.js"] {
        let answer = send(server.get(path)).await;
        assert!([404, 405].contains(&answer.status.as_u16()), "{path}");
        assert_fields(&answer.json(), &["detail"]);
    }
    assert_eq!(assert_problem(&send(server.get("/api/v1/nothing")).await, 404), "Not Found");
    let wrong_method = send(server.get("/api/v1/auth/login")).await;
    assert_eq!(assert_problem(&wrong_method, 405), "Method Not Allowed");
}

#[tokio::test]
async fn what_the_metrics_token_hides_looks_like_nothing() {
    let server = Setup::new().env("METRICS_TOKEN", "scrape-0123456789abcdef0123456789").start();
    let (hidden, nothing) = (send(server.get("/metrics")).await, send(server.get("/nothing")).await);
    assert_eq!(hidden.comparable(), nothing.comparable());
}
