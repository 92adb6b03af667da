//! A request as the responses API wants it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::domain::Role;
use crate::providers::alternate::inline;
use crate::providers::{ChatMessage, ChatRequest, Image};

#[derive(Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    stream: bool,
    /// The service is to keep nothing.
    store: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message { role: &'static str, content: Content<'a> },
    FunctionCall { call_id: &'a str, name: &'a str, arguments: &'a str },
    FunctionCallOutput { call_id: &'a str, output: &'a str },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    InputText { text: &'a str },
    InputImage { image_url: Cow<'a, str> },
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
    /// Left out, it would be on, and refuse most schemas.
    strict: bool,
}

impl<'a> Request<'a> {
    /// `reasoning`: the model is one of OpenAI's that take no temperature.
    pub(super) fn new(request: &'a ChatRequest, reasoning: bool) -> Self {
        let mut input = Vec::new();
        for message in &request.messages {
            add(message, &mut input);
        }
        let tool = |tool: &'a crate::providers::Tool| Tool {
            r#type: "function",
            name: &tool.name,
            description: &tool.description,
            parameters: &tool.parameters,
            strict: false,
        };
        Self {
            model: &request.model,
            input,
            tools: request.tools.iter().map(tool).collect(),
            temperature: request.temperature.filter(|_| !reasoning),
            max_output_tokens: request.max_tokens,
            stream: request.stream,
            store: false,
        }
    }
}

fn add<'a>(message: &'a ChatMessage, input: &mut Vec<Item<'a>>) {
    let text = message.content.as_str();
    if let (Role::Tool, Some(call_id)) = (message.role, &message.tool_call_id) {
        input.push(Item::FunctionCallOutput { call_id, output: text });
        return;
    }
    if !message.images.is_empty() {
        let said = (!text.is_empty()).then_some(Part::InputText { text });
        let pictures = message.images.iter().map(|image| Part::InputImage { image_url: url_of(image) });
        let parts = said.into_iter().chain(pictures).collect();
        input.push(Item::Message { role: message.role.as_str(), content: Content::Parts(parts) });
    } else if !text.is_empty() {
        input.push(Item::Message { role: message.role.as_str(), content: Content::Text(text) });
    }
    let call = |call: &'a crate::providers::ToolCall| Item::FunctionCall {
        call_id: &call.id,
        name: &call.name,
        arguments: &call.arguments,
    };
    input.extend(message.tool_calls.iter().map(call));
}

fn url_of(image: &Image) -> Cow<'_, str> {
    match (image, inline(image)) {
        (Image::Url(url), _) => Cow::Borrowed(url),
        (Image::Bytes { .. }, data) => {
            let (media_type, data) = data.unwrap_or_default();
            Cow::Owned(format!("data:{media_type};base64,{data}"))
        }
    }
}
