//! A request as OpenAI's chat completions want it.
//!
//! <https://platform.openai.com/docs/api-reference/chat/create>. OpenRouter gives the tokens and the cost of every answer
//! unasked (<https://openrouter.ai/docs/use-cases/usage-accounting>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use crate::providers::{ChatMessage, ChatRequest, Image, ModelNames, Tool, ToolCall};

#[derive(Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<RequestTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    /// `null` where there is but a call of tools.
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
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
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
struct RequestTool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    parameters: &'a Value,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Called<'a>,
}

#[derive(Serialize)]
struct Called<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Request<'a> {
    /// OpenAI's reasoning models take `max_completion_tokens` in place of `max_tokens`, and no temperature
    /// (<https://platform.openai.com/docs/guides/reasoning>).
    pub(super) fn new(request: &'a ChatRequest, models: ModelNames) -> Self {
        let reasoning = models.is_reasoning(&request.model);
        Self {
            model: &request.model,
            messages: request.messages.iter().map(Message::new).collect(),
            tools: request.tools.iter().map(RequestTool::new).collect(),
            temperature: request.temperature.filter(|_| !reasoning),
            max_tokens: request.max_tokens.filter(|_| !reasoning),
            max_completion_tokens: request.max_tokens.filter(|_| reasoning),
            stream: request.stream,
            stream_options: request.stream.then_some(StreamOptions { include_usage: true }),
        }
    }
}

impl<'a> Message<'a> {
    fn new(message: &'a ChatMessage) -> Self {
        let is_call = !message.tool_calls.is_empty() && message.content.is_empty();
        Self {
            role: message.role.as_str(),
            content: (!is_call || !message.images.is_empty()).then(|| Content::new(message)),
            tool_calls: message.tool_calls.iter().map(Call::new).collect(),
            tool_call_id: message.tool_call_id.as_deref(),
        }
    }
}

impl<'a> Content<'a> {
    fn new(message: &'a ChatMessage) -> Self {
        if message.images.is_empty() {
            return Self::Text(&message.content);
        }
        let text = (!message.content.is_empty()).then_some(Part::Text { text: &message.content });
        let images = message.images.iter().map(|image| Part::ImageUrl { image_url: ImageUrl { url: url_of(image) } });
        Self::Parts(text.into_iter().chain(images).collect())
    }
}

impl<'a> RequestTool<'a> {
    fn new(tool: &'a Tool) -> Self {
        let Tool { name, description, parameters } = tool;
        Self { r#type: "function", function: Function { name, description, parameters } }
    }
}

impl<'a> Call<'a> {
    fn new(call: &'a ToolCall) -> Self {
        let ToolCall { id, name, arguments } = call;
        Self { id, r#type: "function", function: Called { name, arguments } }
    }
}

/// Where the picture is; its bytes as a `data:` URL (RFC 2397).
fn url_of(image: &Image) -> String {
    match image {
        Image::Url(url) => url.clone(),
        Image::Bytes { media_type, data } => {
            let mut url = format!("data:{media_type};base64,");
            STANDARD.encode_string(data, &mut url);
            url
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::domain::Role;

    fn written(message: ChatMessage) -> Value {
        let request = ChatRequest { messages: vec![message], ..ChatRequest::default() };
        serde_json::to_value(Request::new(&request, ModelNames::AsIs)).unwrap()["messages"][0].take()
    }

    #[test]
    fn a_message_of_text_alone_is_text() {
        assert_eq!(written(ChatMessage::text(Role::User, "Hi")), json!({"role": "user", "content": "Hi"}));
        assert_eq!(written(ChatMessage::text(Role::User, "")), json!({"role": "user", "content": ""}));
    }

    #[test]
    fn pictures_are_parts_after_the_text() {
        let data = Bytes::from_static(b"\x89PNG");
        let images = vec![
            Image::Url("https://pictures.example/cat.png".into()),
            Image::Bytes { media_type: "image/png".into(), data },
        ];
        let expected = json!({"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        ]});
        assert_eq!(written(ChatMessage { images, ..ChatMessage::text(Role::User, "What is this?") }), expected);
    }

    #[test]
    fn a_call_and_its_result_name_each_other() {
        let call = ToolCall { id: "call_1".into(), name: "weather".into(), arguments: "{\"city\":\"Ulm\"}".into() };
        let expected = json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Ulm\"}"}},
        ]});
        assert_eq!(written(ChatMessage { tool_calls: vec![call], ..ChatMessage::text(Role::Assistant, "") }), expected);
        let result = ChatMessage { tool_call_id: Some("call_1".into()), ..ChatMessage::text(Role::Tool, "rain") };
        assert_eq!(written(result), json!({"role": "tool", "content": "rain", "tool_call_id": "call_1"}));
    }
}
