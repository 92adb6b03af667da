//! A request for a chat completion as the engine's own, for providers that speak another protocol than OpenAI's.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlor_engine::app::gateway::{ChatMessage, ChatRequest, Image, Tool, ToolCall};
use parlor_engine::domain::{Invalid, Role};
use serde::Deserialize;
use serde_json::Value;

/// The part of the request that every provider understands, and what some would have to leave out.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    #[serde(borrow)]
    tools: Option<Vec<ToolOffer<'a>>>,
    tool_choice: Option<Value>,
    temperature: Option<f64>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    stream: Option<bool>,
    n: Option<u32>,
    logprobs: Option<bool>,
    stop: Option<Value>,
    response_format: Option<Value>,
    modalities: Option<Vec<String>>,
    functions: Option<Value>,
    logit_bias: Option<Value>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
    tool_call_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Parts(#[serde(borrow)] Vec<Part<'a>>),
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    image_url: Option<ImageUrl<'a>>,
}

#[derive(Deserialize)]
struct ImageUrl<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Call<'a> {
    id: String,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ToolOffer<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    function: Option<FunctionOffer>,
}

#[derive(Deserialize)]
struct FunctionOffer {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
}

/// Reads a whole request. What only colours the answer (`seed`, `top_p`, penalties, `metadata` and the like) is passed over.
///
/// # Errors
/// When it is none, or asks for what only OpenAI's protocol can say.
pub fn chat_request(body: &[u8]) -> Result<ChatRequest, Invalid> {
    let body: Body<'_> = serde_json::from_slice(body)
        .map_err(|error| Invalid::new("messages", format!("The request is not a chat completion's: {error}")))?;
    refuse_what_is_lost(&body)?;
    let offers_tools = body.tool_choice.as_ref().is_none_or(|choice| choice != "none");
    Ok(ChatRequest {
        messages: body.messages.into_iter().map(message).collect::<Result<_, _>>()?,
        tools: body
            .tools
            .unwrap_or_default()
            .into_iter()
            .filter(|_| offers_tools)
            .map(tool)
            .collect::<Result<_, _>>()?,
        temperature: body.temperature,
        max_tokens: body.max_completion_tokens.or(body.max_tokens),
        stream: body.stream.unwrap_or_default(),
        ..ChatRequest::default()
    })
}

fn unsupported(field: &'static str, what: &str) -> Invalid {
    Invalid::new(field, format!("The provider of this model does not support {what}."))
}

fn refuse_what_is_lost(body: &Body<'_>) -> Result<(), Invalid> {
    let is_something = |value: &Option<Value>| {
        value
            .as_ref()
            .is_some_and(|value| !value.is_null() && *value != serde_json::json!([]) && *value != serde_json::json!({}))
    };
    let is_text = |format: &Value| format["type"] == "text";
    let may_choose = |choice: &Value| choice == "auto" || choice == "none";
    match () {
        () if body.n.is_some_and(|n| n != 1) => Err(unsupported("n", "more than one choice")),
        () if body.logprobs == Some(true) => Err(unsupported("logprobs", "log probabilities")),
        () if is_something(&body.stop) => Err(unsupported("stop", "stop sequences")),
        () if is_something(&body.functions) => Err(unsupported("functions", "functions: use tools")),
        () if is_something(&body.logit_bias) => Err(unsupported("logit_bias", "a bias on tokens")),
        () if body.response_format.as_ref().is_some_and(|format| !is_text(format)) => {
            Err(unsupported("response_format", "this response format"))
        }
        () if body.tool_choice.as_ref().is_some_and(|choice| !may_choose(choice)) => {
            Err(unsupported("tool_choice", "being told which tool to call"))
        }
        () if body.modalities.as_ref().is_some_and(|kinds| kinds.iter().any(|kind| kind != "text")) => {
            Err(unsupported("modalities", "other answers than text"))
        }
        () => Ok(()),
    }
}

fn message(from: Message<'_>) -> Result<ChatMessage, Invalid> {
    let role = match from.role.as_ref() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => return Err(Invalid::new("messages", format!("There is no role {other:?} in messages."))),
    };
    if role == Role::Tool && from.tool_call_id.is_none() {
        return Err(Invalid::new("messages", "A message of the role \"tool\" needs a tool_call_id."));
    }
    let (content, images) = match from.content {
        None => (String::new(), Vec::new()),
        Some(Content::Text(text)) => (text.into_owned(), Vec::new()),
        Some(Content::Parts(parts)) => content_of(parts)?,
    };
    let tool_calls = from.tool_calls.unwrap_or_default().into_iter().map(call).collect::<Result<_, _>>()?;
    Ok(ChatMessage { role, content, images, tool_calls, tool_call_id: from.tool_call_id })
}

