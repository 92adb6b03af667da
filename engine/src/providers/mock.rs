//! The built-in provider: answers without a key or a network, so that a first run, a demo and the
//! tests have somebody to talk to. The same request gets the same answer.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::error::ProviderError;
use super::{ChatRequest, Delta, DeltaStream, Provider};
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
/// `mock-length` reaches its limit; under any other name it just answers.
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
}

/// What the model's name asks for: what follows `mock-`, or nothing.
fn behaviour(model: &str) -> &str {
    let model = model.strip_prefix("mock/").unwrap_or(model);
    model.strip_prefix("mock-").unwrap_or_default()
}

fn deltas(request: &ChatRequest) -> Vec<Result<Delta, ProviderError>> {
    let behaviour = behaviour(&request.model);
    let answer = answer(request);
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
    let model = if request.model.starts_with("mock") { request.model.clone() } else { "mock".to_owned() };
    let mut deltas = vec![Ok(Delta::Model(model))];
    if request.stream {
        deltas.extend(words.iter().map(|word| Ok(Delta::Text((*word).to_owned()))));
    } else if !text.is_empty() {
        deltas.push(Ok(Delta::Text(text.clone())));
    }
    if behaviour == "cut" {
        deltas.push(Err(ProviderError::Cut));
        return deltas;
    }
    deltas.push(Ok(Delta::Finish(finish)));
    deltas.push(Ok(Delta::Usage(TokenUsage::new(request.estimated_tokens(), estimate_tokens(&text)))));
    deltas
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

fn answer(request: &ChatRequest) -> String {
    let question = request.messages.iter().rev().find(|message| message.role == Role::User);
    let question = question.map(|message| message.content.as_str()).unwrap_or_default();
    let mut echo: String = question.chars().take(MAX_ECHO).collect();
    if echo.len() < question.len() {
        echo.push('…');
    }
    format!(
        "Hello! I am Parlor's built-in mock, not a language model: I can only repeat what you said, which was \
         \"{echo}\". For real answers set OPENAI_API_KEY, AI_SERVICES__OPEN_ROUTER_API_KEY_1, \
         AI_SERVICES__GROQ_API_KEY, AI_SERVICES__GEMINI_API_KEY or AI_MODEL_ENDPOINT, and start me again."
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

    use super::*;
    use crate::providers::ChatMessage;

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
