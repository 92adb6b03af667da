//! The built-in provider: answers without a key or a network, so that a first run, a demo and the
//! tests have somebody to talk to. The same request gets the same answer.

mod arguments;
mod passed;
mod vectors;

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::error::ProviderError;
use super::{ChatMessage, ChatRequest, Delta, DeltaStream, Provider, Tool, WireEndpoint, WireRequest, WireResponse};
use crate::domain::{FinishReason, Role, TokenUsage, estimate_tokens};

/// The pause between two words of a streamed answer.
const PACE: Duration = Duration::from_millis(4);
const SLOW_PACE: Duration = Duration::from_millis(250);
/// How much of the question is repeated, in characters.
const MAX_ECHO: usize = 200;
/// Where `mock-length` and `mock-cut` stop, in words.
const SHORT: usize = 8;

/// The mock. The model's name tells it how to behave: `mock-fail` answers 503, `mock-cut` breaks
/// off, `mock-slow` takes a quarter of a second for each word, `mock-hang` says nothing at all,
/// `mock-length` reaches its limit, `mock-tool` calls the first tool that it is offered and then
/// answers with what the tool gave; under any other name it just answers.
#[derive(Debug, Clone)]
pub struct Mock {
    pace: Duration,
}

impl Default for Mock {
    fn default() -> Self {
        Self { pace: PACE }
    }
}

impl Mock {
    /// A mock that pauses this long between two words; zero not at all.
    #[must_use]
    pub fn with_pace(pace: Duration) -> Self {
        Self { pace }
    }
}

impl Provider for Mock {
    fn name(&self) -> &str {
        "mock"
    }

    fn chat<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<DeltaStream, ProviderError>> {
        async move {
            match behaviour(&request.model) {
                "fail" => return Err(ProviderError::Unavailable { status: 503 }),
                "hang" => return Ok(stream::pending().boxed()),
                _ => {}
            }
            let pace = if behaviour(&request.model) == "slow" { SLOW_PACE } else { self.pace };
            let deltas = deltas(request);
            Ok(if request.stream && !pace.is_zero() { paced(deltas, pace) } else { stream::iter(deltas).boxed() })
        }
        .boxed()
    }

    fn speaks(&self, endpoint: WireEndpoint) -> bool {
        matches!(endpoint, WireEndpoint::Embeddings | WireEndpoint::Moderations)
    }

    fn wire<'a>(
        &'a self,
        request: &'a WireRequest<'a>,
        model: &'a str,
    ) -> BoxFuture<'a, Result<WireResponse, ProviderError>> {
        std::future::ready(passed::answer(request, model)).boxed()
    }
}

/// What the model's name asks for: what follows `mock-`, or nothing.
fn behaviour(model: &str) -> &str {
    let model = model.strip_prefix("mock/").unwrap_or(model);
    model.strip_prefix("mock-").unwrap_or_default()
}

fn deltas(request: &ChatRequest) -> Vec<Result<Delta, ProviderError>> {
    let behaviour = behaviour(&request.model);
    let result = request.messages.last().filter(|message| message.role == Role::Tool);
    let answer = match (behaviour, result, request.tools.first()) {
        ("tool", Some(result), _) => format!("The tool says: {}", excerpt(&result.content)),
        ("tool", None, Some(tool)) => return call(request, tool),
        _ => answer(request),
    };
    let mut words: Vec<&str> = answer.split_inclusive(' ').collect();
    let mut finish = FinishReason::Stop;
    if matches!(behaviour, "length" | "cut") {
        words.truncate(SHORT);
        finish = FinishReason::Length;
    }
    if let Some(max) = request.max_tokens {
        let fits = words_within(&words, u64::from(max));
        if fits < words.len() {
            words.truncate(fits);
            finish = FinishReason::Length;
        }
    }
    let text = words.concat();
    let mut deltas = vec![Ok(model_of(request))];
    if request.stream {
        deltas.extend(words.iter().map(|word| Ok(Delta::Text((*word).to_owned()))));
    } else if !text.is_empty() {
        deltas.push(Ok(Delta::Text(text.clone())));
    }
    if behaviour == "cut" {
        deltas.push(Err(ProviderError::Cut));
        return deltas;
    }
    deltas.extend([Ok(Delta::Finish(finish)), Ok(usage(request, &text))]);
    deltas
}

