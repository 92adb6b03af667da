//! `POST /api/chat/stream`

use parlor_bench::fake::FakeUpstream;
use reqwest::Response;
use serde_json::{Value, json};

use crate::kit::gated::GatedUpstream;
use crate::kit::{assert_fields, assert_text_id, rows, send, wait};
use crate::support::{PATIENCE, Setup, SseEvent, TestServer, events, text_of};

/// Asks for a stream and gives its response when the head is there.
pub async fn begin(server: &TestServer, token: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = server.post("/api/chat/stream", &json!({"message": "Hello"})).bearer_auth(token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

/// Reads a stream piece by piece.
pub struct Reader {
    response: Response,
    text: String,
}

impl Reader {
    pub fn new(response: Response) -> Self {
        Self { response, text: String::new() }
    }

    /// Waits for `count` events from the beginning, and gives all that are there.
    pub async fn events(&mut self, count: usize) -> Vec<SseEvent> {
        loop {
            let whole = self.text.rfind("\n\n").map_or("", |end| &self.text[..end + 2]);
            let seen = events(whole);
            if seen.len() >= count {
                return seen;
            }
            self.more().await;
        }
    }

    /// Waits until the raw text contains `wanted`.
    pub async fn until(&mut self, wanted: &str) {
        while !self.text.contains(wanted) {
            self.more().await;
        }
    }

    async fn more(&mut self) {
        let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap().unwrap();
        let chunk = chunk.unwrap_or_else(|| panic!("the stream ended after {:?}", self.text));
        self.text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

#[tokio::test]
async fn an_answer_streams_in_numbered_events() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "mock-1ms-5tok").start();
    let token = server.sign_up("user@example.com").await;
    let answer = send(server.post("/api/chat/stream", &json!({"message": "Hello"})).bearer_auth(token)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert!(answer.header("cache-control").contains("no-cache"));
    let events = events(&answer.body);
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["start", "chunk", "chunk", "chunk", "chunk", "chunk", "done"]);
    assert_eq!(text_of(&events), "word1 word2 word3 word4 word5");
    let (start, done) = (&events[0].data, &events[6].data);
    assert_fields(start, &["message_id", "session_id", "conversation_id", "model"]);
    assert_fields(&events[1].data, &["content"]);
    assert_fields(done, &["message_id", "session_id", "conversation_id", "model", "usage", "finish_reason", "sources"]);
    for field in ["message_id", "session_id", "conversation_id"] {
        assert_text_id(&start[field]);
        assert_eq!(start[field], done[field]);
    }
    assert_eq!(start["session_id"], start["conversation_id"]);
    assert_eq!((&start["model"], &done["model"]), (&json!("mock-1ms-5tok"), &json!("mock-1ms-5tok")));
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17, "tokens": 17});
    assert_eq!(done["usage"], usage);
    assert_eq!((&done["finish_reason"], &done["sources"]), (&json!("stop"), &json!([])));
}

#[tokio::test]
async fn each_piece_arrives_before_the_next_one_is_said() {
    let mut upstream = GatedUpstream::start().await;
    let server = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url()).start();
    let token = server.sign_up("user@example.com").await;
    let mut reader = Reader::new(begin(&server, &token, &[]).await);
    assert_eq!(reader.events(1).await[0].name, "start");
    let call = upstream.call().await;
    for number in 1..=20 {
        call.say(&format!("<{number}>"));
        let seen = reader.events(number + 1).await;
        assert_eq!(seen.len(), number + 1);
        assert_eq!(seen[number].data, json!({"content": format!("<{number}>")}));
    }
    call.finish();
    assert_eq!(reader.events(22).await[21].name, "done");
}

#[tokio::test]
async fn an_answer_of_multi_byte_characters_arrives_unbroken() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "utf8-10tok").start();
    let token = server.sign_up("user@example.com").await;
    let body = begin(&server, &token, &[]).await.text().await.unwrap();
    let streamed = text_of(&events(&body));
    assert!(!streamed.contains('\u{fffd}') && !streamed.is_ascii(), "{streamed}");
    assert_eq!(streamed, rows::text(&server, "SELECT content FROM messages WHERE role = 'assistant'"));
}

#[tokio::test]
async fn a_stream_that_continues_a_session_sends_its_history() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    let first = events(&begin(&server, &token, &[]).await.text().await.unwrap());
    let session = &first[0].data["session_id"];
    let body = json!({"message": "Again", "session_id": session});
    let second = send(server.post("/api/chat/stream", &body).bearer_auth(&token)).await;
    assert_eq!(events(&second.body)[0].data["session_id"], *session);
    let asked: Value = upstream.requests().pop().unwrap();
    assert_eq!(asked["messages"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn leaving_half_way_keeps_the_whole_answer() {
    let mut upstream = GatedUpstream::start().await;
    let server = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url()).start();
    let token = server.sign_up("user@example.com").await;
    let mut reader = Reader::new(begin(&server, &token, &[]).await);
    let call = upstream.call().await;
    call.say("first ");
    let session = reader.events(2).await[0].data["session_id"].as_str().unwrap().to_owned();
    drop(reader);
    call.say("second ");
    call.say("third");
    call.finish();
    wait::until("the answer is stored", || server.count("SELECT COUNT(*) FROM turns WHERE state = 'complete'") == 1)
        .await;
    let full = send(server.get(&format!("/conversations/{session}/full")).bearer_auth(&token)).await.expect(200);
    assert_eq!(full["messages"][1]["content"], "first second third");
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger"), 1);
}

#[tokio::test]
async fn a_silent_stream_says_that_it_is_alive() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "stall1").env("SERVER__KEEP_ALIVE_SECONDS", "1").start();
    let token = server.sign_up("user@example.com").await;
    let mut reader = Reader::new(begin(&server, &token, &[]).await);
    reader.until(": keep-alive\n\n").await;
    assert_eq!(reader.events(2).await.len(), 2, "a comment is no event and takes no number");
}

#[tokio::test]
async fn a_refused_stream_is_an_ordinary_answer() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let ask = |body: Value| send(server.post("/api/chat/stream", &body).bearer_auth(&token));
    for (body, status) in
        [(json!({"message": ""}), 400), (json!({}), 422), (json!({"message": "Hi", "session_id": 1}), 404)]
    {
        let refused = ask(body).await;
        assert_eq!(refused.status, status);
        assert_eq!(refused.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn readers_that_do_not_read_hold_nobody_up() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "2000tok").start();
    let token = server.sign_up("user@example.com").await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        unread.push(begin(&server, &token, &[]).await);
    }
    wait::until("all answers are stored", || server.count("SELECT COUNT(*) FROM turns WHERE state = 'complete'") == 8)
        .await;
    for response in unread {
        let events = events(&response.text().await.unwrap());
        assert_eq!(events.len(), 2002);
        assert_eq!(events[2001].name, "done");
    }
}
