//! Requests in, responses out.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::behaviour::Behaviour;
use super::body::{Answer, Reply, Script, push_word};
use super::embedding::embed;
use super::full;
use super::protocols::{self, Protocol};
use super::state::{Call, State};

const MAX_REQUEST_BYTES: usize = 32 << 20;
const MAX_DIMENSIONS: usize = 8192;
const DEFAULT_DIMENSIONS: usize = 1536;
/// Counted for every prompt but an echo's, whose words are counted.
pub(super) const PROMPT_TOKENS: usize = 12;
pub(super) const EVENTS: &str = "text/event-stream; charset=utf-8";
const MODELS: [&str; 4] = ["mock-0ms-20tok", "mock-echo", "gpt-4o-mini", "gpt-3.5-turbo"];

#[derive(Deserialize)]
struct ChatRequest<'a> {
    #[serde(default)]
    model: String,
    #[serde(default, deserialize_with = "null_is_default")]
    stream: bool,
    stream_options: Option<StreamOptions>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct EmbeddingRequest {
    #[serde(default)]
    model: String,
    #[serde(default)]
    input: Value,
    encoding_format: Option<String>,
    dimensions: Option<usize>,
}

fn null_is_default<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Answers one request; `reset` is the flag of the socket it came by.
pub(super) async fn answer(
    state: Arc<State>,
    reset: Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let route = path.strip_prefix("/v1").unwrap_or(path);
    if head.method == Method::GET {
        return Ok(match route {
            "/health" => json_reply(StatusCode::OK, "{\"ok\":true}"),
            "/stats" => json_reply(StatusCode::OK, state.stats()),
            "/models" => json_reply(StatusCode::OK, models()),
            _ => match route.strip_prefix("/models/") {
                Some(id) => json_reply(StatusCode::OK, model(id).to_string()),
                None => no_route(),
            },
        });
    }
    let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
        return Ok(refuse(StatusCode::PAYLOAD_TOO_LARGE, "the request could not be read"));
    };
    let body = body.to_bytes();
    let other = Protocol::of(route);
    let is_refused = ["authorization", "x-api-key", "x-goog-api-key"]
        .into_iter()
        .filter_map(|name| head.headers.get(name))
        .any(|key| key.as_bytes().ends_with(b"refused"));
    state.remember(head.headers, body.clone());
    if let Some((protocol, named)) = other {
        return Ok(if is_refused {
            protocols::refusal(protocol, 401, &Behaviour::of(""))
        } else {
            protocols::answer(&state, reset, protocol, named, &body).await
        });
    }
    if is_refused {
        return Ok(error_reply(401, &Behaviour::of("")));
    }
    Ok(match route {
        "/chat/completions" => chat(state, reset, &body).await,
        "/embeddings" => embeddings(&state, &body),
        "/moderations" => moderations(&state, &body).await,
        _ => no_route(),
    })
}

async fn chat(state: Arc<State>, reset: Arc<AtomicBool>, body: &[u8]) -> Response<Reply> {
    let mut call = Call::begin(&state);
    let response = match serde_json::from_slice::<ChatRequest<'_>>(body) {
        Err(error) => refuse(StatusCode::BAD_REQUEST, &format!("not a chat request: {error}")),
        Ok(ChatRequest { messages: None, .. }) => {
            refuse(StatusCode::BAD_REQUEST, "Missing required parameter: 'messages'.")
        }
        Ok(request) => {
            let how = Behaviour::of(&request.model);
            if how.hang {
                std::future::pending::<()>().await;
            }
            if !how.time_to_first.is_zero() {
                tokio::time::sleep(how.time_to_first).await;
            }
            match failure(&state, &request.model, &how) {
                Some(response) => response,
                None if how.full => full(&state, request.stream, body),
                None => return succeed(&state, reset, &request, how, call),
            }
        }
    };
    call.finish();
    response
}

