//! OpenAI's responses: <https://platform.openai.com/docs/api-reference/responses>.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Asked, Said, arguments, around};
use crate::fake::behaviour::Behaviour;
use crate::fake::body::Telling;

pub(super) fn read(model: String, stream: bool, body: &Value) -> Option<Asked> {
    let items = match &body["input"] {
        Value::String(text) => vec![json!({"role": "user", "content": text})],
        input => input.as_array()?.clone(),
    };
    let parts = |item: &Value| item["content"].as_array().cloned().unwrap_or_default();
    let text = |item: &Value| match item["content"].as_str() {
        Some(text) => text.to_owned(),
        None => parts(item).iter().filter_map(|part| part["text"].as_str()).collect(),
    };
    let has_result = items.iter().any(|item| item["type"] == "function_call_output");
    Some(Asked {
        model,
        stream,
        question: items.iter().rfind(|item| item["role"] == "user").map(text)?,
        texts: items.iter().map(text).collect(),
        tool: body["tools"][0]["name"].as_str().filter(|_| !has_result).map(str::to_owned),
        images: items.iter().flat_map(parts).filter(|part| part["type"] == "input_image").count(),
    })
}

fn item(said: &Said) -> Value {
    match &said.tool {
        Some(tool) => json!({"type": "function_call", "id": "fc_fake", "call_id": "call_fake", "name": tool,
            "arguments": arguments().to_string(), "status": "completed"}),
        None => json!({"type": "message", "id": "msg_fake", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": said.text, "annotations": []}]}),
    }
}

fn response(asked: &Asked, said: &Said, how: &Behaviour, status: &str) -> Value {
    let incomplete = how.length || how.filtered;
    let status = if incomplete && status == "completed" { "incomplete" } else { status };
    let details = match (status, how.filtered) {
        ("incomplete", true) => json!({"reason": "content_filter"}),
        ("incomplete", false) => json!({"reason": "max_output_tokens"}),
        _ => Value::Null,
    };
    let is_over = status != "in_progress";
    let cached = if how.cached { said.prompt_tokens / 3 } else { 0 };
    let usage = json!({"input_tokens": said.prompt_tokens, "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": said.completion_tokens, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": said.prompt_tokens + said.completion_tokens});
    let output =
        if is_over { vec![json!({"type": "reasoning", "id": "rs_fake", "summary": []}), item(said)] } else { vec![] };
    json!({"id": "resp_fake", "object": "response", "status": status, "model": asked.model, "output": output,
        "x_unknown": {"kept": [1, 2.5, "żółć"]}, "error": null, "incomplete_details": details, "usage": if is_over && !how.no_usage { usage } else { Value::Null }})
}

fn event(value: &Value) -> Bytes {
    let kind = value["type"].as_str().unwrap_or_default();
    Bytes::from(format!("event: {kind}\ndata: {value}\n\n"))
}

pub(super) fn telling(asked: &Asked, said: &Said, how: &Behaviour) -> Telling {
    let going_on = response(asked, said, how, "in_progress");
    let mut opening = vec![
        event(&json!({"type": "response.created", "response": going_on})),
        event(&json!({"type": "response.in_progress", "response": going_on})),
    ];
    if said.tool.is_some() {
        let mut begun = item(said);
        begun["arguments"] = "".into();
        opening.push(event(&json!({"type": "response.output_item.added", "output_index": 1, "item": begun})));
        let arguments = arguments().to_string();
        let (first, rest) = arguments.split_at(arguments.len() / 2);
        for piece in [first, rest] {
            opening.push(event(
                &json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": piece}),
            ));
        }
    }
    let over = response(asked, said, how, "completed");
    let kind = format!("response.{}", over["status"].as_str().unwrap_or_default());
    let closing = vec![
        event(&json!({"type": "response.output_item.done", "output_index": 1, "item": item(said)})),
        event(&json!({"type": kind, "response": over})),
    ];
    let delta = json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "TEXT", "logprobs": []});
    let (head, tail) = around(&delta);
    let failed = json!({"type": "error", "code": "server_error", "message": "an error", "param": null});
    Telling {
        opening,
        head: format!("event: response.output_text.delta\ndata: {head}"),
        tail: format!("{tail}\n\n"),
        closing,
        error: event(&failed),
    }
}

pub(super) fn whole(asked: &Asked, said: &Said, how: &Behaviour) -> Value {
    response(asked, said, how, if how.no_done { "in_progress" } else { "completed" })
}

pub(super) fn error(status: u16) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..500 => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    json!({"error": {"message": "an error", "type": kind, "param": null, "code": code}})
}
