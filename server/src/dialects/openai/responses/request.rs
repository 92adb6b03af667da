//! A request for a response, said as one for a chat completion. <https://platform.openai.com/docs/api-reference/responses/create>

use parlor_engine::domain::Invalid;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A request; of what is not here nothing is passed on.
#[derive(Deserialize)]
pub struct ResponseRequest {
    pub model: String,
    pub input: Option<Value>,
    pub instructions: Option<String>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub max_output_tokens: Option<u64>,
    pub tools: Option<Vec<Value>>,
    pub tool_choice: Option<Value>,
    pub parallel_tool_calls: Option<bool>,
    pub text: Option<Value>,
    pub reasoning: Option<Value>,
    pub metadata: Option<Map<String, Value>>,
    pub user: Option<String>,
    previous_response_id: Option<String>,
    conversation: Option<Value>,
    background: Option<bool>,
    prompt: Option<Value>,
}

impl ResponseRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is no such request, or needs responses that were stored: none are.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let request: Self = serde_json::from_slice(body)
            .map_err(|error| Invalid::new("", format!("The request is not valid: {error}.")))?;
        let stateless = "Responses are not stored here: send the whole conversation in input.";
        match () {
            () if request.model.trim().is_empty() => Err(Invalid::new("model", "You must provide a model parameter.")),
            () if request.previous_response_id.is_some() => Err(Invalid::new("previous_response_id", stateless)),
            () if request.conversation.is_some() => Err(Invalid::new("conversation", stateless)),
            () if request.background == Some(true) => Err(Invalid::new("background", stateless)),
            () if request.prompt.is_some() => Err(Invalid::new("prompt", "Stored prompts are not supported.")),
            () => Ok(request),
        }
    }

    /// The chat completion to ask for: always a stream that tells its usage.
    ///
    /// # Errors
    /// For input or tools that a chat completion cannot say.
    pub fn to_completion(&self) -> Result<Vec<u8>, Invalid> {
        let mut body = json!({
            "model": self.model, "messages": self.messages()?, "stream": true, "stream_options": {"include_usage": true},
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                body[name] = value;
            }
        };
        set("temperature", self.temperature.map(Value::from));
        set("top_p", self.top_p.map(Value::from));
        set("max_completion_tokens", self.max_output_tokens.map(Value::from));
        set("parallel_tool_calls", self.parallel_tool_calls.map(Value::from));
        set("user", self.user.clone().map(Value::from));
        set("reasoning_effort", self.reasoning.as_ref().map(|reasoning| reasoning["effort"].clone()));
        if let Some(tools) = self.tools.as_deref().filter(|tools| !tools.is_empty()) {
            set("tools", Some(tools.iter().map(tool).collect::<Result<Vec<_>, _>>()?.into()));
        }
        set("tool_choice", self.tool_choice.as_ref().map(tool_choice));
        set("response_format", self.text.as_ref().and_then(|text| format(&text["format"])));
        Ok(serde_json::to_vec(&body).unwrap_or_default())
    }

    fn messages(&self) -> Result<Vec<Value>, Invalid> {
        let mut messages = Vec::new();
        messages.extend(self.instructions.as_ref().map(|text| json!({"role": "system", "content": text})));
        match &self.input {
            Some(Value::String(text)) => messages.push(json!({"role": "user", "content": text})),
            Some(Value::Array(items)) => {
                for item in items {
                    add(&mut messages, item)?;
                }
            }
            _ => return Err(Invalid::new("input", "input must be a text or a list of items.")),
        }
        Ok(messages)
    }
}

/// Adds an item of the input. Calls that follow one another belong to one message of the assistant's.
fn add(messages: &mut Vec<Value>, item: &Value) -> Result<(), Invalid> {
    match item["type"].as_str().unwrap_or("message") {
        "message" => {
            let role = item["role"].as_str().unwrap_or("user");
            messages.push(json!({"role": role, "content": content(&item["content"])?}));
        }
        "function_call" => {
            let function = json!({"name": item["name"], "arguments": item["arguments"]});
            let call = json!({"id": item["call_id"], "type": "function", "function": function});
            let last = messages.last_mut().filter(|last| last["role"] == "assistant");
            match last {
                Some(last) => match last["tool_calls"].as_array_mut() {
                    Some(calls) => calls.push(call),
                    None => last["tool_calls"] = json!([call]),
                },
                None => messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]})),
            }
        }
        "function_call_output" => {
            let output = &item["output"];
            let text = output.as_str().map_or_else(|| content(output), |text| Ok(text.into()))?;
            messages.push(json!({"role": "tool", "tool_call_id": item["call_id"], "content": text}));
        }
        // What a model thought is of no use to another.
        "reasoning" => {}
        kind => return Err(Invalid::new("input", format!("Items of the type {kind:?} are not supported."))),
    }
    Ok(())
}

