//! An answer of a provider that speaks another protocol, written as a chat completion: chunk by chunk, or whole.

use std::io::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use parlor_engine::app::gateway::Delta;
use parlor_engine::domain::{FinishReason, TokenUsage};
use serde::Serialize;
use serde_json::json;

/// Writes one completion.
pub struct Completion {
    id: String,
    created: i64,
    model: String,
}

/// Writes a completion's chunks. What every chunk begins with is made once.
pub struct Chunks {
    head: Vec<u8>,
    /// What every chunk ends with.
    tail: &'static [u8],
    has_begun: bool,
}

impl Completion {
    /// `created` is in seconds since the epoch.
    pub fn new(created: i64, model: String) -> Self {
        Self { id: super::new_id("chatcmpl-"), created, model }
    }

    /// The whole answer as one JSON.
    pub fn whole(&self, answer: &Collected, usage: TokenUsage) -> Bytes {
        let calls: Vec<_> = answer
            .calls
            .iter()
            .map(|call| {
                let function = json!({"name": call.name, "arguments": call.arguments});
                json!({"id": call.id, "type": "function", "function": function})
            })
            .collect();
        let content = if answer.text.is_empty() && !calls.is_empty() { None } else { Some(&answer.text) };
        let mut message = json!({"role": "assistant", "content": content, "refusal": null});
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": word(answer.finish)});
        let whole = json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [choice], "usage": Usage::from(usage), "system_fingerprint": null,
        });
        Bytes::from(whole.to_string())
    }

    /// Its chunks. With `tells_usage` each has the field, and the last one holds it.
    pub fn chunks(&self, tells_usage: bool) -> Chunks {
        let mut head = Vec::with_capacity(192);
        head.extend_from_slice(b"data: {\"id\":\"");
        head.extend_from_slice(self.id.as_bytes());
        // Writing to memory cannot fail.
        let _ = write!(head, "\",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":", self.created);
        let _ = serde_json::to_writer(&mut head, &self.model);
        head.extend_from_slice(b",\"system_fingerprint\":null,\"choices\":[");
        let tail: &'static [u8] = if tells_usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" };
        Chunks { head, tail, has_begun: false }
    }
}

impl Chunks {
    /// The chunk of a delta; nothing for those that say nothing of the answer itself.
    pub fn of(&mut self, delta: &Delta) -> Option<Bytes> {
        let role = if std::mem::replace(&mut self.has_begun, true) { None } else { Some("assistant") };
        match delta {
            Delta::Text(text) => Some(self.chunk(&Said { role, content: Some(text), tool_calls: None }, None)),
            Delta::ToolCall { index, id, name, arguments } => {
                let function = CalledFunction { name: name.as_deref(), arguments };
                let id = id.as_deref();
                let call = Called { index: *index, id, r#type: id.map(|_| "function"), function };
                Some(self.chunk(&Said { role, content: None, tool_calls: Some([call]) }, None))
            }
            Delta::Finish(reason) => Some(self.chunk(&Said { role, content: None, tool_calls: None }, Some(*reason))),
            Delta::Model(_) | Delta::Usage(_) | Delta::Cost(_) | Delta::Continued { .. } => {
                self.has_begun = role.is_none();
                None
            }
        }
    }

    /// The chunk with the usage.
    pub fn usage(&self, usage: TokenUsage) -> Bytes {
        let mut chunk = BytesMut::with_capacity(self.head.len() + 96);
        chunk.extend_from_slice(&self.head);
        chunk.extend_from_slice(b"],\"usage\":");
        write(&mut chunk, &Usage::from(usage));
        chunk.extend_from_slice(b"}\n\n");
        chunk.freeze()
    }

    fn chunk(&self, delta: &Said<'_>, finish: Option<FinishReason>) -> Bytes {
        let mut chunk = BytesMut::with_capacity(self.head.len() + 128);
        chunk.extend_from_slice(&self.head);
        chunk.extend_from_slice(b"{\"index\":0,\"delta\":");
        write(&mut chunk, delta);
        chunk.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":");
        write(&mut chunk, &finish.map(word));
        chunk.extend_from_slice(b"}");
        chunk.extend_from_slice(self.tail);
        chunk.freeze()
    }
}

fn write(out: &mut BytesMut, value: &impl Serialize) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out.writer(), value);
}