/// A call of `tool` with the question for its texts; the arguments come in two pieces where a stream is wanted.
fn call(request: &ChatRequest, tool: &Tool) -> Vec<Result<Delta, ProviderError>> {
    let arguments = arguments::fitting(&tool.parameters, &excerpt(question(request))).to_string();
    let half = if request.stream { arguments.floor_char_boundary(arguments.len() / 2) } else { 0 };
    let (begun, rest) = arguments.split_at(half);
    let calls = request.messages.iter().map(|message| message.tool_calls.len()).sum::<usize>();
    let piece = |id: Option<String>, name: Option<String>, arguments: &str| {
        Ok(Delta::ToolCall { index: 0, id, name, arguments: arguments.to_owned() })
    };
    let first = piece(Some(format!("call_{}", calls + 1)), Some(tool.name.clone()), begun);
    let mut deltas = vec![Ok(model_of(request)), first, piece(None, None, rest)];
    deltas.extend([Ok(Delta::Finish(FinishReason::ToolCalls)), Ok(usage(request, &arguments))]);
    deltas
}

fn model_of(request: &ChatRequest) -> Delta {
    let is_mocks = request.model.starts_with("mock");
    Delta::Model(if is_mocks { request.model.clone() } else { "mock".to_owned() })
}

fn usage(request: &ChatRequest, said: &str) -> Delta {
    Delta::Usage(TokenUsage::new(request.estimated_tokens(), estimate_tokens(said)))
}

/// How many of the words cost at most `tokens`.
fn words_within(words: &[&str], tokens: u64) -> usize {
    let limit = tokens.saturating_mul(4);
    let mut length = 0_u64;
    words
        .iter()
        .take_while(|word| {
            length += word.len() as u64;
            length <= limit
        })
        .count()
}

fn question(request: &ChatRequest) -> &str {
    let question = request.messages.iter().rev().find(|message| message.role == Role::User);
    question.map(|message| message.content.as_str()).unwrap_or_default()
}

fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(MAX_ECHO).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}

fn answer(request: &ChatRequest) -> String {
    let echo = excerpt(question(request));
    let saw = match request.messages.iter().map(|message: &ChatMessage| message.images.len()).sum::<usize>() {
        0 => String::new(),
        1 => " I saw 1 image.".to_owned(),
        images => format!(" I saw {images} images."),
    };
    format!(
        "Hello! I am Parlor's built-in mock, not a language model: I can only repeat what you said, which was \
         \"{echo}\".{saw} For real answers set OPENAI_API_KEY, ANTHROPIC_API_KEY, \
         AI_SERVICES__OPEN_ROUTER_API_KEY_1, AI_SERVICES__GROQ_API_KEY, AI_SERVICES__GEMINI_API_KEY or AI_MODEL_ENDPOINT, and start me again."
    )
}

