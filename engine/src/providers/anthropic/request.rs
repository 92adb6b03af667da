//! A request as Anthropic wants it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::Role;
use crate::providers::alternate::{Turn, arguments_of, inline, turns};
use crate::providers::models::takes_temperature;
use crate::providers::{ChatMessage, ChatRequest, Image};

/// The longest answer where nobody says: the protocol has no way of leaving that open.
const MAX_TOKENS: u32 = 4096;

#[derive(Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    system: String,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: &'a str },
    Image { source: Source<'a> },
    ToolUse { id: &'a str, name: &'a str, input: Map<String, Value> },
    ToolResult { tool_use_id: &'a str, content: &'a str },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: Cow<'a, str> },
    Url { url: &'a str },
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    input_schema: &'a Value,
}

impl<'a> Request<'a> {
    pub(super) fn new(request: &'a ChatRequest) -> Self {
        let (instructions, turns) = turns(request, |text| Block::Text { text }, blocks);
        let message = |turn: Turn<Block<'a>>| Message {
            role: if turn.is_model { "assistant" } else { "user" },
            content: turn.parts,
        };
        let tool = |tool: &'a crate::providers::Tool| Tool {
            name: &tool.name,
            description: &tool.description,
            input_schema: &tool.parameters,
        };
        Self {
            model: &request.model,
            max_tokens: request.max_tokens.unwrap_or(MAX_TOKENS),
            system: instructions.join("\n\n"),
            messages: turns.into_iter().map(message).collect(),
            tools: request.tools.iter().map(tool).collect(),
            // Its scale ends at 1.
            temperature: request
                .temperature
                .filter(|_| takes_temperature(&request.model))
                .map(|temperature| temperature.min(1.0)),
            stream: request.stream,
        }
    }
}

fn blocks<'a>(message: &'a ChatMessage, blocks: &mut Vec<Block<'a>>) {
    let content = message.content.as_str();
    if let (Role::Tool, Some(id)) = (message.role, &message.tool_call_id) {
        blocks.push(Block::ToolResult { tool_use_id: id, content });
        return;
    }
    // Pictures are best put before what is asked about them, says its guide to vision.
    blocks.extend(message.images.iter().map(|image| Block::Image { source: source(image) }));
    if !content.is_empty() {
        blocks.push(Block::Text { text: content });
    }
    let call = |call: &'a crate::providers::ToolCall| Block::ToolUse {
        id: &call.id,
        name: &call.name,
        input: arguments_of(call),
    };
    blocks.extend(message.tool_calls.iter().map(call));
}

fn source(image: &Image) -> Source<'_> {
    match (inline(image), image) {
        (Some((media_type, data)), _) => Source::Base64 { media_type, data },
        (None, Image::Url(url)) => Source::Url { url },
        (None, Image::Bytes { media_type, .. }) => Source::Base64 { media_type, data: Cow::Borrowed("") },
    }
}
