//! Answers to what goes beyond text: tools, `response_format`, several choices, log probabilities, and fields that nobody knows.

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The answer to a request for a chat completion, whole.
pub(super) fn whole(request: &Value) -> Value {
    let choices: Vec<Value> = (0..choices(request))
        .map(|index| {
            let (message, finish) = message(request);
            json!({"index": index, "message": message, "logprobs": logprobs(request), "finish_reason": finish})
        })
        .collect();
    frame(request, "chat.completion", &choices, Some(usage()))
}

/// The same answer as an event stream, in one piece.
pub(super) fn stream(request: &Value) -> Bytes {
    let asked = request["stream_options"]["include_usage"] == true;
    let chunk = |choices: &[Value], usage: Option<Value>| {
        let usage = if asked { Some(usage.unwrap_or_default()) } else { None };
        format!("data: {}\n\n", frame(request, "chat.completion.chunk", choices, usage))
    };
    let mut text = String::new();
    for index in 0..choices(request) {
        let (mut message, finish) = message(request);
        for (number, call) in message["tool_calls"].as_array_mut().into_iter().flatten().enumerate() {
            call["index"] = number.into();
        }
        let delta = json!({"index": index, "delta": message, "logprobs": logprobs(request), "finish_reason": null});
        text.push_str(&chunk(&[delta], None));
        let end = json!({"index": index, "delta": {}, "logprobs": null, "finish_reason": finish});
        text.push_str(&chunk(&[end], None));
    }
    if asked {
        text.push_str(&chunk(&[], Some(usage())));
    }
    text.push_str("data: [DONE]\n\n");
    text.into()
}

fn frame(request: &Value, object: &str, choices: &[Value], usage: Option<Value>) -> Value {
    let mut answer = json!({
        "id": "chatcmpl-fake", "object": object, "created": 1_700_000_000, "model": request["model"],
        "system_fingerprint": "fp_fake", "service_tier": "default", "choices": choices,
        "x_unknown": {"kept": [1, 2.5, "żółć \"quoted\""]},
    });
    if let Some(usage) = usage {
        answer["usage"] = usage;
    }
    answer
}

fn usage() -> Value {
    json!({"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28, "prompt_tokens_details": {"cached_tokens": 4}})
}

fn choices(request: &Value) -> u64 {
    request["n"].as_u64().unwrap_or(1).clamp(1, 8)
}

fn logprobs(request: &Value) -> Value {
    if request["logprobs"] != true {
        return Value::Null;
    }
    json!({"content": [{"token": "word1", "logprob": -0.25, "bytes": [119], "top_logprobs": []}], "refusal": null})
}

/// What is said, and why it ends.
fn message(request: &Value) -> (Value, &'static str) {
    let said = |text: String| (json!({"role": "assistant", "content": text, "refusal": null}), "stop");
    let last = request["messages"].as_array().and_then(|messages| messages.last()).cloned().unwrap_or_default();
    if last["role"] == "tool" {
        return said(format!("The tool says: {}", last["content"].as_str().unwrap_or_default()));
    }
    let tool = &request["tools"][0]["function"];
    if let Some(name) = tool["name"].as_str() {
        let arguments = fitting(&tool["parameters"]).to_string();
        let call = json!({"id": "call_fake", "type": "function", "function": {"name": name, "arguments": arguments}});
        return (json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls");
    }
    let schema = &request["response_format"]["json_schema"]["schema"];
    if schema.is_object() {
        return said(fitting(schema).to_string());
    }
    said("word1 word2".to_owned())
}

/// Something that fits the schema.
fn fitting(schema: &Value) -> Value {
    if let Some(choice) = schema["enum"].get(0) {
        return choice.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let members: Map<String, Value> = properties.map(|(name, of)| (name.clone(), fitting(of))).collect();
            members.into()
        }
        Some("array") => json!([fitting(&schema["items"])]),
        Some("integer" | "number") => json!(7),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => json!("Paris"),
    }
}
