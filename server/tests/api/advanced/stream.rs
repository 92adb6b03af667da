//! `POST /api/chat/stream`

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use crate::support::{Setup, events, text_of};

#[tokio::test]
async fn an_answer_streams_in_numbered_events() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "mock-1ms-5tok").start();
    let token = server.sign_up("user@example.com").await;
    let request = server.post("/api/chat/stream", &json!({"message": "Hello"})).bearer_auth(token);
    let body = request.send().await.unwrap().text().await.unwrap();
    let events = events(&body);
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    assert_eq!(text_of(&events), "word1 word2 word3 word4 word5");
    assert_eq!(events[6].name, "done");
    assert_eq!(events[6].data["usage"]["total_tokens"], 17);
}
