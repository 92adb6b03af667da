//! Files and addresses that go with messages: who may name them, and what models get of them.

use parlor_bench::fake::FakeUpstream;
use reqwest::Method;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::form::{PNG, uploaded};
use crate::kit::socket::Socket;
use crate::kit::{Answer, rows, send};
use crate::mvp;
use crate::support::{Setup, TestServer};

/// How `PNG` is written for a provider.
const PNG_URL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";

async fn say(server: &TestServer, token: &str, body: &Value) -> Answer {
    send(server.post("/api/v1/chat/send", body).bearer_auth(token)).await
}

/// The `url` of a file that is uploaded.
async fn file(server: &TestServer, token: &str, name: &str, content: &[u8]) -> String {
    uploaded(server, token, name, content).await["url"].as_str().unwrap().to_owned()
}

/// What the provider was told in its newest call, without the system's words.
fn told(upstream: &FakeUpstream) -> Vec<Value> {
    let request = upstream.requests().pop().unwrap();
    let messages = request["messages"].as_array().unwrap();
    messages.iter().filter(|message| message["role"] != "system").map(|message| message["content"].clone()).collect()
}

/// The addresses of a message's pictures, as the provider gets them.
fn pictures(content: &Value) -> Vec<&str> {
    let parts = content.as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|part| part["image_url"]["url"].as_str()).collect()
}

/// A message's text, as the provider gets it.
fn text(content: &Value) -> &str {
    content.as_str().or_else(|| content[0]["text"].as_str()).unwrap()
}

#[tokio::test]
async fn a_picture_reaches_a_model_that_sees_now_and_in_later_turns() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "gpt-4o-2tok").start();
    let token = server.sign_up("user@example.com").await;
    let url = file(&server, &token, "pixel.png", PNG).await;
    let first = say(&server, &token, &json!({"message": "What is this?", "attachments": [url]})).await.expect(200);
    let seen = told(&upstream);
    assert_eq!(text(&seen[0]), "What is this?\n\nAttachments:\npixel.png (image/png)");
    assert_eq!(pictures(&seen[0]), [PNG_URL]);
    let next = json!({"message": "And now?", "conversation_id": first["conversation_id"]});
    say(&server, &token, &next).await.expect(200);
    let seen = told(&upstream);
    assert_eq!((pictures(&seen[0]), text(&seen[2])), (vec![PNG_URL], "And now?"));
    // What a picture costs is counted where no provider counts.
    assert!(server.count("SELECT tokens FROM messages ORDER BY id LIMIT 1") >= 765);
}

#[tokio::test]
async fn streams_sockets_and_the_other_dialect_take_files_too() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "gpt-4o-2tok").start();
    let token = server.sign_up("user@example.com").await;
    let id = uploaded(&server, &token, "pixel.png", PNG).await["id"].as_str().unwrap().to_owned();
    let body = json!({"message": "Look", "attachments": [id]});
    assert_eq!(send(server.post("/api/v1/chat/stream", &body).bearer_auth(&token)).await.status, 200);
    assert_eq!(pictures(&told(&upstream)[0]), [PNG_URL]);

    let path = format!("/api/v1/chat/ws/{}?token={token}", server.count("SELECT id FROM accounts"));
    let mut socket = Socket::open(&server, &path, &[]).await.ok().unwrap();
    socket.send(&body).await;
    socket.answer().await;
    assert_eq!(pictures(&told(&upstream)[0]), [PNG_URL]);
    socket.send(&json!({"message": "Look", "attachments": ["1234567890123456"]})).await;
    let refused = socket.frame().await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("not_found")));

    let sent = mvp::say(&server, &token, &body).await.expect(200);
    assert_eq!(pictures(&told(&upstream)[0]), [PNG_URL]);
    let history = format!("/chat/history/{}", sent["conversation_id"].as_str().unwrap());
    let history = send(server.get(&history).bearer_auth(&token)).await.expect(200);
    assert_eq!(history["messages"][0]["attachments"], json!([format!("/api/v1/files/{id}/content")]));
    let missing = mvp::say(&server, &token, &json!({"message": "Look", "attachments": ["1234567890123456"]})).await;
    assert_eq!((missing.status.as_u16(), missing.detail().as_str()), (404, "File not found"));
}

#[tokio::test]
async fn a_model_that_does_not_see_is_told_so() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    let url = file(&server, &token, "pixel.png", PNG).await;
    let body = json!({"message": "Look", "attachments": [url, "https://example.com/a.png"]});
    say(&server, &token, &body).await.expect(200);
    let line = "pixel.png (image/png): a picture, which this model cannot see";
    assert_eq!(told(&upstream), [format!("Look\n\nAttachments:\n{line}\nhttps://example.com/a.png")]);
}

