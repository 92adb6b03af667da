//! Anthropic's messages: <https://docs.anthropic.com/en/api/messages>.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Asked, Said, arguments, around};
use crate::fake::behaviour::Behaviour;
use crate::fake::body::Telling;

pub(super) fn read(model: String, stream: bool, body: &Value) -> Option<Asked> {
    // It insists on both.
    body["max_tokens"].as_u64()?;
    let messages = body["messages"].as_array()?;
    let blocks = || messages.iter().flat_map(|message| message["content"].as_array().into_iter().flatten());
    let texts = |message: &Value| -> Vec<String> {
        let blocks = message["content"].as_array().into_iter().flatten();
        blocks.filter_map(|block| block["text"].as_str().map(str::to_owned)).collect()
    };
    let has_result = blocks().any(|block| block["type"] == "tool_result");
    let system = body["system"].as_str().map(str::to_owned);
    Some(Asked {
        model,
        stream,
        question: messages.iter().rfind(|message| message["role"] == "user").map(&texts)?.concat(),
        texts: system.into_iter().chain(messages.iter().flat_map(&texts)).collect(),
        tool: body["tools"][0]["name"].as_str().filter(|_| !has_result).map(str::to_owned),
        images: blocks().filter(|block| block["type"] == "image").count(),
    })
}

fn stop_reason(said: &Said, how: &Behaviour) -> &'static str {
    match said.tool {
        Some(_) => "tool_use",
        None if how.length => "max_tokens",
        None if how.filtered => "refusal",
        None => "end_turn",
    }
}

/// A third of what is read comes from the cache where a model's name says so.
fn usage(said: &Said, how: &Behaviour, output_tokens: usize) -> Value {
    let cached = if how.cached { said.prompt_tokens / 3 } else { 0 };
    json!({"input_tokens": said.prompt_tokens - cached, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached, "output_tokens": output_tokens})
}

pub(super) fn telling(asked: &Asked, said: &Said, how: &Behaviour) -> Telling {
    let event = |value: &Value| {
        let kind = value["type"].as_str().unwrap_or_default();
        Bytes::from(format!("event: {kind}\ndata: {value}\n\n"))
    };
    let begun = if how.no_usage { Value::Null } else { usage(said, how, 1) };
    let start = json!({"type": "message_start", "message": {"id": "msg_fake", "type": "message", "role": "assistant",
        "model": asked.model, "content": [], "stop_reason": null, "stop_sequence": null, "usage": begun}});
    let mut opening = vec![event(&start), event(&json!({"type": "ping"}))];
    let mut closing = Vec::new();
    let block_stop = event(&json!({"type": "content_block_stop", "index": 0}));
    if let Some(tool) = &said.tool {
        let block = json!({"type": "tool_use", "id": "toolu_fake", "name": tool, "input": {}});
        opening.push(event(&json!({"type": "content_block_start", "index": 0, "content_block": block})));
        let arguments = arguments().to_string();
        let (begun, rest) = arguments.split_at(arguments.len() / 2);
        for piece in ["", begun, rest] {
            let delta = json!({"type": "input_json_delta", "partial_json": piece});
            opening.push(event(&json!({"type": "content_block_delta", "index": 0, "delta": delta})));
        }
    } else {
        let block = json!({"type": "text", "text": ""});
        opening.push(event(&json!({"type": "content_block_start", "index": 0, "content_block": block})));
    }
    closing.push(block_stop);
    let ended = if how.no_usage { Value::Null } else { json!({"output_tokens": said.completion_tokens}) };
    let delta = json!({"stop_reason": stop_reason(said, how), "stop_sequence": null});
    closing.push(event(&json!({"type": "message_delta", "delta": delta, "usage": ended})));
    closing.push(event(&json!({"type": "message_stop"})));
    let delta = json!({"type": "text_delta", "text": "TEXT"});
    let (head, tail) = around(&json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    let head = format!("event: content_block_delta\ndata: {head}");
    Telling { opening, head, tail: format!("{tail}\n\n"), closing, error: event(&error(529)) }
}

pub(super) fn whole(asked: &Asked, said: &Said, how: &Behaviour) -> Value {
    let block = match &said.tool {
        Some(tool) => json!({"type": "tool_use", "id": "toolu_fake", "name": tool, "input": arguments()}),
        None => json!({"type": "text", "text": said.text}),
    };
    let reason = if how.no_done { Value::Null } else { stop_reason(said, how).into() };
    let usage = if how.no_usage { Value::Null } else { usage(said, how, said.completion_tokens) };
    json!({"id": "msg_fake", "type": "message", "role": "assistant", "model": asked.model, "content": [block],
        "stop_reason": reason, "stop_sequence": null, "usage": usage})
}

pub(super) fn error(status: u16) -> Value {
    let (kind, message) = match status {
        401 => ("authentication_error", "invalid x-api-key"),
        403 => ("permission_error", "not allowed"),
        404 => ("not_found_error", "model: unknown"),
        413 => ("request_too_large", "too large"),
        429 => ("rate_limit_error", "rate limited"),
        529 => ("overloaded_error", "Overloaded"),
        400..500 => ("invalid_request_error", "invalid"),
        _ => ("api_error", "Internal server error"),
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
}
