//! AI services and how to talk to them.
//!
//! A [`Provider`] translates a [`ChatRequest`] to one wire protocol and the answer back to
//! [`Delta`]s. Everything else (timeouts, retries, failover, breaker, metrics) is done once, around
//! all of them, by [`Providers`].

mod alternate;
mod anthropic;
mod asking;
mod attempts;
mod breaker;
mod budget;
mod clock;
mod continuation;
mod deltas;
mod error;
mod exchange;
mod failure;
mod gemini;
mod generate;
mod guard;
pub mod http;
mod keys;
mod mock;
mod models;
mod openai;
mod request;
mod responses;
mod retry;
mod route;
mod routes;
mod routing;
pub mod sse;
mod target;
mod wire;

use std::pin::Pin;

use futures_util::Stream;
use futures_util::future::BoxFuture;

pub use anthropic::Anthropic;
pub use attempts::{Attempts, LostAttempt};
pub use breaker::BreakerState;
pub use clock::{RetryClock, SystemClock};
pub use error::{ProviderError, TimeoutPhase, Word};
pub use gemini::Gemini;
pub use generate::Generate;
pub use keys::{KeyCount, KeyRing};
pub use mock::Mock;
pub use models::{ModelNames, Vision};
pub use openai::{Hearing, OpenAi, Tally, deltas_of_chunks};
pub use request::{ChatMessage, ChatRequest, Delta, Image, Tool, ToolCall};
pub use responses::{Outcome, Responses};
pub use routing::Providers;
pub use target::TargetState;
pub use wire::{ByteStream, WireAnswer, WireBody, WireBytes, WireEndpoint, WireJson, WireRequest, WireResponse};

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

    /// How many keys it has, and how many of them rest.
    fn keys(&self) -> KeyCount {
        KeyCount::default()
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

    /// Whether it takes requests of this endpoint in OpenAI's own protocol, as they are.
    fn speaks(&self, _endpoint: WireEndpoint) -> bool {
        false
    }

    /// Passes `request` through with `model` for its model's name, and answers once the service has begun to.
    /// Called only for what it [`speaks`](Self::speaks).
    ///
    /// # Errors
    /// What kept the service from answering. What it says in a refusal's body stays behind.
    fn wire<'a>(
        &'a self,
        _request: &'a WireRequest<'a>,
        _model: &'a str,
    ) -> BoxFuture<'a, Result<WireResponse, ProviderError>> {
        Box::pin(std::future::ready(Err(ProviderError::Unsupported)))
    }
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
