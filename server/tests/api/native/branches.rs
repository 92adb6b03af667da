//! `/api/v1/conversations/{id}/messages…`: reading, regenerating, editing, going to another branch, rating.

use parlor_bench::fake::FakeUpstream;
use reqwest::Method;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::{Answer, assert_fields, assert_time, send};
use crate::support::{Setup, TestServer, events, text_of};

struct Talk {
    server: TestServer,
    token: String,
    id: String,
    _upstream: FakeUpstream,
}

impl Talk {
    /// A conversation of one exchange with a provider that says what it is told.
    async fn begin() -> Self {
        let upstream = FakeUpstream::start().await;
        let server = Setup::new().upstream(&upstream, "echo").start();
        let token = server.sign_up("user@example.com").await;
        let request = server.post("/api/v1/chat/send", &json!({"message": "one"})).bearer_auth(&token);
        let answer = send(request).await.expect(200);
        let id = answer["conversation_id"].as_str().unwrap().to_owned();
        Self { server, token, id, _upstream: upstream }
    }

    async fn call(&self, method: Method, rest: &str, body: &Value) -> Answer {
        let request = self.server.request(method, &format!("/api/v1/conversations/{}{rest}", self.id));
        let request = if body.is_null() { request } else { request.json(body) };
        send(request.bearer_auth(&self.token)).await
    }

    async fn messages(&self) -> Vec<Value> {
        let list = self.call(Method::GET, "/messages", &Value::Null).await.expect(200);
        list["items"].as_array().unwrap().clone()
    }
}

fn id_of(message: &Value) -> String {
    message["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_message_says_all_that_is_known_of_it() {
    let talk = Talk::begin().await;
    let messages = talk.messages().await;
    let fields = [
        "id",
        "parent_id",
        "role",
        "content",
        "attachments",
        "created_at",
        "state",
        "model",
        "finish_reason",
        "error_code",
        "usage",
        "feedback",
        "files",
        "tool_calls",
        "siblings",
    ];
    for message in &messages {
        assert_fields(message, &fields);
        assert_time(&message["created_at"]);
        assert_eq!(message["siblings"], json!({"index": 0, "count": 1, "ids": [message["id"]]}));
    }
    let (question, answer) = (&messages[0], &messages[1]);
    assert_eq!(
        (&question["role"], &question["parent_id"], &question["state"]),
        (&json!("user"), &Value::Null, &Value::Null)
    );
    assert_eq!((&answer["role"], &answer["parent_id"]), (&json!("assistant"), &question["id"]));
    assert_eq!((&answer["state"], &answer["finish_reason"]), (&json!("complete"), &json!("stop")));
    assert_fields(&answer["usage"], &["prompt_tokens", "completion_tokens", "total_tokens"]);
    assert_eq!(messages.len(), 2);
}

#[tokio::test]
async fn an_answer_is_given_again_at_once_or_as_a_stream() {
    let talk = Talk::begin().await;
    let answer = id_of(&talk.messages().await[1]);
    let rest = format!("/messages/{answer}/regenerate");
    let again = talk.call(Method::POST, &rest, &Value::Null).await.expect(200);
    let fields = ["message_id", "conversation_id", "response", "model", "usage", "sources", "created_at"];
    assert_fields(&again, &fields);
    assert_eq!(again["response"], "one");
    let request = talk.server.post(&format!("/api/v1/conversations/{}{rest}", talk.id), &json!({"model": "2tok"}));
    let streamed = send(request.bearer_auth(&talk.token).header("accept", "text/event-stream")).await;
    assert_eq!(streamed.header("content-type"), "text/event-stream");
    let streamed = events(&streamed.body);
    assert_eq!(text_of(&streamed).trim_end(), "word1 word2");
    let third = streamed[0].data["message_id"].clone();
    let newest = talk.messages().await[1].clone();
    assert_eq!(newest["id"], third);
    assert_eq!(newest["siblings"], json!({"index": 2, "count": 3, "ids": [answer, again["message_id"], third]}));
}

#[tokio::test]
async fn a_message_said_differently_is_a_branch_that_one_can_leave_again() {
    let talk = Talk::begin().await;
    let question = id_of(&talk.messages().await[0]);
    let edit = format!("/messages/{question}/edit");
    let edited = talk.call(Method::POST, &edit, &json!({"message": "two"})).await.expect(200);
    assert_eq!(edited["response"], "two");
    let now = talk.messages().await;
    assert_eq!((&now[0]["content"], &now[0]["siblings"]["index"]), (&json!("two"), &json!(1)));
    let body = json!({"message_id": question});
    let head = talk.call(Method::PUT, "/head", &body).await.expect(200);
    assert_fields(&head, &["conversation_id", "head_message_id"]);
    let then = talk.messages().await;
    assert_eq!((&then[0]["content"], &then[1]["id"]), (&json!("one"), &head["head_message_id"]));
    let conversation = talk.call(Method::GET, "", &Value::Null).await.expect(200);
    assert_eq!(conversation["head_message_id"], head["head_message_id"]);
    for (body, status) in [(json!({"message": " "}), 400), (json!({}), 422), (json!({"message": "x", "model": 1}), 422)]
    {
        assert_problem(&talk.call(Method::POST, &edit, &body).await, status);
    }
    let answer = id_of(&then[1]);
    let wrong = talk.call(Method::POST, &format!("/messages/{answer}/edit"), &json!({"message": "x"})).await;
    assert_problem(&wrong, 400);
    assert_problem(&talk.call(Method::POST, &format!("/messages/{question}/regenerate"), &json!({})).await, 400);
    assert_eq!(talk.server.count("SELECT COUNT(*) FROM messages"), 4);
}

#[tokio::test]
async fn pages_go_from_the_end_to_the_beginning() {
    let talk = Talk::begin().await;
    for number in 0..2 {
        let body = json!({"message": format!("more {number}"), "conversation_id": talk.id});
        send(talk.server.post("/api/v1/chat/send", &body).bearer_auth(&talk.token)).await.expect(200);
    }
    let page = talk.call(Method::GET, "/messages?limit=4", &Value::Null).await.expect(200);
    assert_fields(&page, &["items", "next"]);
    let older = format!("/messages?limit=4&before={}", page["next"].as_str().unwrap());
    let first = talk.call(Method::GET, &older, &Value::Null);
    let first = first.await.expect(200);
    let contents =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|m| m["content"].clone()).collect::<Vec<_>>();
    assert_eq!(contents(&page), ["more 0", "more 0", "more 1", "more 1"]);
    assert_eq!((contents(&first), &first["next"]), (vec![json!("one"), json!("one")], &Value::Null));
    assert_problem(&talk.call(Method::GET, "/messages?limit=101", &Value::Null).await, 400);
    for none in ["x", "999"] {
        assert_problem(&talk.call(Method::GET, &format!("/messages?before={none}"), &Value::Null).await, 404);
    }
}

