//! `GET /api/v1/chat/messages/{id}/stream`: whose answers one may read.

use serde_json::json;

use super::assert_problem;
use crate::kit::send;
use crate::support::Setup;

#[tokio::test]
async fn anothers_answer_looks_like_none() {
    let server = Setup::new().start();
    let (one, two) = (server.sign_up("one@example.com").await, server.sign_up("two@example.com").await);
    let mine = send(server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&one)).await.expect(200);
    let id: i64 = mine["message_id"].as_str().unwrap().parse().unwrap();
    let unknown = send(server.get("/api/v1/chat/messages/999999/stream").bearer_auth(&two)).await;
    assert_eq!(assert_problem(&unknown, 404), "Message not found");
    let question = id - 1;
    for path in [format!("{id}"), format!("{question}"), "0".to_owned(), "abc".to_owned(), "-1".to_owned()] {
        let refused = send(server.get(&format!("/api/v1/chat/messages/{path}/stream")).bearer_auth(&two)).await;
        assert_eq!(refused.comparable(), unknown.comparable(), "{path}");
        let stop = server.post(&format!("/api/v1/chat/messages/{path}/stop"), &json!({})).bearer_auth(&two);
        assert_eq!(send(stop).await.body, unknown.body, "{path}");
    }
    let question = send(server.get(&format!("/api/v1/chat/messages/{question}/stream")).bearer_auth(&one)).await;
    assert_eq!(question.comparable(), unknown.comparable(), "a question has no stream");
}
