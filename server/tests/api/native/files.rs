//! `/api/v1/files`

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::json;

use super::assert_problem;
use crate::kit::form::{PNG, form, part, upload, uploaded};
use crate::kit::wait::until;
use crate::kit::{Answer, assert_fields, assert_text_id, assert_time, rows, send};
use crate::support::{PASSWORD, Setup, TestServer};

async fn content(server: &TestServer, token: &str, id: &str) -> Answer {
    send(server.get(&format!("/api/v1/files/{id}/content")).bearer_auth(token)).await
}

/// Everything that lies in the store.
fn stored(server: &TestServer) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() { walk(&entry.path(), found) } else { found.push(entry.path()) }
        }
    }
    let mut found = Vec::new();
    walk(&server.data.path().join("files"), &mut found);
    found
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_sent_and_lies_privately_under_its_hash() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let file = uploaded(&server, &token, "pixel żółć.png", PNG).await;
    assert_fields(&file, &["id", "name", "media_type", "bytes", "created_at", "url"]);
    let id = assert_text_id(&file["id"]);
    assert_eq!((&file["name"], &file["media_type"]), (&json!("pixel żółć.png"), &json!("image/png")));
    assert_eq!((&file["bytes"], &file["url"]), (&json!(PNG.len()), &json!(format!("/api/v1/files/{id}/content"))));
    assert_time(&file["created_at"]);
    assert_eq!(send(server.get(&format!("/api/v1/files/{id}")).bearer_auth(&token)).await.expect(200), file);

    let request = server.get(file["url"].as_str().unwrap()).bearer_auth(&token);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-length"].to_str().unwrap(), PNG.len().to_string());
    assert_eq!(&answer.bytes().await.unwrap()[..], PNG);

    let [path] = &stored(&server)[..] else { panic!("one content, and nothing half taken in") };
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&server.data.path().join("files")), 0o700);
    assert_eq!(std::fs::read(path).unwrap(), PNG);
}

#[tokio::test]
async fn nothing_that_is_served_can_run() {
    let server = Setup::new().env("FILES__TYPES", "*").start();
    let token = server.sign_up("user@example.com").await;
    let script = b"<script>alert(1)</script>";
    for (name, sent, kind, told, shown) in [
        ("a.html", PNG, "image/png", "image/png", "inline"),
        ("a.png", b"<!DOCTYPE html><script>alert(1)</script>", "text/html", "text/plain; charset=utf-8", "attachment"),
        ("a.png", b"<svg onload='alert(1)'/>", "image/svg+xml", "application/octet-stream", "attachment"),
        ("a.csv", script, "text/csv", "text/plain; charset=utf-8", "attachment"),
        ("a.pdf", b"%PDF-1.7", "application/pdf", "application/pdf", "attachment"),
        ("a.bin", b"\0\x01\x02", "application/octet-stream", "application/octet-stream", "attachment"),
    ] {
        let file = uploaded(&server, &token, name, sent).await;
        assert_eq!(file["media_type"], kind, "{name}");
        let served = content(&server, &token, file["id"].as_str().unwrap()).await;
        assert_eq!(served.header("content-type"), told);
        assert_eq!(served.header("content-disposition"), format!("{shown}; filename*=UTF-8''{name}"));
        assert_eq!(served.header("x-content-type-options"), "nosniff");
        assert_eq!(served.header("content-security-policy"), "sandbox; default-src 'none'");
        assert_eq!(served.header("cache-control"), "private, no-cache");
    }
}

#[tokio::test]
async fn who_has_a_content_already_is_told_so_while_it_is_theirs() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let id = uploaded(&server, &token, "a.png", PNG).await["id"].as_str().unwrap().to_owned();
    let tag = content(&server, &token, &id).await.header("etag").to_owned();
    let path = format!("/api/v1/files/{id}/content");
    let again = || send(server.get(&path).bearer_auth(&token).header("if-none-match", &tag));
    let unchanged = again().await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.as_str()), (304, ""));
    assert_eq!(send(server.delete(&format!("/api/v1/files/{id}")).bearer_auth(&token)).await.status, 204);
    assert_problem(&again().await, 404);
}

