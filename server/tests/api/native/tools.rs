//! Tools, as clients see them: their events, the history, the export.

use serde_json::{Value, json};

use crate::kit::socket::Socket;
use crate::kit::{assert_fields, send};
use crate::support::{Setup, TestServer, events, text_of};

/// A tool that always says `rain`, and a server whose mock calls it.
async fn start() -> (TestServer, tokio::task::JoinHandle<()>) {
    let routes = axum::Router::new().route("/weather", axum::routing::post(async || "rain"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/weather", listener.local_addr().unwrap());
    let tools = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let file = format!(
        "[[tools]]\nname = \"weather\"\ndescription = \"The weather\"\nurl = \"{url}\"\n[tools.parameters]\ntype = \"object\"\n\
         required = [\"city\"]\nproperties = {{ city = {{ type = \"string\" }} }}\n"
    );
    (Setup::new().env("CHAT__MODEL", "mock-tool").file(&file).start(), tools)
}

#[tokio::test]
async fn a_stream_tells_of_the_call_and_its_result_and_resumes_after_either() {
    let (server, _tools) = start().await;
    let token = server.sign_up("user@example.com").await;
    let streamed = server.post("/api/v1/chat/stream", &json!({"message": "Ulm"})).bearer_auth(&token);
    let all = events(&send(streamed).await.body);
    let names: Vec<&str> = all.iter().take(4).map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["start", "tool_call", "tool_result", "chunk"]);
    assert!(all.iter().map(|event| event.id).eq(1..=all.len() as u64), "numbered without a gap");
    assert_fields(&all[1].data, &["id", "name", "arguments"]);
    assert_eq!((&all[1].data["name"], &all[1].data["arguments"]), (&json!("weather"), &json!("{\"city\":\"Ulm\"}")));
    let id = all[1].data["id"].clone();
    assert_eq!(all[2].data, json!({"id": id, "name": "weather", "ok": true, "content": "rain"}));
    assert_eq!(text_of(&all), "The tool says: rain");
    assert_eq!(all.last().unwrap().data["finish_reason"], "stop");
    let message = all[0].data["message_id"].as_str().unwrap();
    let path = format!("/api/v1/chat/messages/{message}/stream");
    for after in 1..4 {
        let resumed = server.get(&path).bearer_auth(&token).header("last-event-id", after.to_string());
        assert_eq!(events(&send(resumed).await.body), all[after..]);
    }
}

#[tokio::test]
async fn calls_stand_in_the_history_and_the_export_beside_the_answer() {
    let (server, _tools) = start().await;
    let token = server.sign_up("user@example.com").await;
    let sent = server.post("/api/v1/chat/send", &json!({"message": "Ulm"})).bearer_auth(&token);
    let sent = send(sent).await.expect(200);
    assert_eq!(sent["response"], "The tool says: rain");
    let conversation = sent["conversation_id"].as_str().unwrap();
    let read = async |path: String| send(server.get(&path).bearer_auth(&token)).await.expect(200);
    let page = read(format!("/api/v1/conversations/{conversation}/messages")).await;
    let messages = page["items"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[0]["tool_calls"]), (2, &json!([])));
    let call: &Value = &messages[1]["tool_calls"][0];
    assert_fields(call, &["id", "name", "arguments", "ok", "content"]);
    assert_eq!((&call["name"], &call["ok"], &call["content"]), (&json!("weather"), &json!(true), &json!("rain")));
    let export = read(format!("/api/v1/conversations/{conversation}/export?format=json")).await;
    assert_eq!(&export["messages"][1]["tool_calls"][0], call);
    let markdown = server.get(&format!("/api/v1/conversations/{conversation}/export?format=markdown"));
    let markdown = send(markdown.bearer_auth(&token)).await;
    let told = "\n## weather (tool)\n\n    {\"city\":\"Ulm\"}\n\n    rain\n\n## Assistant (";
    assert!(markdown.body.contains(told), "{}", markdown.body);
    let history = read(format!("/chat/history/{conversation}")).await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 2, "other dialects see a question and an answer");
}

#[tokio::test]
async fn a_socket_has_the_same_as_frames() {
    let (server, _tools) = start().await;
    let token = server.sign_up("user@example.com").await;
    let mut socket = Socket::open(&server, &format!("/api/chat/ws?token={token}"), &[]).await.unwrap();
    socket.send(&json!({"message": "Ulm"})).await;
    let frames = socket.answer().await;
    let kinds: Vec<&str> = frames.iter().take(4).map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["start", "tool_call", "tool_result", "chunk"]);
    assert_eq!((&frames[2]["seq"], &frames[2]["content"]), (&json!(3), &json!("rain")));
}