#[tokio::test]
async fn an_answer_is_rated_rated_anew_and_no_more() {
    let talk = Talk::begin().await;
    let messages = talk.messages().await;
    let path = format!("/messages/{}/feedback", id_of(&messages[1]));
    let up = talk.call(Method::PUT, &path, &json!({"rating": "up", "comment": " Nice "})).await.expect(200);
    assert_fields(&up, &["rating", "comment", "updated_at"]);
    assert_eq!((&up["rating"], &up["comment"]), (&json!("up"), &json!("Nice")));
    assert_eq!(talk.messages().await[1]["feedback"], up);
    let down = talk.call(Method::PUT, &path, &json!({"rating": "down"})).await.expect(200);
    assert_eq!((&down["rating"], &down["comment"]), (&json!("down"), &Value::Null));
    for (body, status) in [
        (json!({"rating": "meh"}), 400),
        (json!({"rating": "up", "comment": "x".repeat(2001)}), 400),
        (json!({"comment": "x"}), 422),
    ] {
        assert_problem(&talk.call(Method::PUT, &path, &body).await, status);
    }
    let question = format!("/messages/{}/feedback", id_of(&messages[0]));
    assert_problem(&talk.call(Method::PUT, &question, &json!({"rating": "up"})).await, 400);
    assert_eq!(talk.messages().await[1]["feedback"], down);
    for _ in 0..2 {
        assert_eq!(talk.call(Method::DELETE, &path, &Value::Null).await.status, 204);
    }
    assert_eq!(talk.messages().await[1]["feedback"], Value::Null);
}
