//! The other protocols than OpenAI's chat completions, with the same behaviours by the model's name.

mod anthropic;
mod gemini;
mod responses;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::answers::{EVENTS, PROMPT_TOKENS, json_reply, reply};
use super::behaviour::Behaviour;
use super::body::{Reply, Script, Telling, push_word};
use super::state::{Call, State};

/// A protocol, by the path that it is asked under.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocol {
    Anthropic,
    Gemini,
    Responses,
}

/// What is asked, whatever the protocol.
pub(super) struct Asked {
    model: String,
    stream: bool,
    /// All that was said, in the order in which it was said.
    texts: Vec<String>,
    /// The last thing that the person said.
    question: String,
    /// The first tool, unless there is a result already.
    tool: Option<String>,
    images: usize,
}

impl Protocol {
    /// The protocol of a path below `/v1`, and the model and the wish for a stream where the path tells them.
    pub fn of(path: &str) -> Option<(Self, Option<(String, bool)>)> {
        match path {
            "/messages" => Some((Self::Anthropic, None)),
            "/responses" => Some((Self::Responses, None)),
            _ => {
                let (model, method) = path.strip_prefix("beta/models/")?.split_once(':')?;
                let stream = match method {
                    "generateContent" => false,
                    "streamGenerateContent" => true,
                    _ => return None,
                };
                Some((Self::Gemini, Some((model.to_owned(), stream))))
            }
        }
    }

    fn read(self, named: Option<(String, bool)>, body: &Value) -> Option<Asked> {
        let (model, stream) = match named {
            Some(named) => named,
            None => (body["model"].as_str()?.to_owned(), body["stream"] == true),
        };
        match self {
            Self::Anthropic => anthropic::read(model, stream, body),
            Self::Gemini => gemini::read(model, stream, body),
            Self::Responses => responses::read(model, stream, body),
        }
    }

    fn telling(self, asked: &Asked, said: &Said, how: &Behaviour) -> Telling {
        match self {
            Self::Anthropic => anthropic::telling(asked, said, how),
            Self::Gemini => gemini::telling(asked, said, how),
            Self::Responses => responses::telling(asked, said, how),
        }
    }

    fn whole(self, asked: &Asked, said: &Said, how: &Behaviour) -> Value {
        match self {
            Self::Anthropic => anthropic::whole(asked, said, how),
            Self::Gemini => gemini::whole(asked, said, how),
            Self::Responses => responses::whole(asked, said, how),
        }
    }

    fn error(self, status: u16) -> Value {
        match self {
            Self::Anthropic => anthropic::error(status),
            Self::Gemini => gemini::error(status),
            Self::Responses => responses::error(status),
        }
    }
}

/// What is answered, whatever the protocol.
pub(super) struct Said {
    /// The content chunks in order; `None`: made up from their number.
    words: Option<Vec<String>>,
    text: String,
    prompt_tokens: usize,
    completion_tokens: usize,
    /// The tool that is called in place of an answer.
    tool: Option<String>,
}

impl Said {
    fn of(asked: &Asked, how: &Behaviour) -> Self {
        let count = |text: &String| text.split_whitespace().count();
        if let Some(tool) = asked.tool.as_ref().filter(|_| how.tool) {
            let tool = Some(tool.clone());
            return Self { words: Some(vec![]), text: String::new(), prompt_tokens: 21, completion_tokens: 7, tool };
        }
        if how.echo {
            let words: Vec<String> = asked.question.split_inclusive(char::is_whitespace).map(str::to_owned).collect();
            return Self {
                text: words.concat(),
                prompt_tokens: asked.texts.iter().map(count).sum(),
                completion_tokens: words.len(),
                words: Some(words),
                tool: None,
            };
        }
        let mut text = String::new();
        (1..=how.tokens).for_each(|number| push_word(&mut text, how, number));
        let (prompt_tokens, completion_tokens) = (PROMPT_TOKENS + asked.images, how.tokens as usize);
        Self { words: None, text, prompt_tokens, completion_tokens, tool: None }
    }
}

/// The arguments that every tool is called with.
fn arguments() -> Value {
    json!({"city": "Ulm"})
}

/// Answers in `protocol`; `named` is what the path tells.
pub(super) async fn answer(
    state: &Arc<State>,
    reset: Arc<AtomicBool>,
    protocol: Protocol,
    named: Option<(String, bool)>,
    body: &[u8],
) -> Response<Reply> {
    let mut call = Call::begin(state);
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(asked) = protocol.read(named, &body) else {
        call.finish();
        return json_reply(StatusCode::BAD_REQUEST, protocol.error(400).to_string());
    };
    let how = Behaviour::of(&asked.model);
    if how.hang {
        std::future::pending::<()>().await;
    }
    if !how.time_to_first.is_zero() {
        tokio::time::sleep(how.time_to_first).await;
    }
    let flaky = how.flaky.is_some_and(|failures| state.flaky_fails(&asked.model, failures));
    if let Some(status) = flaky.then_some(500).or(how.error) {
        call.finish();
        return refusal(protocol, status, &how);
    }
    if how.html {
        call.finish();
        let page = Bytes::from_static(b"<!doctype html><html><body><h1>Welcome to the proxy</h1></body></html>");
        return reply(StatusCode::OK, "text/html; charset=utf-8", Reply::Whole(page));
    }
    let said = Said::of(&asked, &how);
    if asked.stream {
        state.streams.fetch_add(1, Relaxed);
        let body = if how.huge_line {
            Reply::line(call)
        } else {
            let telling = protocol.telling(&asked, &said, &how);
            Reply::Stream(Box::new(Script::tell(how, telling, said.words, call, reset)))
        };
        return reply(StatusCode::OK, EVENTS, body);
    }
    let body = if how.huge_line {
        Reply::line(call)
    } else {
        let answer = if how.error_object.is_some() { protocol.error(500) } else { protocol.whole(&asked, &said, &how) };
        Reply::whole(how, answer.to_string().into(), call, reset)
    };
    reply(StatusCode::OK, "application/json", body)
}

/// The answer to a key that is refused: one whose text says so.
pub(super) fn refusal(protocol: Protocol, status: u16, how: &Behaviour) -> Response<Reply> {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_reply(code, protocol.error(status).to_string());
    if let Some(seconds) = how.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Everything of a text's JSON before and after the text itself, which is put between them.
fn around(value: &Value) -> (String, String) {
    let json = value.to_string();
    let (head, tail) = json.split_once("TEXT").unwrap_or((&json, ""));
    (head.to_owned(), tail.to_owned())
}