#[tokio::test]
async fn what_is_no_file_is_refused_and_leaves_nothing() {
    let setup = Setup::new().env("FILES__MAX_BYTES", "1000");
    let server = setup.start();
    let token = server.sign_up("user@example.com").await;
    let before = rows::rows(&server);
    let long = "x".repeat(86);
    for (name, sent, status, sentence) in [
        ("a.txt", &b""[..], 400, "the file is empty"),
        ("a.svg", b"<svg/>", 400, "files of this type are not taken: image/svg+xml"),
        ("a.png", b"<html></html>", 400, "files of this type are not taken: text/html"),
        ("a.png", b"PK\x03\x04\0\0", 400, "files of this type are not taken: application/zip"),
        ("", b"text", 400, "the file needs a name"),
        (long.as_str(), b"text", 400, "the file's name must have at most 85 characters"),
        ("a.txt", &[b'x'; 1001], 413, "the file is too large: it must have at most 1000 bytes"),
        ("a.txt", &vec![b'x'; 3 << 20], 413, "the file is too large: it must have at most 1000 bytes"),
    ] {
        assert_eq!(assert_problem(&upload(&server, &token, name, sent).await, status), sentence, "{name}");
    }
    uploaded(&server, &token, "a.txt", &[b'x'; 1000]).await;
    let [_] = &stored(&server)[..] else { panic!("only what was taken is kept") };
    assert_eq!(rows::rows(&server)["files"], before["files"] + 1);
    assert_eq!(rows::rows(&server)["file_leftovers"], 0);
}

#[tokio::test]
async fn what_is_no_form_with_a_file_is_refused() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    assert_problem(&send(server.post("/api/v1/files", &json!({"file": "x"})).bearer_auth(&token)).await, 422);
    let other = part("name=\"other\"; filename=\"a.txt\"", b"text");
    let missing = send(form(&server, &token, std::slice::from_ref(&other))).await;
    assert_problem(&missing, 422);
    assert_eq!(missing.json()["errors"][0]["loc"], json!(["body", "file"]));
    let unnamed = send(form(&server, &token, &[part("name=\"file\"", b"text")])).await;
    assert_eq!(assert_problem(&unnamed, 400), "the file needs a name");
    let cut = server.request(Method::POST, "/api/v1/files").header("content-type", "multipart/form-data; boundary=b");
    assert_problem(&send(cut.body("--b\r\nContent-Disp").bearer_auth(&token)).await, 422);
    let begun = server.request(Method::POST, "/api/v1/files").header("content-type", "multipart/form-data; boundary=b");
    let body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nbroken o";
    let broken = send(begun.body(body).bearer_auth(&token)).await;
    assert_eq!(assert_problem(&broken, 400), "the file broke off on its way");
    let nobody =
        server.request(Method::POST, "/api/v1/files").header("content-type", "multipart/form-data; boundary=b");
    assert_problem(&send(nobody.body(body)).await, 401);
    assert!(stored(&server).is_empty());
    // Fields before the file are passed over.
    let file = part("name=\"file\"; filename=\"a.txt\"", b"text");
    send(form(&server, &token, &[other, file])).await.expect(201);
}

#[tokio::test]
async fn an_accounts_files_fill_their_room_and_deleting_makes_some() {
    let server = Setup::new().env("FILES__PER_ACCOUNT_BYTES", "10").start();
    let token = server.sign_up("user@example.com").await;
    let first = uploaded(&server, &token, "a.txt", b"12345").await["id"].as_str().unwrap().to_owned();
    uploaded(&server, &token, "a.txt", b"12345").await;
    let full = upload(&server, &token, "b.txt", b"1").await;
    assert_eq!(assert_problem(&full, 409), "This account's files fill their room: delete some first");
    assert_eq!(send(server.delete(&format!("/api/v1/files/{first}")).bearer_auth(&token)).await.status, 204);
    let too_much = upload(&server, &token, "b.txt", b"123456").await;
    assert_problem(&too_much, 409);
    assert_eq!(stored(&server).len(), 1, "what found no room is removed");
    uploaded(&server, &token, "b.txt", b"12346").await;
}

