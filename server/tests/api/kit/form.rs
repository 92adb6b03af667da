//! Forms with a file, as browsers send them.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::{Answer, send};
use crate::support::TestServer;

const BOUNDARY: &str = "----parlor-tests-7d1a9c";

/// A PNG of one pixel.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";

/// One field of a form: its headers, then its content.
pub fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    let mut part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n").into_bytes();
    part.extend_from_slice(b"Content-Type: text/html\r\n\r\n");
    part.extend_from_slice(content);
    part.extend_from_slice(b"\r\n");
    part
}

/// A request whose body is a form of these fields.
pub fn form(server: &TestServer, token: &str, parts: &[Vec<u8>]) -> RequestBuilder {
    let mut body = parts.concat();
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    server.request(Method::POST, "/api/v1/files").header("content-type", kind).body(body).bearer_auth(token)
}

/// Uploads a file.
pub async fn upload(server: &TestServer, token: &str, name: &str, content: &[u8]) -> Answer {
    send(form(server, token, &[part(&format!("name=\"file\"; filename=\"{name}\""), content)])).await
}

/// Uploads a file that is taken. Gives what is answered.
pub async fn uploaded(server: &TestServer, token: &str, name: &str, content: &[u8]) -> Value {
    upload(server, token, name, content).await.expect(201)
}