#[tokio::test]
async fn whoever_stands_in_for_a_model_that_sees_and_does_not_gets_no_pictures() {
    let (openai, groq) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let setup = Setup::new().upstream(&openai, "gpt-4o-err503").env("PROVIDERS__MAX_RETRIES", "0");
    let setup = setup.env("AI_SERVICES__GROQ_API_KEY", "gsk-test");
    let server = setup.env("AI_SERVICES__GROQ_BASE_URL", &groq.base_url()).start();
    let token = server.sign_up("user@example.com").await;
    let url = file(&server, &token, "pixel.png", PNG).await;
    say(&server, &token, &json!({"message": "Look", "attachments": [url]})).await.expect(200);
    assert_eq!(pictures(&told(&openai)[0]), [PNG_URL]);
    let seen = told(&groq);
    assert_eq!(seen, ["Look\n\nAttachments:\npixel.png (image/png)\n\n(This model cannot see the pictures.)"]);
}

#[tokio::test]
async fn the_settings_say_who_sees_and_how_much() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, "our-2tok").env("CHAT__VISION_MODELS", "our-*");
    let server = setup.env("CHAT__IMAGES", "2").env("CHAT__IMAGE_BYTES", "100").start();
    let token = server.sign_up("user@example.com").await;
    let url = file(&server, &token, "pixel.png", PNG).await;
    let body = json!({"message": "one", "attachments": ["https://example.com/a.png", url]});
    let first = say(&server, &token, &body).await.expect(200);
    assert_eq!(pictures(&told(&upstream)[0]), ["https://example.com/a.png", PNG_URL]);
    // The newest come first, and two of 70 bytes are more than 100.
    let body = json!({"message": "two", "attachments": [url], "conversation_id": first["conversation_id"]});
    say(&server, &token, &body).await.expect(200);
    let seen = told(&upstream);
    assert_eq!(pictures(&seen[2]), [PNG_URL]);
    assert_eq!(pictures(&seen[0]), ["https://example.com/a.png"]);
    assert!(text(&seen[0]).ends_with("pixel.png (image/png): a picture, left out since there are too many"));
}

#[tokio::test]
async fn pictures_count_in_a_conversations_budget() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "gpt-4o-2tok").env("CHAT__CONTEXT_TOKENS", "700").start();
    let token = server.sign_up("user@example.com").await;
    let body = json!({"message": "one", "attachments": ["https://example.com/a.png"]});
    let first = say(&server, &token, &body).await.expect(200);
    let next = json!({"message": "two", "conversation_id": first["conversation_id"]});
    say(&server, &token, &next).await.expect(200);
    let seen = told(&upstream);
    assert_eq!(seen.len(), 2, "the first message is out of the budget, its answer is not: {seen:?}");
}

#[tokio::test]
async fn short_texts_are_put_before_the_model_and_long_ones_named() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "2tok").start();
    let token = server.sign_up("user@example.com").await;
    let short = file(&server, &token, "data.csv", b"a,b\n1,2\n").await;
    let long = file(&server, &token, "long.txt", "x".repeat(32 * 1024 + 1).as_bytes()).await;
    let pdf = file(&server, &token, "a.pdf", b"%PDF-1.7").await;
    say(&server, &token, &json!({"message": "Look", "attachments": [short, long, pdf]})).await.expect(200);
    let expected = "Look\n\nAttachments:\ndata.csv (text/csv)\nlong.txt (text/plain): its content is not shown\n\
                    a.pdf (application/pdf): its content is not shown\n\n--- data.csv ---\na,b\n1,2\n--- end of data.csv ---";
    assert_eq!(told(&upstream), [expected]);
}

