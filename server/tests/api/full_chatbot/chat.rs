//! `POST /chat-message`

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::{begin, history, message, message_in, say};
use crate::input::table::kinds;
use crate::kit::rows::rows;
use crate::support::Setup;

#[tokio::test]
async fn a_message_begins_a_conversation_and_goes_on_in_it() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let id = begin(&server, 1, "m-1", "Hello!").await;
    let second = say(&server, &message_in(&id, 1, "m-2", "And now?")).await.expect(200);
    assert_eq!(second["conversation_id"], id);
    assert!(second["message"].as_str().unwrap().contains("And now?"), "{second}");
    let asked = upstream.requests().pop().unwrap();
    assert_eq!(asked["messages"].as_array().unwrap().len(), 4, "the history goes with it");
    assert_eq!(history(&server, &id).await["message_count"], 4);
}

#[tokio::test]
async fn an_empty_an_absent_and_a_null_conversation_begin_one_each() {
    let server = Setup::new().start();
    let mut ids = vec![begin(&server, 1, "a", "Hi").await];
    for (name, id) in [("b", json!(null)), ("c", json!(" "))] {
        let mut body = message(1, name, "Hi");
        body["conversation_id"] = id;
        ids.push(say(&server, &body).await.expect(200)["conversation_id"].as_str().unwrap().to_owned());
    }
    let mut absent = message(1, "d", "Hi");
    absent.as_object_mut().unwrap().remove("conversation_id");
    ids.push(say(&server, &absent).await.expect(200)["conversation_id"].as_str().unwrap().to_owned());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn a_conversation_is_named_by_a_text_or_a_number() {
    let server = Setup::new().start();
    let id = begin(&server, 1, "m-1", "Hi").await;
    let mut body = message(1, "m-2", "Hi");
    body["conversation_id"] = id.parse::<i64>().unwrap().into();
    assert_eq!(say(&server, &body).await.expect(200)["conversation_id"], id);
}

#[tokio::test]
async fn the_same_message_id_sends_the_message_once() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "3tok").start();
    let body = message(1, "m-1", "Hi");
    let (first, at_once) = tokio::join!(say(&server, &body), say(&server, &body));
    let first = first.expect(200);
    assert_eq!(at_once.expect(200), first);
    assert_eq!(say(&server, &body).await.expect(200), first);
    assert_eq!(upstream.chat_calls(), 1);
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 2);
    // The count is the client's own affair; the message is the same.
    let mut counted = body.clone();
    counted["message_count"] = json!(7);
    assert_eq!(say(&server, &counted).await.expect(200), first);
    let other = say(&server, &message(1, "m-1", "Something else")).await;
    assert_eq!((other.status.as_u16(), server.count("SELECT COUNT(*) FROM messages")), (422, 2));
    assert_eq!(other.detail(), "this message_id was used for another message");
    // Another user's message of the same name is another message.
    assert_ne!(say(&server, &message(2, "m-1", "Hi")).await.expect(200)["conversation_id"], first["conversation_id"]);
}

#[tokio::test]
async fn a_message_id_protects_after_a_restart() {
    let mut server = Setup::new().start();
    let first = say(&server, &message(1, "m-1", "Hi")).await.expect(200);
    server.restart();
    assert_eq!(say(&server, &message(1, "m-1", "Hi")).await.expect(200), first);
    assert_eq!(server.count("SELECT COUNT(*) FROM turns"), 1);
}

#[tokio::test]
async fn a_message_id_has_1_to_255_printable_characters() {
    let server = Setup::new().start();
    begin(&server, 1, &"m".repeat(255), "Hi").await;
    let before = rows(&server);
    for bad in ["", &"m".repeat(256), "a\nb", "Grüße"] {
        let refused = say(&server, &message(1, bad, "Hi")).await;
        assert_eq!(refused.status, 400, "{bad:?}");
        assert_eq!(refused.detail(), "message_id must be 1 to 255 printable ASCII characters");
    }
    assert_eq!(rows(&server), before);
}

#[tokio::test]
async fn an_apology_with_200_stands_in_when_every_provider_fails() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "err500").env("PROVIDERS__MAX_RETRIES", "0").start();
    let answer = say(&server, &message(1, "m-1", "Hi")).await.expect(200);
    assert!(answer["message"].as_str().unwrap().starts_with("I'm sorry"), "{answer}");
    assert_eq!(say(&server, &message(1, "m-1", "Hi")).await.expect(200), answer);
    let shown = history(&server, answer["conversation_id"].as_str().unwrap()).await;
    assert_eq!(shown["messages"][1], json!({"role": "assistant", "message": answer["message"]}));
    let status = crate::kit::rows::text(&server, "SELECT Status FROM message_store WHERE role = 'assistant'");
    assert_eq!(status, "Error");
}

#[tokio::test]
async fn an_empty_or_overlong_message_is_400_and_makes_nobody() {
    let server = Setup::new().start();
    for text in ["", " \n", &"x".repeat(32_001)] {
        assert_eq!(say(&server, &message(1, "m-1", text)).await.status, 400);
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
}

#[tokio::test]
async fn every_field_of_a_wrong_type_is_told() {
    let server = Setup::new().start();
    let wrong =
        json!({"message": 5, "user_id": "one", "message_id": null, "message_count": 1.5, "conversation_id": ""});
    let refused = say(&server, &wrong).await;
    assert_eq!(refused.status, 422);
    let mut told = kinds(&refused);
    told.sort();
    assert_eq!(told, ["int_type", "int_type", "string_type", "string_type"]);
    for user in [json!(true), json!([1]), json!(1e30), json!(9_223_372_036_854_775_808_u64)] {
        let mut body = message(1, "m-1", "Hi");
        body["user_id"] = user;
        assert_eq!(say(&server, &body).await.status, 422, "{body}");
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 0);
}

#[tokio::test]
async fn an_unknown_conversation_is_404_and_makes_nobody() {
    let server = Setup::new().start();
    let theirs = begin(&server, 1, "m-1", "Hi").await;
    let before = rows(&server);
    for id in [theirs.as_str(), "1234567890123456", "abc", "-1", "99999999999999999999"] {
        let refused = say(&server, &message_in(id, 2, "m-2", "Hi")).await;
        assert_eq!(refused.expect(404), json!({"detail": "Conversation not found"}), "{id}");
    }
    assert_eq!(rows(&server), before);
}

#[tokio::test]
async fn a_user_may_have_any_whole_number() {
    let server = Setup::new().start();
    for user in [0, -1, i64::MAX, i64::MIN] {
        begin(&server, user, "m-1", "Hi").await;
        let shown: Value =
            server.count("SELECT user_id FROM conversation_store ORDER BY created_at DESC, user_id LIMIT 1").into();
        assert!(shown.is_i64());
        assert_eq!(server.count(&format!("SELECT COUNT(*) FROM conversation_store WHERE user_id = {user}")), 1);
    }
}
