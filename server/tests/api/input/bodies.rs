//! Bodies that are not what they should be, on every call that takes one.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;

use super::table::{Bench, JSON_CALLS, SECRET_TEXT, kinds};

async fn assert_all(body: &[u8], kind: &str) {
    let bench = Bench::start().await;
    for (path, with_token) in JSON_CALLS {
        let request = bench.raw(path, with_token, body.to_vec());
        let refused = bench.assert_refused(path, request, 422).await;
        assert_eq!(kinds(&refused)[0], kind, "{path}");
    }
}

#[tokio::test]
async fn truncated_json_is_422() {
    assert_all(format!("{{\"message\": \"{SECRET_TEXT}").as_bytes(), "json_invalid").await;
}

#[tokio::test]
async fn text_that_is_no_json_is_422() {
    assert_all(SECRET_TEXT.as_bytes(), "json_invalid").await;
}

#[tokio::test]
async fn something_after_the_json_is_422() {
    assert_all(b"{} {}", "json_invalid").await;
}

#[tokio::test]
async fn json_ten_thousand_levels_deep_is_422() {
    assert_all(&b"[".repeat(10_000), "json_invalid").await;
    assert_all("{\"a\":".repeat(10_000).as_bytes(), "json_invalid").await;
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_422() {
    assert_all(b"{\"message\": \"\xff\xfe\", \"user_id\": \"\xc3\x28\", \"email\": \"\xff\", \"username\": \"\xff\", \"password\": \"\xff\", \"refresh_token\": \"\xff\"}", "json_invalid").await;
}

#[tokio::test]
async fn half_a_surrogate_pair_is_422() {
    let body = br#"{"message": "\ud800", "user_id": "\ud800", "email": "\ud800", "username": "\ud800", "password": "\ud800", "refresh_token": "\ud800"}"#;
    assert_all(body, "json_invalid").await;
}

#[tokio::test]
async fn a_field_that_is_given_twice_is_422() {
    let bench = Bench::start().await;
    let request = bench.raw("/chat", false, format!("{{\"message\": \"a\", \"message\": \"{SECRET_TEXT}\"}}"));
    let refused = bench.assert_refused("/chat", request, 422).await;
    let fault = serde_json::json!({"loc": ["body"], "msg": "A field is given twice", "type": "value_error"});
    assert_eq!(refused.json(), serde_json::json!({"detail": [fault]}));
}

#[tokio::test]
async fn an_array_is_422() {
    assert_all(b"[{\"message\": \"Hi\"}]", "model_attributes_type").await;
}

#[tokio::test]
async fn a_bare_value_is_422() {
    for body in ["null", "5", "\"Hi\"", "true"] {
        assert_all(body.as_bytes(), "model_attributes_type").await;
    }
}

#[tokio::test]
async fn an_empty_body_is_422() {
    assert_all(b"", "missing").await;
}

#[tokio::test]
async fn an_empty_object_lacks_every_field_at_once() {
    let bench = Bench::start().await;
    for (path, with_token) in JSON_CALLS {
        let refused = bench.assert_refused(path, bench.raw(path, with_token, "{}"), 422).await;
        let expected = match path {
            "/chat-message" => 4,
            "/api/auth/register" | "/api/auth/login" | "/api/v1/auth/login" | "/auth/signup" | "/auth/login" => 2,
            _ => 1,
        };
        assert_eq!(kinds(&refused), vec!["missing"; expected], "{path}");
    }
}

#[tokio::test]
async fn another_content_type_than_json_is_422() {
    let bench = Bench::start().await;
    let body = format!(
        "{{\"message\": \"{SECRET_TEXT}\", \"user_id\": \"anna\", \"email\": \"a@b.de\", \"username\": \"a@b.de\", \"password\": \"12345678\", \"refresh_token\": \"x\"}}"
    );
    for (path, with_token) in JSON_CALLS {
        for kind in ["text/plain", "multipart/form-data; boundary=x", "application/xml"] {
            let request = bench.server.request(Method::POST, path).header("content-type", kind).body(body.clone());
            let request = if with_token { request.bearer_auth(&bench.token) } else { request };
            let refused = bench.assert_refused(&format!("{path} as {kind}"), request, 422).await;
            assert_eq!(kinds(&refused), ["content_type"], "{path}");
        }
    }
}

#[tokio::test]
async fn a_form_poses_as_json_nowhere_but_at_the_login() {
    let bench = Bench::start().await;
    for (path, with_token) in JSON_CALLS.into_iter().filter(|(path, _)| !path.ends_with("/login")) {
        let request = bench.server.request(Method::POST, path);
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").body("message=Hi&user_id=anna");
        let request = if with_token { request.bearer_auth(&bench.token) } else { request };
        bench.assert_refused(path, request, 422).await;
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let bench = Bench::start().await;
    let body = format!("{{\"message\": \"{}\"}}", "x".repeat(2 << 20));
    for (path, with_token) in JSON_CALLS {
        let refused = bench.assert_refused(path, bench.raw(path, with_token, body.clone()), 413).await;
        assert_eq!(refused.detail(), "Request body is too large");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_that_does_not_tell_its_length_is_413() {
    let bench = Bench::start().await;
    let piece = bytes::Bytes::from("x".repeat(1 << 16));
    let pieces = (0..32).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let request = bench.raw("/chat", false, body);
    bench.assert_refused("/chat", request, 413).await;
}

#[tokio::test]
async fn whoever_asks_before_sending_too_much_is_told_at_once() {
    let bench = Bench::start().await;
    let mut socket = TcpStream::connect(bench.server.authority()).unwrap();
    let head = "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    let mut line = [0; 12];
    socket.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_path_that_is_not_there_is_404_and_a_wrong_method_405() {
    let bench = Bench::start().await;
    let unknown = bench.assert_refused("unknown", bench.server.get("/nothing/here"), 404).await;
    assert_eq!(unknown.detail(), "Not Found");
    let wrong = bench.assert_refused("method", bench.server.get("/chat"), 405).await;
    assert_eq!(wrong.detail(), "Method Not Allowed");
    assert!(wrong.header("allow").contains("POST"), "{wrong:?}");
}
