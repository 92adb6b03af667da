//! Calls that become conversations, with `GATEWAY__STORE`.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::{COMPLETIONS, ask, signed_up};
use crate::kit::{rows, send};
use crate::support::{Setup, TestServer};

async fn keeping(upstream: &FakeUpstream, store: &str) -> (TestServer, String) {
    signed_up(Setup::new().upstream(upstream, "mock-echo").env("GATEWAY__STORE", store).start()).await
}

fn call(model: &str, said: &[(&str, &str)]) -> Value {
    let messages: Vec<Value> = said.iter().map(|(role, text)| json!({"role": role, "content": text})).collect();
    json!({"model": model, "messages": messages})
}

async fn conversations(server: &TestServer, token: &str) -> Vec<Value> {
    let list = send(server.get("/api/v1/conversations").bearer_auth(token)).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

/// Who said what in a conversation, oldest first.
async fn said_in(server: &TestServer, token: &str, conversation: &Value) -> Vec<(String, String)> {
    let path = format!("/api/v1/conversations/{}/messages", conversation["id"].as_str().unwrap());
    let list = send(server.get(&path).bearer_auth(token)).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = list["items"].as_array().unwrap();
    items.iter().map(|message| (text(&message["role"]), text(&message["content"]))).collect()
}

fn pairs(said: &[(&str, &str)]) -> Vec<(String, String)> {
    said.iter().map(|(role, text)| ((*role).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn a_call_becomes_a_conversation_with_its_bill() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = keeping(&upstream, "on").await;
    for stream in [false, true] {
        let mut body = call("mock-echo", &[("system", "Be brief."), ("user", "Where is Ulm?")]);
        body["stream"] = stream.into();
        assert_eq!(ask(&server, &token, COMPLETIONS, &body).await.status, 200);
    }
    let listed = conversations(&server, &token).await;
    assert_eq!(listed.len(), 2);
    for conversation in &listed {
        assert_eq!((&conversation["title"], &conversation["message_count"]), (&json!("Where is Ulm?"), &json!(2)));
        let wanted = [("user", "Where is Ulm?"), ("assistant", "Where is Ulm?")];
        assert_eq!(said_in(&server, &token, conversation).await, pairs(&wanted));
    }
    let turn = "SELECT t.state || ' ' || t.finish_reason || ' ' || t.model || ' ' || t.prompt_tokens || ' ' || t.completion_tokens \
                FROM turns t JOIN usage_ledger l ON l.turn_id = t.id AND l.conversation_id = t.conversation_id \
                WHERE l.kind = 'gateway' AND l.prompt_tokens = t.prompt_tokens ORDER BY t.id DESC LIMIT 1";
    assert_eq!(rows::text(&server, turn), "complete stop mock-echo 5 3");
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger"), 2);
}

#[tokio::test]
async fn what_goes_on_from_a_stored_thread_is_added_to_it() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = keeping(&upstream, "on").await;
    let stranger = server.sign_up("stranger@example.com").await;
    let mut said = vec![("user", "One"), ("assistant", "One"), ("user", "Two")];
    ask(&server, &token, COMPLETIONS, &call("mock-echo", &said[..1])).await.expect(200);
    // Another's thread of the same words is another's.
    ask(&server, &stranger, COMPLETIONS, &call("mock-echo", &said)).await.expect(200);
    // What the client adds to the messages that it repeats is no part of what was said.
    let mut body = call("mock-echo", &said);
    body["messages"][1]["refusal"] = Value::Null;
    body["messages"][0]["content"] = json!([{"type": "text", "text": "One"}]);
    body["stream"] = true.into();
    ask(&server, &token, COMPLETIONS, &body).await;
    said.extend([("assistant", "Two"), ("user", "Three")]);
    ask(&server, &token, COMPLETIONS, &call("mock-echo", &said)).await.expect(200);
    let listed = conversations(&server, &token).await;
    assert_eq!(listed.len(), 1);
    said.push(("assistant", "Three"));
    assert_eq!(said_in(&server, &token, &listed[0]).await, pairs(&said));
    let other = conversations(&server, &stranger).await;
    assert_eq!(said_in(&server, &stranger, &other[0]).await, pairs(&[("user", "Two"), ("assistant", "Two")]));
    // One that says it differently, and one from a thread that went on elsewhere, are conversations of their own.
    ask(&server, &token, COMPLETIONS, &call("mock-echo", &[("user", "One"), ("assistant", "Uno"), ("user", "Two")]))
        .await;
    let id = listed[0]["id"].as_str().unwrap();
    let message = json!({"message": "Between", "conversation_id": id, "model": "mock-echo"});
    send(server.post("/api/v1/chat/send", &message).bearer_auth(&token)).await.expect(200);
    said.push(("user", "Four"));
    ask(&server, &token, COMPLETIONS, &call("mock-echo", &said)).await.expect(200);
    assert_eq!(conversations(&server, &token).await.len(), 3);
}

#[tokio::test]
async fn a_cut_answer_is_stored_as_incomplete_and_one_that_failed_not_at_all() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = keeping(&upstream, "on").await;
    let mut body = call("mock-cut2", &[("user", "Hi")]);
    body["stream"] = true.into();
    ask(&server, &token, COMPLETIONS, &body).await;
    let listed = conversations(&server, &token).await;
    let wanted = [("user", "Hi"), ("assistant", "word1 word2 ")];
    let said = said_in(&server, &token, &listed[0]).await;
    assert_eq!((said[0].1.as_str(), said[1].1.trim()), (wanted[0].1, wanted[1].1.trim()));
    let state = "SELECT state || ', ' || finish_reason || ', ' || error_code FROM turns";
    assert_eq!(rows::text(&server, state), "incomplete, error, provider_cut");
    body["model"] = "mock-err400".into();
    assert_eq!(ask(&server, &token, COMPLETIONS, &body).await.status, 400);
    assert_eq!(server.count("SELECT COUNT(*) FROM conversations"), 1);
}

#[tokio::test]
async fn only_what_the_settings_and_the_call_want_is_stored() {
    let upstream = FakeUpstream::start().await;
    for (setting, kept) in [("off", [0, 0, 0]), ("asked", [0, 1, 0]), ("on", [1, 1, 0])] {
        let (server, token) = keeping(&upstream, setting).await;
        for (store, kept) in [Value::Null, json!(true), json!(false)].into_iter().zip(kept) {
            let before = server.count("SELECT COUNT(*) FROM conversations");
            let mut body = call("mock-echo", &[("user", "Hi")]);
            if !store.is_null() {
                body["store"] = store.clone();
            }
            ask(&server, &token, COMPLETIONS, &body).await.expect(200);
            let made = server.count("SELECT COUNT(*) FROM conversations") - before;
            assert_eq!(made, kept, "{setting}: {store}");
        }
        // Calls of tools say nothing.
        let tool = json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}});
        let mut body = call("mock-full", &[("user", "Look!")]);
        (body["tools"], body["store"]) = (json!([tool]), json!(true));
        let before = server.count("SELECT COUNT(*) FROM conversations");
        ask(&server, &token, COMPLETIONS, &body).await.expect(200);
        assert_eq!(server.count("SELECT COUNT(*) FROM conversations"), before);
    }
}

#[tokio::test]
async fn what_another_protocol_says_is_stored_and_what_is_blocked_is_not() {
    let rule = "[[moderation_rules]]\ncategory = \"secret\"\nwords = [\"forbidden\"]\n";
    let setup = Setup::new().env("CHAT__MODELS", "*").env("GATEWAY__STORE", "on").env("MODERATION__PROVIDER", "rules");
    let (server, token) = signed_up(setup.file(rule).start()).await;
    ask(&server, &token, COMPLETIONS, &call("mock", &[("user", "forbidden")])).await.expect(400);
    assert_eq!(server.count("SELECT COUNT(*) FROM messages"), 0);
    let mut body = call("mock", &[("user", "Hello there")]);
    for stream in [false, true] {
        body["stream"] = stream.into();
        ask(&server, &token, COMPLETIONS, &body).await;
    }
    let listed = conversations(&server, &token).await;
    assert_eq!(listed.len(), 2);
    assert!(said_in(&server, &token, &listed[0]).await[1].1.contains("Hello there"));
}