fn full(state: &State, is_stream: bool, body: &[u8]) -> Response<Reply> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    if !is_stream {
        return json_reply(StatusCode::OK, full::whole(&request).to_string());
    }
    state.streams.fetch_add(1, Relaxed);
    reply(StatusCode::OK, EVENTS, Reply::Whole(full::stream(&request)))
}

fn failure(state: &State, model: &str, how: &Behaviour) -> Option<Response<Reply>> {
    if how.flaky.is_some_and(|k| state.flaky_fails(model, k)) {
        return Some(error_reply(500, how));
    }
    if let Some(status) = how.error {
        return Some(error_reply(status, how));
    }
    how.html.then(|| {
        reply(
            StatusCode::OK,
            "text/html; charset=utf-8",
            Reply::Whole(Bytes::from_static(b"<!doctype html><html><body><h1>Welcome to the proxy</h1></body></html>")),
        )
    })
}

fn succeed(
    state: &State,
    reset: Arc<AtomicBool>,
    request: &ChatRequest<'_>,
    how: Behaviour,
    mut call: Call,
) -> Response<Reply> {
    let (words, prompt_tokens) = if how.echo {
        let (words, prompt) = echo(request.messages.map_or("[]", RawValue::get));
        (Some(words), prompt)
    } else {
        (None, PROMPT_TOKENS)
    };
    let completion = words.as_ref().map_or(how.tokens as usize, Vec::len);
    let usage_json = format!(
        "{{\"prompt_tokens\":{prompt_tokens},\"completion_tokens\":{completion},\"total_tokens\":{}}}",
        prompt_tokens + completion
    );
    let finish_reason = if how.length { "length" } else { "stop" };
    let model_json = Value::from(request.model.as_str()).to_string();
    if request.stream {
        state.streams.fetch_add(1, Relaxed);
        if how.huge_line {
            return reply(StatusCode::OK, EVENTS, Reply::line(call));
        }
        let asked = request.stream_options.as_ref().is_some_and(|o| o.include_usage);
        let answer = Answer { model_json, words, include_usage: asked && !how.no_usage, usage_json, finish_reason };
        let script = Script::new(how, answer, call, reset);
        return reply(StatusCode::OK, EVENTS, Reply::Stream(Box::new(script)));
    }
    if how.huge_line {
        return reply(StatusCode::OK, "application/json", Reply::line(call));
    }
    if how.error_object.is_some() {
        call.finish();
        return json_reply(StatusCode::OK, error_json(500));
    }
    let text = match words {
        Some(words) => Value::from(words.concat()).to_string(),
        None => {
            let mut text = String::with_capacity(16 * completion + 2);
            text.push('"');
            (1..=how.tokens).for_each(|number| push_word(&mut text, &how, number));
            text.push('"');
            text
        }
    };
    let finish = if how.no_done { "null".to_owned() } else { format!("\"{finish_reason}\"") };
    let usage = if how.no_usage { String::new() } else { format!(",\"usage\":{usage_json}") };
    let whole = Bytes::from(format!(
        "{{\"id\":\"chatcmpl-fake\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":{model_json},\"system_fingerprint\":null,\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":{text},\"refusal\":null}},\"logprobs\":null,\"finish_reason\":{finish}}}]{usage}}}"
    ));
    reply(StatusCode::OK, "application/json", Reply::whole(how, whole, call, reset))
}

/// The last user message's text in chunks that end where a word begins, and the words of all
/// messages.
fn echo(messages: &str) -> (Vec<String>, usize) {
    let messages: Vec<Value> = serde_json::from_str(messages).unwrap_or_default();
    let prompt = messages.iter().map(|m| content(m).split_whitespace().count()).sum();
    let last = messages.iter().rfind(|m| m["role"] == "user").map(content).unwrap_or_default();
    let words = last.split_inclusive(char::is_whitespace);
    (words.map(str::to_owned).collect(), prompt)
}

