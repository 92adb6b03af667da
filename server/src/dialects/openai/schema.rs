//! What `/openapi.json` says of requests and answers that are handed on as they are: the fields that matter most, and any others.

use serde_json::Value;
use utoipa::ToSchema;

/// A request for a chat completion; other fields of OpenAI's are taken too.
#[derive(ToSchema)]
#[schema(as = openai::CompletionRequest)]
#[allow(dead_code, reason = "a description")]
pub struct CompletionRequest {
    /// A model's name; `provider/model` picks a provider.
    model: String,
    /// The conversation, oldest message first.
    messages: Vec<Value>,
    /// Whether the answer comes as it is written.
    stream: Option<bool>,
    /// `{"include_usage": true}`: the stream ends with the tokens.
    stream_options: Option<Value>,
    /// What the model may call.
    tools: Option<Vec<Value>>,
    /// The shape of the answer.
    response_format: Option<Value>,
    /// How varied the answer is, 0 to 2.
    temperature: Option<f64>,
    /// The longest answer, in tokens.
    max_completion_tokens: Option<u64>,
    /// How many answers.
    n: Option<u32>,
}

/// A chat completion.
#[derive(ToSchema)]
#[schema(as = openai::Completion)]
#[allow(dead_code, reason = "a description")]
pub struct Completion {
    /// Its id.
    id: String,
    /// Always `chat.completion`.
    object: String,
    /// Seconds since the epoch.
    created: i64,
    /// The model that answered.
    model: String,
    /// The answers.
    choices: Vec<Value>,
    /// The tokens.
    usage: Option<Value>,
}

/// A request for a response. Nothing is stored: `previous_response_id` and `background` are refused.
#[derive(ToSchema)]
#[schema(as = openai::ResponseRequest)]
#[allow(dead_code, reason = "a description")]
pub struct ResponseRequest {
    /// A model's name; `provider/model` picks a provider.
    model: String,
    /// A text, or a list of items.
    input: Value,
    /// What the model is told first.
    instructions: Option<String>,
    /// Whether the answer comes as it is written.
    stream: Option<bool>,
    /// Functions that the model may call.
    tools: Option<Vec<Value>>,
    /// The longest answer, in tokens.
    max_output_tokens: Option<u64>,
}

/// A response.
#[derive(ToSchema)]
#[schema(as = openai::Response)]
#[allow(dead_code, reason = "a description")]
pub struct Response {
    /// Its id; nothing is kept under it.
    id: String,
    /// Always `response`.
    object: String,
    /// `completed`, `incomplete`, `in_progress` or `failed`.
    status: String,
    /// Messages and function calls.
    output: Vec<Value>,
    /// The tokens.
    usage: Option<Value>,
}

/// A request for vectors.
#[derive(ToSchema)]
#[schema(as = openai::EmbeddingRequest)]
#[allow(dead_code, reason = "a description")]
pub struct EmbeddingRequest {
    /// A model's name; `provider/model` picks a provider.
    model: String,
    /// A text, or a list of texts.
    input: Value,
    /// How many numbers a vector has.
    dimensions: Option<u32>,
    /// `float` or `base64`.
    encoding_format: Option<String>,
}

/// Vectors.
#[derive(ToSchema)]
#[schema(as = openai::Embeddings)]
#[allow(dead_code, reason = "a description")]
pub struct Embeddings {
    /// Always `list`.
    object: String,
    /// One per text.
    data: Vec<Value>,
    /// The model that made them.
    model: String,
    /// The tokens.
    usage: Value,
}

/// Texts to look at.
#[derive(ToSchema)]
#[schema(as = openai::ModerationRequest)]
#[allow(dead_code, reason = "a description")]
pub struct ModerationRequest {
    /// A text, or a list of texts.
    input: Value,
    /// A model's name; `omni-moderation-latest` without one.
    model: Option<String>,
}

/// What was found.
#[derive(ToSchema)]
#[schema(as = openai::Moderation)]
#[allow(dead_code, reason = "a description")]
pub struct Moderation {
    /// Its id.
    id: String,
    /// The model that looked.
    model: String,
    /// One per text.
    results: Vec<Value>,
}
