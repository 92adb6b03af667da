//! The newer API of OpenAI's, on models that know nothing of it.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::{ask, chunks, gateway, ledger, line, mock, signed_up};
use crate::kit::Answer;
use crate::support::{Setup, TestServer};

const RESPONSES: &str = "/v1/responses";

/// A server in front of that provider, which is known to speak responses.
async fn responding(upstream: &FakeUpstream) -> (TestServer, String) {
    let url = format!("{}/responses", upstream.base_url());
    signed_up(Setup::new().upstream(upstream, "mock-echo").env("OPENAI_BASE_URL", &url).start()).await
}

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

#[tokio::test]
async fn a_response_passes_untouched_where_its_provider_speaks_the_protocol() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = responding(&upstream).await;
    let body = json!({
        "model": "mock-3tok", "input": "Hi", "x_unknown": {"a": [1.5]}, "store": true, "previous_response_id": "resp_1",
        "tools": [{"type": "web_search"}],
    });
    let answer = ask(&server, &token, RESPONSES, &body).await.expect(200);
    assert_eq!(upstream.requests(), [body]);
    assert_eq!((&answer["id"], &answer["x_unknown"]["kept"]), (&json!("resp_fake"), &json!([1, 2.5, "żółć"])));
    assert_eq!(answer["output"][0]["type"], "reasoning");
    assert_eq!(ledger(&server), [line("gateway", "mock-3tok", (12, 3), false)]);
}

#[tokio::test]
async fn a_responses_events_pass_untouched_and_its_last_one_is_billed() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = responding(&upstream).await;
    let body = json!({"model": "mock-2tok-cached", "input": "Hi", "stream": true, "stream_options": {"include_obfuscation": false}});
    let answer = ask(&server, &token, RESPONSES, &body).await;
    assert_eq!(upstream.requests(), [body]);
    let wanted = ["created", "in_progress", "output_text.delta", "output_text.delta", "output_item.done", "completed"];
    assert_eq!(kinds(&answer), wanted.map(|kind| format!("response.{kind}")));
    assert_eq!(chunks(&answer.body).pop().unwrap()["response"]["x_unknown"]["kept"][2], "żółć");
    assert_eq!(ledger(&server), [line("gateway", "mock-2tok-cached", (12, 2), false)]);
    let length = json!({"model": "mock-2tok-length", "input": "Hi", "stream": true});
    let answer = ask(&server, &token, RESPONSES, &length).await;
    assert_eq!(kinds(&answer).last().unwrap(), "response.incomplete");
    assert_eq!(ledger(&server)[1], line("gateway", "mock-2tok-length", (12, 2), false));
}

#[tokio::test]
async fn a_passing_response_that_breaks_off_is_never_told_as_completed() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = responding(&upstream).await;
    for (number, (model, code)) in
        [("cut2", "provider_cut"), ("nodone-2tok", "provider_cut"), ("errobj2", "provider_unavailable")]
            .into_iter()
            .enumerate()
    {
        let body = json!({"model": format!("mock-{model}"), "input": "Hi", "stream": true});
        let answer = ask(&server, &token, RESPONSES, &body).await;
        let told = chunks(&answer.body);
        let last = told.last().unwrap();
        assert_eq!((&last["type"], &last["code"]), (&json!("error"), &json!(code)), "{model}");
        assert_eq!(last["sequence_number"], told.len() - 1);
        assert!(!kinds(&answer).contains(&"response.completed".to_owned()));
        assert!(!answer.body.contains("an error"));
        let bills = ledger(&server);
        assert_eq!(bills.len(), number + 1);
        assert!(bills[number].5 && bills[number].4 > 0, "what came is estimated: {bills:?}");
    }
    let whole = ask(&server, &token, RESPONSES, &json!({"model": "mock-nodone", "input": "Hi"})).await;
    assert_eq!(whole.expect(503)["error"]["code"], "provider_cut");
    let refused = ask(&server, &token, RESPONSES, &json!({"model": "mock-err400", "input": "Hi"})).await.expect(400);
    assert_eq!(refused["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn a_response_in_the_background_is_refused_everywhere() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = responding(&upstream).await;
    let body = json!({"model": "mock-3tok", "input": "Hi", "background": true});
    let refused = ask(&server, &token, RESPONSES, &body).await.expect(400);
    assert_eq!(refused["error"]["param"], "background");
    assert_eq!(upstream.chat_calls(), 0);
}

#[tokio::test]
async fn a_route_says_a_response_to_each_target_in_its_own_words() {
    let (speaks, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let file = format!(
        "[[upstreams]]\nname = \"a\"\nkind = \"openai\"\nurl = \"{}/responses\"\n\
         [[upstreams]]\nname = \"b\"\nkind = \"openai\"\nurl = \"{}\"\n\
         [routes.\"both\"]\ntargets = [{{ provider = \"a\", model = \"mock-err500\" }}, {{ provider = \"b\", model = \"mock-2tok\" }}]\n",
        speaks.base_url(),
        other.base_url()
    );
    let (server, token) = signed_up(Setup::new().env("PROVIDERS__MAX_RETRIES", "0").file(&file).start()).await;
    let answer = ask(&server, &token, RESPONSES, &json!({"model": "both", "input": "Hi"})).await.expect(200);
    assert_eq!(answer["output"][0]["content"][0]["text"], "word1 word2");
    assert_eq!(speaks.requests()[0]["input"], "Hi");
    assert_eq!(other.requests()[0]["messages"][0]["content"], "Hi");
    let body = json!({"model": "both", "input": "Hi", "previous_response_id": "resp_1"});
    assert_eq!(ask(&server, &token, RESPONSES, &body).await.status, 503);
    assert_eq!((speaks.chat_calls(), other.chat_calls()), (2, 1));
}