#[tokio::test]
async fn a_file_of_somebody_elses_goes_with_nothing_and_answers_like_none() {
    let server = Setup::new().start();
    let (mine, other) = (server.sign_up("a@example.com").await, server.sign_up("b@example.com").await);
    let url = file(&server, &mine, "pixel.png", PNG).await;
    let begun = say(&server, &other, &json!({"message": "Hi"})).await.expect(200);
    let before = rows::rows(&server);
    for conversation in [json!(""), begun["conversation_id"].clone()] {
        let body =
            |address: &str| json!({"message": "Look", "attachments": [address], "conversation_id": conversation});
        let theirs = say(&server, &other, &body(&url)).await;
        assert_eq!(assert_problem(&theirs, 404), "File not found");
        let none = say(&server, &other, &body("/api/v1/files/1234567890123456/content")).await;
        assert_eq!(none.comparable(), theirs.comparable());
    }
    for bad in ["pixel.png", "/api/v1/files/x/content", "ftp://example.com", "99999999999999999999"] {
        assert_problem(&say(&server, &other, &json!({"message": "Look", "attachments": [bad]})).await, 400);
    }
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn a_message_shows_its_files_in_every_spelling_and_keeps_the_place_of_a_deleted_one() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "gpt-4o-2tok").env("PUBLIC_URL", "https://chat.example").start();
    let token = server.sign_up("user@example.com").await;
    let id = uploaded(&server, &token, "pixel.png", PNG).await["id"].as_str().unwrap().to_owned();
    let url = format!("/api/v1/files/{id}/content");
    let spellings = [id.clone(), url.clone(), format!("https://chat.example{url}"), "https://example.com/a".to_owned()];
    let sent = say(&server, &token, &json!({"message": "Look", "attachments": spellings})).await.expect(200);
    let conversation = sent["conversation_id"].as_str().unwrap();
    let get =
        |rest: &str| send(server.get(&format!("/api/v1/conversations/{conversation}/{rest}")).bearer_auth(&token));
    let message = get("messages").await.expect(200)["items"][0].clone();
    assert_eq!(message["attachments"], json!([url, url, url, "https://example.com/a"]));
    let known = json!({"id": id, "url": url, "deleted": false, "name": "pixel.png", "media_type": "image/png", "bytes": PNG.len()});
    assert_eq!(message["files"], json!([known]));
    assert_eq!(get("export").await.expect(200)["messages"][0]["files"], json!([known]));
    let line = format!("- pixel.png (image/png, {} bytes)\n", PNG.len());
    assert!(get("export?format=markdown").await.body.contains(&line));

    assert_eq!(send(server.delete(&format!("/api/v1/files/{id}")).bearer_auth(&token)).await.status, 204);
    let message = get("messages").await.expect(200)["items"][0].clone();
    let gone = json!({"id": id, "url": url, "deleted": true, "name": null, "media_type": null, "bytes": null});
    assert_eq!(message["files"], json!([gone]));
    assert!(get("export?format=markdown").await.body.contains("- a file that has been deleted\n"));
    say(&server, &token, &json!({"message": "And?", "conversation_id": conversation})).await.expect(200);
    let seen = told(&upstream);
    assert!(text(&seen[0]).starts_with("Look\n\nAttachments:\na file that has been deleted\n"), "{seen:?}");
    assert_eq!(pictures(&seen[0]), [""; 0]);
}

#[tokio::test]
async fn an_answer_given_again_and_a_message_said_differently_keep_their_pictures() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "gpt-4o-2tok").start();
    let token = server.sign_up("user@example.com").await;
    let url = file(&server, &token, "pixel.png", PNG).await;
    let sent = say(&server, &token, &json!({"message": "Look", "attachments": [url]})).await.expect(200);
    let conversation = sent["conversation_id"].as_str().unwrap();
    let messages = format!("/api/v1/conversations/{conversation}/messages");
    let again = format!("{messages}/{}/regenerate", sent["message_id"].as_str().unwrap());
    send(server.post(&again, &json!({})).bearer_auth(&token)).await.expect(200);
    assert_eq!(pictures(&told(&upstream)[0]), [PNG_URL]);
    let list = send(server.request(Method::GET, &messages).bearer_auth(&token)).await.expect(200);
    let edit = format!("{messages}/{}/edit", list["items"][0]["id"].as_str().unwrap());
    send(server.post(&edit, &json!({"message": "See", "attachments": [url]})).bearer_auth(&token)).await.expect(200);
    assert_eq!((text(&told(&upstream)[0]), upstream.chat_calls()), ("See\n\nAttachments:\npixel.png (image/png)", 3));
}

#[tokio::test]
async fn the_same_key_answers_after_its_file_is_gone() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "gpt-4o-2tok").start();
    let token = server.sign_up("user@example.com").await;
    let id = uploaded(&server, &token, "pixel.png", PNG).await["id"].as_str().unwrap().to_owned();
    let body = json!({"message": "Look", "attachments": [id]});
    let send_it =
        || send(server.post("/api/v1/chat/send", &body).bearer_auth(&token).header("idempotency-key", "once"));
    let first = send_it().await.expect(200);
    assert_eq!(send(server.delete(&format!("/api/v1/files/{id}")).bearer_auth(&token)).await.status, 204);
    assert_eq!(send_it().await.expect(200), first);
    assert_eq!(upstream.chat_calls(), 1);
}
