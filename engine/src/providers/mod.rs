//! AI services and how to talk to them.
//!
//! A [`Provider`] translates a [`ChatRequest`] to one wire protocol and the answer back to
//! [`Delta`]s. Everything else (timeouts, retries, failover, breaker, metrics) is done once, around
//! all of them, by [`Providers`].

mod breaker;
mod clock;
mod error;
mod generate;
mod guard;
pub mod http;
mod keys;
mod mock;
mod models;
mod openai;
mod retry;
mod routing;
pub mod sse;
mod target;

use std::pin::Pin;

use futures_util::Stream;
use futures_util::future::BoxFuture;

use crate::domain::{FinishReason, Role, TokenUsage};

pub use breaker::BreakerState;
pub use clock::{RetryClock, SystemClock};
pub use error::{ProviderError, TimeoutPhase};
pub use generate::Generate;
pub use keys::KeyRing;
pub use mock::Mock;
pub use models::ModelNames;
pub use openai::OpenAi;
pub use routing::Providers;
pub use target::TargetState;

/// What a model is asked.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// The model's name; `provider/model` picks one provider, empty means the default.
    pub model: String,
    /// The conversation, oldest message first.
    pub messages: Vec<ChatMessage>,
    /// Sampling temperature, 0 to 2; `None` leaves it to the provider.
    pub temperature: Option<f64>,
    /// The most tokens the answer may have; `None` leaves it to the provider.
    pub max_tokens: Option<u32>,
    /// Whether the answer is wanted as it is written, or whole (then it is one [`Delta::Text`]).
    pub stream: bool,
}

/// One message of a [`ChatRequest`].
#[derive(Debug, Clone)]
pub struct ChatMessage {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// More of the text; never empty.
    Text(String),
    /// The model's name as the provider gives it.
    Model(String),
    /// The tokens counted by the provider. May come more than once (the last one holds) and after
    /// [`Delta::Finish`].
    Usage(TokenUsage),
    /// Why the answer ended. No text follows.
    Finish(FinishReason),
}

/// An answer as it arrives. Dropping it drops the connection to the provider.
pub type DeltaStream = Pin<Box<dyn Stream<Item = Result<Delta, ProviderError>> + Send>>;

/// An AI service and its wire protocol.
pub trait Provider: Send + Sync + 'static {
    /// The name in configuration, metrics and `provider/model`.
    fn name(&self) -> &str;

    /// This service's name for the model that was asked for.
    fn resolve_model(&self, requested: &str) -> String {
        requested.to_owned()
    }

    /// Whether it can hand out an answer as it is written. Where it cannot, the first text is the
    /// whole answer and gets as much time.
    fn streams(&self) -> bool {
        true
    }

    /// Sends `request`, whose model is already this service's name for it, and answers once the
    /// service has begun to. Sets no time limits and tries nothing twice, except with another key.
    ///
    /// # Errors
    /// What kept the service from answering; the stream carries what went wrong later. A stream
    /// that ends without [`Delta::Finish`] counts as cut.
    fn chat<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<DeltaStream, ProviderError>>;
}

/// An answer whose first delta has arrived.
pub struct Answer {
    /// The name of the provider that answers.
    pub provider: String,
    /// The model that answers: the provider's name for it where it was told in time, else the one
    /// that was asked for.
    pub model: String,
    /// The answer: ends after a [`Delta::Finish`], or with an error.
    pub deltas: DeltaStream,
}
