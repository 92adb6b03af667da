//! `GET /` and `GET /static/{path}`

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::kit::send;
use crate::support::{Setup, TestServer};

/// The files that a page names under `/static/`.
pub fn files_of(page: &str) -> Vec<String> {
    let starts = page.match_indices("/static/").map(|(at, _)| at);
    starts.map(|at| page[at..].split(['"', '\'', ')', ' ', '>']).next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_browser_gets_the_web_app_and_a_program_a_status() {
    let server = Setup::new().start();
    for accept in
        ["text/html", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json, text/html"]
    {
        let page = send(server.get("/").header("accept", accept)).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").starts_with("text/html"), "{accept}");
        assert!(page.body.to_lowercase().contains("<!doctype html>"));
        assert!(page.header("content-security-policy").contains("default-src 'self'"));
    }
    for accept in ["application/json", "*/*", "text/plain"] {
        let answer = send(server.get("/").header("accept", accept)).await;
        assert_eq!(answer.expect(200), json!({"status": "Working"}), "{accept}");
    }
}

#[tokio::test]
async fn what_a_cache_keeps_of_the_root_depends_on_accept() {
    let server = Setup::new().start();
    for accept in ["text/html", "application/json"] {
        let answer = send(server.get("/").header("accept", accept)).await;
        let vary: Vec<String> =
            answer.headers.get_all("vary").iter().map(|v| v.to_str().unwrap().to_lowercase()).collect();
        let listed = vary.iter().flat_map(|list| list.split(',')).any(|name| name.trim() == "accept");
        assert!(listed, "{accept}: {vary:?}");
    }
}

#[tokio::test]
async fn the_web_apps_files_are_kept_long_when_their_name_has_a_hash() {
    let server = Setup::new().start();
    let page = send(server.get("/").header("accept", "text/html")).await;
    assert_eq!(page.header("cache-control"), "no-cache");
    let files = files_of(&page.body);
    assert!(files.len() >= 2, "{files:?}");
    for path in files {
        let file = send(server.get(&path)).await;
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable", "{path}");
        let kind = file.header("content-type");
        let expected = match path.rsplit('.').next() {
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            _ => "image/",
        };
        assert!(kind.starts_with(expected), "{path}: {kind}");
    }
    let plain = send(server.get("/static/licences.txt")).await;
    assert_eq!((plain.status.as_u16(), plain.header("cache-control")), (200, "no-cache"));
}

#[tokio::test]
async fn a_file_is_sent_compressed_to_who_takes_it() {
    let server = Setup::new().start();
    let page = send(server.get("/").header("accept", "text/html")).await;
    let script = files_of(&page.body).into_iter().find(|path| path.ends_with(".js")).unwrap();
    let plain = server.get(&script).send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
    let plain = plain.bytes().await.unwrap();
    let packed = server.get(&script).header("accept-encoding", "gzip, br").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "br");
    assert!(packed.headers()["vary"].to_str().unwrap().contains("accept-encoding"));
    assert!(packed.bytes().await.unwrap().len() < plain.len());
}

/// A GET of exactly that path: clients tidy paths up. Gives the status.
fn status_of(server: &TestServer, path: &str) -> u16 {
    let mut socket = TcpStream::connect(server.authority()).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.contains("root:x:") && !text.contains("[package]") && !text.contains("SQLite format"), "{path}");
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn no_path_leads_out_of_the_folder() {
    let server = Setup::new().start();
    for path in [
        "/static/../index.html",
        "/static/..%2findex.html",
        "/static/%2e%2e/index.html",
        "/static/%2e%2e%2findex.html",
        "/static/..\\index.html",
        "/static//etc/passwd",
        "/static/%2Fetc%2Fpasswd",
        "/static/../../../../etc/passwd",
        "/static/../../Cargo.toml",
        "/static/%00",
        "/static/licences.txt%00.js",
        "/static/licences.txt.br",
        "/static/",
        "/static/nothing.js",
        "/static/index-00000000.js",
    ] {
        assert!(matches!(status_of(&server, path), 400 | 404), "{path}: {}", status_of(&server, path));
    }
}

#[tokio::test]
async fn the_web_app_is_told_how_long_a_message_may_be() {
    let server = Setup::new().env("CHAT__MESSAGE_MAX_CHARS", "123").start();
    let page = send(server.get("/").header("accept", "text/html").header("accept-encoding", "identity")).await;
    assert!(page.body.contains("<meta name=\"message-max-chars\" content=\"123\" />"), "{}", page.body);
}
