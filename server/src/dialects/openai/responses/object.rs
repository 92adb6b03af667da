//! A response and what it consists of. <https://platform.openai.com/docs/api-reference/responses/object>

use parlor_engine::domain::{FinishReason, TokenUsage};
use serde_json::{Value, json};

use super::request::ResponseRequest;
use crate::dialects::openai::new_id;

/// What is said of a response from its beginning to its end.
pub struct Response {
    frame: Value,
}

impl Response {
    /// `created_at` is in seconds since the epoch.
    pub fn new(created_at: i64, request: &ResponseRequest) -> Self {
        let format = request.text.as_ref().map(|text| text["format"].clone()).filter(|format| !format.is_null());
        let effort = request.reasoning.as_ref().map(|reasoning| reasoning["effort"].clone());
        Self {
            frame: json!({
                "id": new_id("resp_"),
                "object": "response",
                "created_at": created_at,
                "background": false,
                "error": null,
                "incomplete_details": null,
                "instructions": request.instructions,
                "max_output_tokens": request.max_output_tokens,
                "metadata": request.metadata.clone().unwrap_or_default(),
                "model": request.model,
                "parallel_tool_calls": request.parallel_tool_calls.unwrap_or(true),
                "previous_response_id": null,
                "reasoning": {"effort": effort, "summary": null},
                "store": false,
                "temperature": request.temperature,
                "text": {"format": format.unwrap_or_else(|| json!({"type": "text"}))},
                "tool_choice": request.tool_choice.clone().unwrap_or_else(|| "auto".into()),
                "tools": request.tools.clone().unwrap_or_default(),
                "top_p": request.top_p,
                "truncation": "disabled",
                "user": request.user,
            }),
        }
    }

    /// As it stands with that status.
    pub fn object(&self, status: &str, output: &[Value], usage: Option<TokenUsage>) -> Value {
        let mut object = self.frame.clone();
        object["status"] = status.into();
        object["output"] = output.to_vec().into();
        object["usage"] = usage
            .map(|usage| {
                json!({
                    "input_tokens": usage.prompt_tokens,
                    "input_tokens_details": {"cached_tokens": usage.cached_tokens},
                    "output_tokens": usage.completion_tokens,
                    "output_tokens_details": {"reasoning_tokens": 0},
                    "total_tokens": usage.total(),
                })
            })
            .unwrap_or_default();
        object
    }

    /// As it stands at the end.
    pub fn ended(&self, finish: FinishReason, output: &[Value], usage: TokenUsage) -> Value {
        let mut object = self.object(status(finish), output, Some(usage));
        object["incomplete_details"] = match finish {
            FinishReason::Length => json!({"reason": "max_output_tokens"}),
            FinishReason::ContentFilter => json!({"reason": "content_filter"}),
            _ => Value::Null,
        };
        object
    }
}

/// The status of a response that ended so.
pub fn status(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Length | FinishReason::ContentFilter => "incomplete",
        FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Cancelled | FinishReason::Error => "completed",
    }
}

/// A message.
pub fn message(id: &str, text: &str, status: &str) -> Value {
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": [text_part(text)]})
}

/// A call of a function.
pub fn call(id: &str, call_id: &str, name: &str, arguments: &str, status: &str) -> Value {
    json!({"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": arguments})
}

/// A message's text.
pub fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}
