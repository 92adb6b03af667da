//! A request as Gemini wants it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::domain::Role;
use crate::providers::alternate::{Turn, arguments_of, inline, turns};
use crate::providers::{ChatMessage, ChatRequest, Image, Tool, ToolCall};

/// What its third generation takes for the signature of a call that it has not kept itself;
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    generation_config: GenerationConfig,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Part<'a> {
    Text {
        text: &'a str,
    },
    InlineData {
        inline_data: Inline<'a>,
    },
    FileData {
        file_data: File<'a>,
    },
    FunctionCall {
        function_call: FunctionCall<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'static str>,
    },
    FunctionResponse {
        function_response: FunctionResponse<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inline<'a> {
    mime_type: &'a str,
    data: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    file_uri: &'a str,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    name: &'a str,
    args: Map<String, Value>,
}

#[derive(Serialize)]
struct FunctionResponse<'a> {
    name: &'a str,
    response: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Function<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters_json_schema: &'a Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
}

impl<'a> Request<'a> {
    pub(super) fn new(request: &'a ChatRequest) -> Self {
        let (instructions, turns) =
            turns(request, |text| Part::Text { text }, |message, into| parts(request, message, into));
        let instructions: Vec<Part<'a>> = instructions.into_iter().map(|text| Part::Text { text }).collect();
        let content = |turn: Turn<Part<'a>>| Content {
            role: Some(if turn.is_model { "model" } else { "user" }),
            parts: turn.parts,
        };
        let function = |tool: &'a Tool| Function {
            name: &tool.name,
            description: &tool.description,
            parameters_json_schema: &tool.parameters,
        };
        let functions: Vec<Function<'a>> = request.tools.iter().map(function).collect();
        Self {
            system_instruction: (!instructions.is_empty()).then_some(Content { role: None, parts: instructions }),
            contents: turns.into_iter().map(content).collect(),
            tools: if functions.is_empty() { vec![] } else { vec![Tools { function_declarations: functions }] },
            generation_config: GenerationConfig {
                temperature: request.temperature,
                max_output_tokens: request.max_tokens,
            },
        }
    }
}

fn parts<'a>(request: &'a ChatRequest, message: &'a ChatMessage, parts: &mut Vec<Part<'a>>) {
    if let (Role::Tool, Some(id)) = (message.role, &message.tool_call_id) {
        let function_response =
            FunctionResponse { name: called(request, id).unwrap_or(id), response: result(&message.content) };
        parts.push(Part::FunctionResponse { function_response });
        return;
    }
    parts.extend(message.images.iter().map(picture));
    if !message.content.is_empty() {
        parts.push(Part::Text { text: &message.content });
    }
    let wants_signature = request.model.contains("gemini-3");
    for (index, ToolCall { name, .. }) in message.tool_calls.iter().enumerate() {
        // Of calls side by side the first is signed.
        let thought_signature = (wants_signature && index == 0).then_some(NO_SIGNATURE);
        let args = message.tool_calls.get(index).map(arguments_of).unwrap_or_default();
        parts.push(Part::FunctionCall { function_call: FunctionCall { name, args }, thought_signature });
    }
}

/// The name of the tool that was called under `id`: results go by it.
fn called<'a>(request: &'a ChatRequest, id: &str) -> Option<&'a str> {
    let mut calls = request.messages.iter().rev().flat_map(|message| &message.tool_calls);
    calls.find(|call| call.id == id).map(|call| call.name.as_str())
}

/// What a tool gave, as an object.
fn result(content: &str) -> Value {
    match serde_json::from_str(content) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => json!({"result": content}),
    }
}

fn picture(image: &Image) -> Part<'_> {
    match (inline(image), image) {
        (Some((mime_type, data)), _) => Part::InlineData { inline_data: Inline { mime_type, data } },
        (None, Image::Url(url)) => Part::FileData { file_data: File { mime_type: media_type(url), file_uri: url } },
        (None, Image::Bytes { media_type, .. }) => {
            Part::InlineData { inline_data: Inline { mime_type: media_type, data: Cow::Borrowed("") } }
        }
    }
}

/// The media type that a picture's address tells, of those that it takes;
/// <https://ai.google.dev/gemini-api/docs/image-understanding>.
fn media_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    Some(match path.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "heif" => "image/heif",
        _ => return None,
    })
}
