//! The newer API of OpenAI's, on models that know nothing of it.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::{ask, chunks, gateway, ledger, line, mock};
use crate::kit::Answer;

const RESPONSES: &str = "/v1/responses";

fn tool() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({"type": "function", "name": "weather", "parameters": schema, "strict": true})
}

fn kinds(answer: &Answer) -> Vec<String> {
    let named: Vec<String> =
        answer.body.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect();
    let typed: Vec<String> =
        chunks(&answer.body).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(named, typed);
    typed
}

#[tokio::test]
async fn a_response_is_whole_with_its_tokens() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let body = json!({"model": "mock-3tok", "input": "Hi", "instructions": "Be brief.", "metadata": {"a": "b"}});
    let answer = ask(&server, &token, RESPONSES, &body).await.expect(200);
    assert_eq!((&answer["object"], &answer["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(answer["output"][0]["content"][0]["text"], "word1 word2 word3");
    assert_eq!((&answer["usage"]["input_tokens"], &answer["usage"]["output_tokens"]), (&json!(12), &json!(3)));
    assert_eq!((&answer["metadata"]["a"], &answer["instructions"]), (&json!("b"), &json!("Be brief.")));
    assert_eq!(upstream.requests()[0]["messages"][0], json!({"role": "system", "content": "Be brief."}));
    assert_eq!(ledger(&server), [line("gateway", "mock-3tok", (12, 3), false)]);
}

#[tokio::test]
async fn a_stream_has_the_grammar_of_responses() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let body = json!({"model": "mock-2tok", "input": "Hi", "stream": true});
    let answer = ask(&server, &token, RESPONSES, &body).await;
    let wanted = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(kinds(&answer), wanted.map(|kind| format!("response.{kind}")));
    assert!(!answer.body.contains("[DONE]"));
    let events = chunks(&answer.body);
    assert_eq!(events.last().unwrap()["response"]["usage"]["total_tokens"], 14);
    assert_eq!(ledger(&server).len(), 1);
}

#[tokio::test]
async fn functions_are_called_and_their_results_taken() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let body = json!({"model": "mock-full", "input": "Weather?", "tools": [tool()], "stream": true});
    let answer = ask(&server, &token, RESPONSES, &body).await;
    let done = chunks(&answer.body).pop().unwrap()["response"]["output"][0].clone();
    assert_eq!(
        (&done["type"], &done["call_id"], &done["name"]),
        (&json!("function_call"), &json!("call_fake"), &json!("weather"))
    );
    assert_eq!(done["arguments"], "{\"city\":\"Paris\"}");
    assert!(kinds(&answer).contains(&"response.function_call_arguments.done".to_owned()));
    let input = json!([
        {"role": "user", "content": "Weather?"}, done, {"type": "function_call_output", "call_id": "call_fake", "output": "rain"},
    ]);
    let answer = ask(&server, &token, RESPONSES, &json!({"model": "mock-full", "input": input})).await.expect(200);
    assert_eq!(answer["output"][0]["content"][0]["text"], "The tool says: rain");
}

#[tokio::test]
async fn the_mock_responds_too() {
    let (server, token) = mock().await;
    let answer = ask(&server, &token, RESPONSES, &json!({"model": "gpt-4o", "input": "Hello there"})).await.expect(200);
    assert!(answer["output"][0]["content"][0]["text"].as_str().unwrap().contains("Hello there"));
    let body = json!({"model": "mock-tool", "input": "Weather?", "tools": [tool()], "stream": true});
    let answer = ask(&server, &token, RESPONSES, &body).await;
    assert_eq!(chunks(&answer.body).pop().unwrap()["response"]["output"][0]["name"], "weather");
    assert_eq!(ledger(&server).len(), 2);
}

#[tokio::test]
async fn a_response_that_breaks_off_fails() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let answer = ask(&server, &token, RESPONSES, &json!({"model": "mock-cut2", "input": "Hi", "stream": true})).await;
    let kinds = kinds(&answer);
    assert_eq!(kinds[kinds.len() - 2..], ["error", "response.failed"]);
    assert!(!kinds.contains(&"response.completed".to_owned()));
    let whole = ask(&server, &token, RESPONSES, &json!({"model": "mock-cut2", "input": "Hi"})).await;
    assert_eq!(whole.expect(503)["error"]["code"], "provider_cut");
    assert_eq!(ledger(&server).len(), 2);
}

#[tokio::test]
async fn what_needs_a_memory_is_refused() {
    let (server, token) = mock().await;
    let body = json!({"model": "mock", "input": "Hi", "previous_response_id": "resp_1"});
    let refused = ask(&server, &token, RESPONSES, &body).await.expect(400);
    assert_eq!(refused["error"]["param"], "previous_response_id");
    assert!(ledger(&server).is_empty());
}