/// OpenAI's word. An answer that Parlor itself ended early is told by an error, never here.
fn word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::Stop | FinishReason::Cancelled | FinishReason::Error => "stop",
    }
}

/// A chunk's delta.
#[derive(Serialize)]
struct Said<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[Called<'a>; 1]>,
}

#[derive(Serialize)]
struct Called<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: CalledFunction<'a>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

/// Tokens, in OpenAI's words.
#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl From<TokenUsage> for Usage {
    fn from(usage: TokenUsage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total(),
        }
    }
}

/// A call of a tool, put together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CollectedCall {
    /// Its id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, as JSON.
    pub arguments: String,
}

/// An answer, put together from its deltas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The text.
    pub text: String,
    /// The calls of tools.
    pub calls: Vec<CollectedCall>,
    /// Why it ended.
    pub finish: FinishReason,
}

impl Default for Collected {
    fn default() -> Self {
        Self { text: String::new(), calls: Vec::new(), finish: FinishReason::Error }
    }
}

/// The most calls that one answer may hold.
pub const MAX_CALLS: usize = 128;

impl Collected {
    /// Adds a piece; calls beyond [`MAX_CALLS`] are passed over.
    pub fn add(&mut self, delta: Delta) {
        match delta {
            Delta::Text(text) => self.text.push_str(&text),
            Delta::ToolCall { index, id, name, arguments } => {
                if index >= self.calls.len() && index < MAX_CALLS {
                    self.calls.resize_with(index + 1, CollectedCall::default);
                }
                let Some(call) = self.calls.get_mut(index) else { return };
                call.id = id.unwrap_or(std::mem::take(&mut call.id));
                call.name = name.unwrap_or(std::mem::take(&mut call.name));
                call.arguments.push_str(&arguments);
            }
            Delta::Finish(reason) => self.finish = reason,
            Delta::Model(_) | Delta::Usage(_) | Delta::Cost(_) | Delta::Continued { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Value;

    use super::*;

    fn deltas() -> [Delta; 5] {
        let call = |id: Option<&str>, name: Option<&str>, arguments: &str| Delta::ToolCall {
            index: 0,
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        };
        [
            Delta::Model("m".into()),
            Delta::Text("\"Hi\"\n".into()),
            call(Some("call_1"), Some("look"), ""),
            call(None, None, "{}"),
            Delta::Finish(FinishReason::ToolCalls),
        ]
    }

    #[test]
    fn chunks_are_openais() {
        let completion = Completion::new(1_700_000_000, "mo\"del".into());
        let mut chunks = completion.chunks(true);
        let written: Vec<Bytes> = deltas().iter().filter_map(|delta| chunks.of(delta)).collect();
        let read = |chunk: &Bytes| -> Value {
            let text = std::str::from_utf8(chunk).unwrap();
            serde_json::from_str(text.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap()).unwrap()
        };
        let first = read(&written[0]);
        assert_eq!(first["object"], "chat.completion.chunk");
        assert_eq!(first["model"], "mo\"del");
        assert_eq!(first["usage"], Value::Null);
        assert_eq!(first["choices"][0]["delta"], json!({"role": "assistant", "content": "\"Hi\"\n"}));
        let call =
            json!([{"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}]);
        assert_eq!(read(&written[1])["choices"][0]["delta"], json!({"tool_calls": call}));
        let more = json!([{"index": 0, "function": {"arguments": "{}"}}]);
        assert_eq!(read(&written[2])["choices"][0]["delta"], json!({"tool_calls": more}));
        assert_eq!(read(&written[3])["choices"][0]["finish_reason"], "tool_calls");
        let usage = read(&chunks.usage(TokenUsage::new(1, 2)));
        assert_eq!(usage["choices"], json!([]));
        assert_eq!(usage["usage"]["total_tokens"], 3);
        assert_eq!(written.len(), 4);
    }

    #[test]
    fn a_whole_answer_is_its_deltas_together() {
        let mut answer = Collected::default();
        deltas().into_iter().for_each(|delta| answer.add(delta));
        let whole = Completion::new(1, "m".into()).whole(&answer, TokenUsage::default());
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        let message = &whole["choices"][0]["message"];
        assert_eq!(message["content"], "\"Hi\"\n");
        assert_eq!(message["tool_calls"][0]["function"], json!({"name": "look", "arguments": "{}"}));
        assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    }
}