fn content_of(parts: Vec<Part<'_>>) -> Result<(String, Vec<Image>), Invalid> {
    let (mut text, mut images) = (String::new(), Vec::new());
    for part in parts {
        match (part.r#type.as_ref(), part.text, part.image_url) {
            ("text" | "refusal", Some(more), _) => text.push_str(&more),
            ("image_url", _, Some(image)) => images.push(image_at(&image.url)?),
            (kind, ..) => {
                let problem = format!("The provider of this model does not support content of the type {kind:?}.");
                return Err(Invalid::new("messages", problem));
            }
        }
    }
    Ok((text, images))
}

/// A picture by its address, or inside of it (<https://www.rfc-editor.org/rfc/rfc2397>).
fn image_at(url: &str) -> Result<Image, Invalid> {
    let Some(data) = url.strip_prefix("data:") else { return Ok(Image::Url(url.to_owned())) };
    let broken = || Invalid::new("messages", "A picture's data URL must be data:<media type>;base64,<data>.");
    let (media_type, data) = data.split_once(";base64,").ok_or_else(broken)?;
    let data = STANDARD.decode(data.trim()).map_err(|_| broken())?;
    Ok(Image::Bytes { media_type: media_type.to_owned(), data: data.into() })
}

fn call(from: Call<'_>) -> Result<ToolCall, Invalid> {
    let function = from.function.ok_or_else(|| Invalid::new("messages", "A tool call lacks its function."))?;
    Ok(ToolCall { id: from.id, name: function.name, arguments: function.arguments.into_owned() })
}

fn tool(from: ToolOffer<'_>) -> Result<Tool, Invalid> {
    let kind = from.r#type;
    let function =
        from.function.ok_or_else(|| unsupported("tools", &format!("tools of the type {kind:?}: only functions")))?;
    Ok(Tool {
        name: function.name,
        description: function.description.unwrap_or_default(),
        parameters: function.parameters.unwrap_or_else(|| serde_json::json!({"type": "object", "properties": {}})),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<ChatRequest, Invalid> {
        chat_request(body.to_string().as_bytes())
    }

    #[test]
    fn texts_pictures_and_calls_are_understood() {
        let request = read(&json!({
            "model": "m", "max_tokens": 5, "max_completion_tokens": 7, "temperature": 0.5, "stream": true, "seed": 3,
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What \"is\" this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQID", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
                ]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
            ],
            "tools": [{"type": "function", "function": {"name": "look"}}],
            "tool_choice": "auto",
        }))
        .unwrap();
        assert_eq!((request.max_tokens, request.temperature, request.stream), (Some(7), Some(0.5), true));
        let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool]);
        assert_eq!(request.messages[1].content, "What \"is\" this?");
        let picture = Image::Bytes { media_type: "image/png".into(), data: vec![1, 2, 3].into() };
        assert_eq!(request.messages[1].images, [picture, Image::Url("https://example.com/cat.png".into())]);
        assert_eq!(request.messages[2].tool_calls[0].name, "look");
        assert_eq!(request.messages[3].tool_call_id.as_deref(), Some("call_1"));
        assert_eq!(request.tools[0].parameters["type"], "object");
    }

    #[test]
    fn what_would_be_lost_is_refused_by_its_name() {
        for (field, value) in [
            ("n", json!(2)),
            ("logprobs", json!(true)),
            ("stop", json!("x")),
            ("functions", json!([{}])),
            ("logit_bias", json!({"5": 1})),
            ("response_format", json!({"type": "json_object"})),
            ("tool_choice", json!("required")),
            ("modalities", json!(["audio"])),
            ("tools", json!([{"type": "web_search"}])),
        ] {
            let mut body = json!({"messages": [{"role": "user", "content": "Hi"}]});
            body[field] = value;
            assert_eq!(read(&body).unwrap_err().field, field);
        }
        let harmless = json!({"messages": [{"role": "user", "content": "Hi"}], "n": 1, "logprobs": false, "stop": null,
            "logit_bias": {}, "response_format": {"type": "text"}, "modalities": ["text"], "tool_choice": null});
        assert!(read(&harmless).is_ok());
    }

    #[test]
    fn messages_that_are_none_are_refused() {
        for messages in [
            json!("Hi"),
            json!([{"content": "Hi"}]),
            json!([{"role": "wizard", "content": "Hi"}]),
            json!([{"role": "tool", "content": "Hi"}]),
            json!([{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,x"}}]}]),
        ] {
            assert_eq!(read(&json!({"messages": messages})).unwrap_err().field, "messages");
        }
    }
}
