//! One conversation told through all dialects, over one account: whichever surface speaks, the rows are the same.

use parlor_bench::fake::FakeUpstream;
use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::{rows, send};
use crate::mvp::{prefer, sign_up};
use crate::support::{Setup, TestServer};

/// What each dialect shows of the conversation, as roles and texts.
async fn read_everywhere(server: &TestServer, token: &str, id: &str) -> Vec<Vec<(String, String)>> {
    let mut readings = Vec::new();
    for (path, list, text) in [
        (format!("/conversations/{id}/messages"), "", "content"),
        (format!("/conversations/{id}/full"), "/messages", "content"),
        (format!("/get-conversation-history/{id}"), "/messages", "message"),
        (format!("/chat/history/{id}"), "/messages", "content"),
    ] {
        let shown = send(server.get(&path).bearer_auth(token)).await.expect(200);
        let messages = shown.pointer(list).unwrap().as_array().unwrap();
        let word = |message: &Value, field: &str| message[field].as_str().unwrap().to_owned();
        readings.push(messages.iter().map(|message| (word(message, "role"), word(message, text))).collect());
    }
    readings
}

#[tokio::test]
async fn one_conversation_goes_through_every_dialect() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let empty = rows::rows(&server);
    let token = sign_up(&server, "ada").await;
    prefer(&server, &token, Method::PATCH, &json!({"max_tokens": 50})).await.expect(200);

    let begun = send(server.post("/api/chat", &json!({"message": "One"})).bearer_auth(&token)).await.expect(200);
    let id = begun["session_id"].as_str().unwrap().to_owned();
    let number: i64 = id.parse().unwrap();

    let body = json!({"message": "Two", "user_id": "somebody-else", "conversation_id": number});
    let classic = send(server.post("/chat", &body).bearer_auth(&token)).await.expect(200);
    assert_eq!(classic["conversation_id"], number);

    let body =
        json!({"message": "Three", "user_id": 99, "message_id": "m-3", "message_count": 3, "conversation_id": id});
    let full = send(server.post("/chat-message", &body).bearer_auth(&token)).await.expect(200);
    assert_eq!(full["conversation_id"], id);

    let body = json!({"content": "Four", "conversation_id": id, "attachments": ["https://example.com/4"]});
    let mvp = send(server.post("/chat/send", &body).bearer_auth(&token)).await.expect(200);
    assert_eq!(mvp["conversation_id"], id);

    let body = json!({"message": "Five", "session_id": id});
    send(server.post("/api/chat/stream", &body).bearer_auth(&token)).await;

    // Each saw all that had been said before it, and asked as its user prefers.
    let asked = upstream.requests();
    let lengths: Vec<_> = asked.iter().map(|request| request["messages"].as_array().unwrap().len()).collect();
    assert_eq!(lengths, [2, 4, 6, 8, 10]);
    assert!(asked.iter().all(|request| request["max_tokens"] == 50));

    let readings = read_everywhere(&server, &token, &id).await;
    assert!(readings.iter().all(|reading| *reading == readings[0]), "{readings:#?}");
    let roles: Vec<_> = readings[0].iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant"].repeat(5));
    let questions: Vec<_> = readings[0].iter().step_by(2).map(|(_, text)| text.as_str()).collect();
    assert_eq!(questions, ["One", "Two", "Three", "Four", "Five"]);

    let listed = send(server.get("/api/history").bearer_auth(&token)).await.expect(200);
    assert_eq!((&listed["total"], &listed["items"][0]["session_id"]), (&json!(1), &json!(id)));
    let listed = send(server.get("/conversations/user/anybody").bearer_auth(&token)).await.expect(200);
    assert_eq!((&listed[0]["id"], &listed[0]["message_count"]), (&json!(number), &json!(10)));

    // One account, one conversation, five turns; nothing tells which surface wrote which.
    for (sql, expected) in [
        ("SELECT COUNT(*) FROM accounts", 1),
        ("SELECT COUNT(*) FROM conversations", 1),
        ("SELECT COUNT(*) FROM messages", 10),
        ("SELECT COUNT(*) FROM turns WHERE state = 'complete'", 5),
        ("SELECT COUNT(*) FROM usage_ledger", 5),
        ("SELECT COUNT(DISTINCT account_id) FROM turns", 1),
        ("SELECT message_count FROM conversation_store", 10),
        ("SELECT COUNT(*) FROM message_store WHERE Status = 'Success'", 10),
        ("SELECT message_no FROM message_store WHERE message_id = 'm-3'", 5),
    ] {
        assert_eq!(server.count(sql), expected, "{sql}");
    }

    send(server.delete(&format!("/conversations/{id}")).bearer_auth(&token)).await.expect(200);
    for path in ["/get-conversation-history", "/chat/history"] {
        send(server.get(&format!("{path}/{id}")).bearer_auth(&token)).await.expect(404);
    }
    assert_eq!(send(server.get("/api/history").bearer_auth(&token)).await.expect(200)["total"], 0);
    let mut left = rows::rows(&server);
    // What stays: the account with its session, the bill, and the key that keeps the message from being sent again.
    assert_eq!((left.remove("accounts"), left.remove("usage_ledger")), (Some(1), Some(5)));
    assert!(left.remove("refresh_tokens") >= Some(1));
    assert_eq!(left.remove("idempotency_keys"), Some(1));
    for (table, count) in left {
        assert_eq!(Some(&count), empty.get(&table), "{table}");
    }
}
