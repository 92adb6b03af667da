//! Who calls, and what they see of each other.

use serde_json::json;

use super::{begin, history, message, message_in, say};
use crate::kit::{rows, send};
use crate::support::Setup;

#[tokio::test]
async fn its_guests_are_walled_off_from_classics_of_the_same_name() {
    let server = Setup::new().start();
    let mine = begin(&server, 7, "m-1", "Hi").await;
    let classics = send(server.post("/chat", &json!({"message": "Hi", "user_id": "7"}))).await.expect(200);
    let classics = classics["conversation_id"].to_string();
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts WHERE guest_key = '7'"), 2);
    let not_found = json!({"detail": "Conversation not found"});
    let path = format!("/get-conversation-history/{classics}");
    assert_eq!(send(server.get(&path)).await.expect(404), not_found);
    assert_eq!(say(&server, &message_in(&classics, 7, "m-2", "Hi")).await.expect(404), not_found);
    assert_eq!(send(server.get(&format!("/conversations/{mine}/full"))).await.expect(404), not_found);
    assert_eq!(send(server.delete(&format!("/conversations/{mine}"))).await.expect(404), not_found);
    let other = send(server.post("/chat", &json!({"message": "Hi", "user_id": "7", "conversation_id": mine}))).await;
    assert_eq!(other.expect(404), not_found);
    assert_eq!(history(&server, &mine).await["message_count"], 2);
}

#[tokio::test]
async fn a_guest_does_not_see_what_an_account_of_that_number_has() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let theirs = send(server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&token)).await.expect(200);
    let theirs = theirs["session_id"].as_str().unwrap().to_owned();
    let before = rows::rows(&server);
    say(&server, &message_in(&theirs, 1, "m-1", "Hi")).await.expect(404);
    send(server.get(&format!("/get-conversation-history/{theirs}"))).await.expect(404);
    assert_eq!(rows::rows(&server), before);
}

#[tokio::test]
async fn with_a_token_the_bodys_user_never_wins() {
    let server = Setup::new().start();
    let guests = begin(&server, 9, "m-1", "Hi").await;
    let token = server.sign_up("user@example.com").await;
    let mine = send(server.post("/chat-message", &message(9, "m-1", "Mine")).bearer_auth(&token)).await.expect(200);
    let mine = mine["conversation_id"].as_str().unwrap();
    assert_ne!(mine, guests);
    let me = send(server.get("/api/users/me").bearer_auth(&token)).await.expect(200)["id"].as_i64().unwrap();
    assert_eq!(server.count(&format!("SELECT user_id FROM conversation_store WHERE conv_id = '{mine}'")), me);
    let path = format!("/get-conversation-history/{guests}");
    send(server.get(&path).bearer_auth(&token)).await.expect(404);
    send(server.get(&path)).await.expect(200);
    let path = format!("/get-conversation-history/{mine}");
    send(server.get(&path)).await.expect(404);
    assert_eq!(send(server.get(&path).bearer_auth(&token)).await.expect(200)["message_count"], 2);
}

#[tokio::test]
async fn without_guests_every_call_needs_a_token() {
    let server = Setup::new().env("GUEST_ACCESS", "off").start();
    let calls = [
        server.post("/chat-message", &message(1, "m-1", "Hi")),
        server.post("/chat-message", &message_in("1234567890123456", 1, "m-1", "Hi")),
        server.get("/get-conversation-history/1234567890123456"),
    ];
    for call in calls {
        let refused = send(call).await;
        assert_eq!((refused.status.as_u16(), refused.header("www-authenticate")), (401, "Bearer"));
        assert_eq!(refused.json(), json!({"detail": "Not authenticated"}));
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
    let token = server.sign_up("user@example.com").await;
    send(server.post("/chat-message", &message(1, "m-1", "Hi")).bearer_auth(&token)).await.expect(200);
}

#[tokio::test]
async fn a_bad_token_makes_nobody_a_guest() {
    let server = Setup::new().start();
    for value in ["Bearer garbage", "Basic YTpi"] {
        let request = server.post("/chat-message", &message(1, "m-1", "Hi")).header("authorization", value);
        send(request).await.expect(401);
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
}