#[tokio::test]
async fn files_are_listed_page_by_page_newest_first() {
    let server = Setup::new().start();
    let (token, other) = (server.sign_up("a@example.com").await, server.sign_up("b@example.com").await);
    let list = |query: &str| send(server.get(&format!("/api/v1/files{query}")).bearer_auth(&token));
    assert_eq!(list("").await.expect(200), json!({"items": [], "next": null}));
    for n in 1..=5 {
        uploaded(&server, &token, &format!("{n}.txt"), format!("text {n}").as_bytes()).await;
    }
    uploaded(&server, &other, "other.txt", b"text").await;
    let (mut names, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = list(&query).await.expect(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=2&before={next}");
    }
    assert_eq!(names, ["5.txt", "4.txt", "3.txt", "2.txt", "1.txt"]);
    for bad in ["?limit=0", "?limit=101", "?before=x"] {
        assert_problem(&list(bad).await, 400);
    }
}

#[tokio::test]
async fn somebody_elses_file_answers_like_none() {
    let server = Setup::new().start();
    let (mine, other) = (server.sign_up("a@example.com").await, server.sign_up("b@example.com").await);
    let id = uploaded(&server, &mine, "a.png", PNG).await["id"].as_str().unwrap().to_owned();
    for (method, rest) in [(Method::GET, ""), (Method::GET, "/content"), (Method::DELETE, "")] {
        let call =
            |id: &str| send(server.request(method.clone(), &format!("/api/v1/files/{id}{rest}")).bearer_auth(&other));
        let theirs = call(&id).await;
        assert_eq!(assert_problem(&theirs, 404), "File not found");
        for none in ["1234567890123456", "x", "-1"] {
            assert_eq!(call(none).await.comparable(), theirs.comparable(), "{method} {rest} {none}");
        }
    }
    assert_eq!(content(&server, &mine, &id).await.status, 200);
}

#[tokio::test]
async fn a_shared_content_goes_with_its_last_file() {
    let server = Setup::new().start();
    let (anna, ben) = (server.sign_up("a@example.com").await, server.sign_up("b@example.com").await);
    let mut ids = Vec::new();
    for token in [&anna, &anna, &ben] {
        ids.push(uploaded(&server, token, "a.txt", b"the same").await["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(stored(&server).len(), 1);
    for (token, id) in [(&anna, &ids[0]), (&anna, &ids[1])] {
        assert_eq!(send(server.delete(&format!("/api/v1/files/{id}")).bearer_auth(token)).await.status, 204);
        assert_problem(&send(server.delete(&format!("/api/v1/files/{id}")).bearer_auth(token)).await, 404);
        assert_eq!(stored(&server).len(), 1);
    }
    assert_eq!(content(&server, &ben, &ids[2]).await.body, "the same");
    // An account takes its files along.
    let erased = server.request(Method::DELETE, "/api/v1/users/me").json(&json!({"password": PASSWORD}));
    assert_eq!(send(erased.bearer_auth(&ben)).await.status, 204);
    until("the content is gone", || stored(&server).is_empty()).await;
    until("nothing is noted", || server.count("SELECT COUNT(*) FROM file_leftovers") == 0).await;
    assert_eq!(server.count("SELECT COUNT(*) FROM files"), 0);
}

#[tokio::test]
async fn a_content_that_comes_again_while_it_goes_is_there() {
    let server = Setup::new().start();
    let (anna, ben) = (server.sign_up("a@example.com").await, server.sign_up("b@example.com").await);
    let come_and_go = |token: String| {
        let server = &server;
        async move {
            for _ in 0..40 {
                let id = uploaded(server, &token, "a.txt", b"the same").await["id"].as_str().unwrap().to_owned();
                assert_eq!(content(server, &token, &id).await.body, "the same");
                assert_eq!(send(server.delete(&format!("/api/v1/files/{id}")).bearer_auth(&token)).await.status, 204);
            }
            uploaded(server, &token, "a.txt", b"the same").await["id"].as_str().unwrap().to_owned()
        }
    };
    let (annas, bens) = tokio::join!(come_and_go(anna.clone()), come_and_go(ben.clone()));
    assert_eq!(content(&server, &anna, &annas).await.body, "the same");
    assert_eq!(content(&server, &ben, &bens).await.body, "the same");
    assert_eq!(stored(&server).len(), 1);
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_kill_and_what_was_left_over_goes() {
    let mut server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let id = uploaded(&server, &token, "a.txt", b"kept").await["id"].as_str().unwrap().to_owned();
    server.kill();
    // As a crash leaves it: a content that was put in place before its row was stored, and one half taken in.
    let hash = "ab".repeat(32);
    let files = server.data.path().join("files");
    std::fs::create_dir_all(files.join("ab")).unwrap();
    std::fs::write(files.join("ab").join(&hash[2..]), "nobody's").unwrap();
    std::fs::write(files.join("incoming/file-x"), "half").unwrap();
    server.database().execute("INSERT INTO file_leftovers (hash, noted_at) VALUES (?1, 1)", [&hash]).unwrap();
    server.restart();
    until("the leftovers are gone", || stored(&server).len() == 1).await;
    assert_eq!(content(&server, &token, &id).await.body, "kept");
}
