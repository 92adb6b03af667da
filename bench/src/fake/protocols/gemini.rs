//! Gemini's own API: <https://ai.google.dev/api/generate-content>.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Asked, Said, arguments, around};
use crate::fake::behaviour::Behaviour;
use crate::fake::body::Telling;

pub(super) fn read(model: String, stream: bool, body: &Value) -> Option<Asked> {
    let contents = body["contents"].as_array()?;
    let parts = |content: &Value| content["parts"].as_array().cloned().unwrap_or_default();
    let texts = |content: &Value| -> Vec<String> {
        parts(content).iter().filter_map(|part| part["text"].as_str().map(str::to_owned)).collect()
    };
    let all: Vec<Value> = contents.iter().flat_map(parts).collect();
    let has_result = all.iter().any(|part| part["functionResponse"].is_object());
    let tool = body["tools"][0]["functionDeclarations"][0]["name"].as_str().filter(|_| !has_result);
    Some(Asked {
        model,
        stream,
        question: contents.iter().rfind(|content| content["role"] == "user").map(texts)?.concat(),
        texts: texts(&body["systemInstruction"]).into_iter().chain(contents.iter().flat_map(texts)).collect(),
        tool: tool.map(str::to_owned),
        images: all.iter().filter(|part| part["inlineData"].is_object() || part["fileData"].is_object()).count(),
    })
}

/// A model that thinks says so in its counts.
fn usage(said: &Said, how: &Behaviour) -> Value {
    let cached = if how.cached { said.prompt_tokens / 3 } else { 0 };
    json!({"promptTokenCount": said.prompt_tokens, "candidatesTokenCount": said.completion_tokens.saturating_sub(1),
        "thoughtsTokenCount": 1, "cachedContentTokenCount": cached,
        "totalTokenCount": said.prompt_tokens + said.completion_tokens})
}

fn finish_reason(how: &Behaviour) -> &'static str {
    match (how.length, how.filtered) {
        (true, _) => "MAX_TOKENS",
        (_, true) => "SAFETY",
        _ => "STOP",
    }
}

fn call(tool: &str) -> Value {
    json!({"functionCall": {"name": tool, "args": arguments()}, "thoughtSignature": "c2lnbmVk"})
}

fn answer(asked: &Asked, said: &Said, how: &Behaviour, parts: &[Value], finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    let mut answer = json!({"candidates": [candidate], "modelVersion": asked.model, "responseId": "fake"});
    if !how.no_usage {
        answer["usageMetadata"] = usage(said, how);
    }
    answer
}

/// What it says of a prompt that it does not answer to.
fn blocked(asked: &Asked) -> Value {
    json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": asked.model,
        "usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12}})
}

fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\r\n\r\n"))
}

pub(super) fn telling(asked: &Asked, said: &Said, how: &Behaviour) -> Telling {
    let thought = json!({"text": "**Thinking**", "thought": true});
    let mut opening = vec![event(&answer(asked, said, how, &[thought], None))];
    if how.blocked {
        opening = vec![event(&blocked(asked))];
    }
    let last = match &said.tool {
        Some(tool) => call(tool),
        None => json!({"text": ""}),
    };
    let closing = vec![event(&answer(asked, said, how, &[last], Some(finish_reason(how))))];
    let (head, tail) = around(&answer(asked, said, how, &[json!({"text": "TEXT"})], None));
    let (head, tail) = (format!("data: {head}"), format!("{tail}\r\n\r\n"));
    Telling { opening, head, tail, closing, error: event(&error(503)) }
}

pub(super) fn whole(asked: &Asked, said: &Said, how: &Behaviour) -> Value {
    if how.blocked {
        return blocked(asked);
    }
    let part = match &said.tool {
        Some(tool) => call(tool),
        None => json!({"text": said.text}),
    };
    answer(asked, said, how, &[part], (!how.no_done).then(|| finish_reason(how)))
}

pub(super) fn error(status: u16) -> Value {
    // A key that it does not take is a bad request to it.
    let (code, word, details) = match status {
        401 => (400, "INVALID_ARGUMENT", json!([{"reason": "API_KEY_INVALID", "domain": "googleapis.com"}])),
        403 => (403, "PERMISSION_DENIED", json!([])),
        404 => (404, "NOT_FOUND", json!([])),
        429 => (429, "RESOURCE_EXHAUSTED", json!([{"retryDelay": "3s"}])),
        503 => (503, "UNAVAILABLE", json!([])),
        400..500 => (status, "INVALID_ARGUMENT", json!([])),
        _ => (status, "INTERNAL", json!([])),
    };
    json!({"error": {"code": code, "message": "an error", "status": word, "details": details}})
}