/// The deltas with a pause before each text but the first.
fn paced(deltas: Vec<Result<Delta, ProviderError>>, pace: Duration) -> DeltaStream {
    let paced = stream::iter(deltas).scan(false, move |spoken, delta| {
        let text = matches!(delta, Ok(Delta::Text(_)));
        let pause = text && *spoken;
        *spoken |= text;
        async move {
            if pause {
                tokio::time::sleep(pace).await;
            }
            Some(delta)
        }
    });
    paced.boxed()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::providers::{Image, ToolCall};

    fn request(model: &str, question: &str) -> ChatRequest {
        ChatRequest {
            model: model.into(),
            messages: vec![ChatMessage::text(Role::User, question)],
            stream: true,
            ..ChatRequest::default()
        }
    }

    async fn ask(request: &ChatRequest) -> Vec<Result<Delta, ProviderError>> {
        Mock::with_pace(Duration::ZERO).chat(request).await.unwrap().collect().await
    }

    fn text(deltas: &[Result<Delta, ProviderError>]) -> String {
        let text = |delta: &Result<Delta, ProviderError>| match delta {
            Ok(Delta::Text(text)) => Some(text.clone()),
            _ => None,
        };
        deltas.iter().filter_map(text).collect()
    }

    #[tokio::test]
    async fn it_says_what_it_is_and_repeats_the_question_within_bounds() {
        let deltas = ask(&request("gpt-4o-mini", &"wörd ".repeat(1000))).await;
        let answer = text(&deltas);
        assert!(answer.contains("built-in mock") && answer.contains("OPENAI_API_KEY"));
        assert!(answer.chars().count() < 600);
        assert!(deltas.contains(&Ok(Delta::Model("mock".into()))));
    }

    #[tokio::test]
    async fn it_gives_the_same_answer_whole_as_word_by_word() {
        let streamed = ask(&request("mock", "Hi")).await;
        let whole = ask(&ChatRequest { stream: false, ..request("mock", "Hi") }).await;
        assert_eq!(text(&streamed), text(&whole));
        assert_eq!(whole.len(), 4);
        assert_eq!(streamed.last(), whole.last());
    }

    #[tokio::test]
    async fn it_says_how_many_images_it_saw() {
        let mut asked = request("mock", "Look");
        assert!(!text(&ask(&asked).await).contains("I saw"));
        asked.messages[0].images = vec![Image::Url("https://pictures.example/1.png".into())];
        assert!(text(&ask(&asked).await).contains("I saw 1 image."));
        asked.messages[0].images.push(Image::Bytes { media_type: "image/png".into(), data: "…".into() });
        assert!(text(&ask(&asked).await).contains("I saw 2 images."));
    }

    #[tokio::test]
    async fn it_calls_the_first_tool_once_and_answers_with_what_that_gives() {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let tool = Tool { name: "weather".into(), description: "The weather".into(), parameters };
        for stream in [true, false] {
            let mut asked = ChatRequest { tools: vec![tool.clone()], stream, ..request("mock-tool", "Ulm") };
            let deltas = ask(&asked).await;
            assert!(deltas.contains(&Ok(Delta::Finish(FinishReason::ToolCalls))));
            let mut call = ToolCall { id: String::new(), name: String::new(), arguments: String::new() };
            for delta in deltas {
                if let Ok(Delta::ToolCall { index: 0, id, name, arguments }) = delta {
                    call.id += &id.unwrap_or_default();
                    call.name += &name.unwrap_or_default();
                    call.arguments += &arguments;
                }
            }
            assert_eq!((call.name.as_str(), call.arguments.as_str()), ("weather", r#"{"city":"Ulm"}"#));
            let tool_call_id = Some(call.id.clone());
            asked.messages.extend([
                ChatMessage { tool_calls: vec![call], ..ChatMessage::text(Role::Assistant, "") },
                ChatMessage { tool_call_id, ..ChatMessage::text(Role::Tool, "rain") },
            ]);
            let deltas = ask(&asked).await;
            assert_eq!(text(&deltas), "The tool says: rain");
            assert!(deltas.contains(&Ok(Delta::Finish(FinishReason::Stop))));
        }
    }

    #[tokio::test]
    async fn it_counts_a_token_for_each_four_bytes() {
        let deltas = ask(&request("mock", "Hello")).await;
        let completion_tokens = estimate_tokens(&text(&deltas));
        let usage = TokenUsage::new(2, completion_tokens);
        assert_eq!(deltas.last(), Some(&Ok(Delta::Usage(usage))));
    }

    #[tokio::test]
    async fn it_keeps_to_the_token_limit() {
        let deltas = ask(&ChatRequest { max_tokens: Some(5), ..request("mock", "Hi") }).await;
        assert!(text(&deltas).len() <= 20);
        assert!(deltas.contains(&Ok(Delta::Finish(FinishReason::Length))));
    }

    #[tokio::test]
    async fn it_fails_as_the_models_name_says() {
        let mock = Mock::default();
        let failed = mock.chat(&request("mock-fail", "Hi")).await.err();
        assert_eq!(failed, Some(ProviderError::Unavailable { status: 503 }));
        let cut = ask(&request("mock-cut", "Hi")).await;
        assert!(!text(&cut).is_empty());
        assert_eq!(cut.last(), Some(&Err(ProviderError::Cut)));
        assert!(ask(&request("mock-length", "Hi")).await.contains(&Ok(Delta::Finish(FinishReason::Length))));
        assert!(mock.chat(&request("mock-hang", "Hi")).await.unwrap().next().now_or_never().is_none());
    }
}