fn content(content: &Value) -> Result<Value, Invalid> {
    let Some(parts) = content.as_array() else { return Ok(content.clone()) };
    let part = |part: &Value| match part["type"].as_str().unwrap_or_default() {
        "input_text" | "output_text" | "text" => Ok(json!({"type": "text", "text": part["text"]})),
        "refusal" => Ok(json!({"type": "text", "text": part["refusal"]})),
        "input_image" if part["image_url"].is_string() => {
            let mut image = json!({"url": part["image_url"]});
            if part["detail"].is_string() {
                image["detail"] = part["detail"].clone();
            }
            Ok(json!({"type": "image_url", "image_url": image}))
        }
        kind => Err(Invalid::new("input", format!("Content of the type {kind:?} is not supported."))),
    };
    parts.iter().map(part).collect::<Result<Vec<_>, _>>().map(Value::from)
}

fn tool(tool: &Value) -> Result<Value, Invalid> {
    if tool["type"] != "function" {
        let kind = tool["type"].as_str().unwrap_or_default();
        return Err(Invalid::new("tools", format!("Tools of the type {kind:?} are not supported: only functions.")));
    }
    let mut function = tool.as_object().cloned().unwrap_or_default();
    function.remove("type");
    function.retain(|_, value| !value.is_null());
    Ok(json!({"type": "function", "function": function}))
}

fn tool_choice(choice: &Value) -> Value {
    if choice["type"] == "function" {
        return json!({"type": "function", "function": {"name": choice["name"]}});
    }
    choice.clone()
}

/// `{"type": "json_schema", "name": …, "schema": …}` has its schema one level deeper there.
fn format(format: &Value) -> Option<Value> {
    match format["type"].as_str()? {
        "json_schema" => {
            let mut schema = format.as_object().cloned().unwrap_or_default();
            schema.remove("type");
            schema.retain(|_, value| !value.is_null());
            Some(json!({"type": "json_schema", "json_schema": schema}))
        }
        "json_object" => Some(json!({"type": "json_object"})),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn completion(request: &Value) -> Value {
        let request = ResponseRequest::parse(request.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&request.to_completion().unwrap()).unwrap()
    }

    #[test]
    fn a_text_is_a_message() {
        let said =
            completion(&json!({"model": "m", "input": "Hi", "instructions": "Be brief.", "max_output_tokens": 9}));
        let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]);
        assert_eq!((&said["messages"], &said["max_completion_tokens"]), (&messages, &json!(9)));
        assert_eq!((&said["stream"], &said["tools"]), (&json!(true), &Value::Null));
    }

    #[test]
    fn items_tools_and_formats_are_translated() {
        let said = completion(&json!({
            "model": "m", "stream": true,
            "input": [
                {"role": "user", "content": [
                    {"type": "input_text", "text": "Where?"}, {"type": "input_image", "image_url": "https://example.com/x.png"},
                ]},
                {"type": "reasoning", "summary": []},
                {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"},
                {"type": "function_call", "call_id": "2", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "here"},
            ],
            "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": true, "description": null}],
            "tool_choice": {"type": "function", "name": "look"},
            "text": {"format": {"type": "json_schema", "name": "place", "schema": {"type": "object"}}},
            "reasoning": {"effort": "low"},
        }));
        assert_eq!(said["messages"][0]["content"][1]["image_url"]["url"], "https://example.com/x.png");
        assert_eq!(said["messages"][1]["tool_calls"].as_array().unwrap().len(), 2);
        assert_eq!(said["messages"][2], json!({"role": "tool", "tool_call_id": "1", "content": "here"}));
        let function = json!({"name": "look", "parameters": {"type": "object"}, "strict": true});
        assert_eq!(said["tools"][0], json!({"type": "function", "function": function}));
        assert_eq!(said["tool_choice"], json!({"type": "function", "function": {"name": "look"}}));
        let schema = json!({"name": "place", "schema": {"type": "object"}});
        assert_eq!(said["response_format"], json!({"type": "json_schema", "json_schema": schema}));
        assert_eq!(said["reasoning_effort"], "low");
        assert_eq!(said["stream_options"], json!({"include_usage": true}));
    }

    #[test]
    fn what_needs_a_memory_or_other_tools_is_refused_by_its_name() {
        for (field, value) in [
            ("model", json!("")),
            ("previous_response_id", json!("resp_1")),
            ("conversation", json!("conv_1")),
            ("background", json!(true)),
            ("input", json!(5)),
            ("input", json!([{"type": "computer_call"}])),
            ("input", json!([{"role": "user", "content": [{"type": "input_file"}]}])),
            ("tools", json!([{"type": "web_search"}])),
        ] {
            let mut request = json!({"model": "m", "input": "Hi"});
            request[field] = value;
            let read = ResponseRequest::parse(request.to_string().as_bytes());
            assert_eq!(read.and_then(|request| request.to_completion()).unwrap_err().field, field, "{request}");
        }
    }
}