fn content(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|p| p["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn embeddings(state: &State, body: &[u8]) -> Response<Reply> {
    state.embeddings.fetch_add(1, Relaxed);
    let request: EmbeddingRequest = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => {
            return refuse(StatusCode::BAD_REQUEST, &format!("not an embeddings request: {error}"));
        }
    };
    let how = Behaviour::of(&request.model);
    if let Some(response) = failure(state, &request.model, &how) {
        return response;
    }
    let inputs: Vec<&str> = match &request.input {
        Value::String(text) => vec![text],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if inputs.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "'input' must be a string or a list of strings");
    }
    let dimensions = request.dimensions.unwrap_or(DEFAULT_DIMENSIONS);
    let dimensions = dimensions.clamp(1, MAX_DIMENSIONS);
    let as_base64 = request.encoding_format.as_deref() == Some("base64");
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = embed(text, dimensions);
            let embedding = if as_base64 {
                let raw: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                json!(STANDARD.encode(raw))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: usize = inputs.iter().map(|t| t.split_whitespace().count()).sum();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    let answer = json!({"object": "list", "data": data, "model": request.model, "usage": usage});
    json_reply(StatusCode::OK, answer.to_string())
}

/// Flags every input that contains `[flag]`, as hate.
async fn moderations(state: &State, body: &[u8]) -> Response<Reply> {
    state.moderations.fetch_add(1, Relaxed);
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let how = Behaviour::of(request["model"].as_str().unwrap_or_default());
    if how.hang {
        std::future::pending::<()>().await;
    }
    if let Some(response) = failure(state, request["model"].as_str().unwrap_or_default(), &how) {
        return response;
    }
    let inputs = match &request["input"] {
        Value::Array(inputs) => inputs.clone(),
        one => vec![one.clone()],
    };
    let results: Vec<Value> = inputs
        .iter()
        .map(|input| {
            let flagged = input.to_string().contains("[flag]");
            let score = if flagged { 0.99 } else { 0.0001 };
            json!({
                "flagged": flagged,
                "categories": {"hate": flagged, "violence": false, "self-harm": false, "sexual": false},
                "category_scores": {"hate": score, "violence": 0.0001, "self-harm": 0.0001, "sexual": 0.0001},
            })
        })
        .collect();
    let answer = json!({"id": "modr-fake", "model": "omni-moderation-latest", "results": results});
    json_reply(StatusCode::OK, answer.to_string())
}

fn models() -> String {
    let data: Vec<Value> = MODELS.iter().map(|id| model(id)).collect();
    json!({"object": "list", "data": data}).to_string()
}

fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "fake"})
}

pub(super) fn reply(status: StatusCode, content_type: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("x-request-id", HeaderValue::from_static("req_fake"));
    response
}

pub(super) fn json_reply(status: StatusCode, json: impl Into<Bytes>) -> Response<Reply> {
    reply(status, "application/json", Reply::Whole(json.into()))
}

fn refuse(status: StatusCode, message: &str) -> Response<Reply> {
    let error = json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}});
    json_reply(status, error.to_string())
}

fn no_route() -> Response<Reply> {
    refuse(StatusCode::NOT_FOUND, "Unknown request URL")
}

fn error_reply(status: u16, how: &Behaviour) -> Response<Reply> {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_reply(code, error_json(status));
    if let Some(seconds) = how.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// OpenAI's error object; types and codes as its API gives them for these statuses.
fn error_json(status: u16) -> String {
    let (message, kind, code) = match status {
        401 => ("Incorrect API key provided.", "invalid_request_error", Some("invalid_api_key")),
        404 => ("The model does not exist.", "invalid_request_error", Some("model_not_found")),
        429 => ("Rate limit reached for requests", "requests", Some("rate_limit_exceeded")),
        400..500 => ("The request is invalid.", "invalid_request_error", None),
        _ => ("The server had an error while processing your request", "server_error", None),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
}
