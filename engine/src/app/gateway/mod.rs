//! `/v1`: the providers behind OpenAI's own protocol. What is asked and what is answered is handed on as it stands; every call is checked,
//! counted and billed.
//!
//! Unlike a turn, a call ends with the client that made it: nobody could ask for its answer again. What came until then is billed.

mod call;
mod events;
mod grammar;
mod keeping;
mod request;
mod scan;
mod streams;

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

/// What a surface writes requests in, and reads answers in, where a provider speaks another protocol.
pub use crate::providers::{ChatMessage, ChatRequest, Delta, Image, ProviderError, Tool, ToolCall};
pub use request::GatewayRequest;
pub use streams::{Chunks, Deltas};

use self::call::{Bill, Call};
use self::scan::Finders;
use super::{App, AppError, Caller, Estimate, Noun};
use crate::domain::{Invalid, LedgerKind, Scope, Timestamp};
use crate::providers::http::MAX_BODY;
use crate::providers::{
    Outcome, Tally, WireAnswer, WireBody, WireBytes, WireEndpoint, WireJson, WireRequest, deltas_of_chunks,
};

/// Makes the engine's own request out of one in OpenAI's protocol, for providers that speak another.
pub type Typed<'a> = dyn Fn() -> Result<ChatRequest, Invalid> + Send + Sync + 'a;

/// Says a request for a response as one for a chat completion, for providers that speak nothing else of OpenAI's: for a stream that tells its
/// usage.
pub type Completed<'a> = dyn Fn() -> Result<GatewayRequest, Invalid> + Send + Sync + 'a;

/// What is asked, in the words of different providers.
struct Asked<'a> {
    endpoint: WireEndpoint,
    request: &'a GatewayRequest,
    completion: Option<&'a Completed<'a>>,
    typed: Option<&'a Typed<'a>>,
}

/// The part of the application that the gateway keeps.
pub(super) struct Gateway {
    places: Arc<Semaphore>,
    finders: Arc<Finders>,
    since: Timestamp,
}

impl Gateway {
    pub(super) fn new(places: usize, now: Timestamp) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), finders: Arc::default(), since: now }
    }
}

/// An answer to a request for a chat completion or a response.
pub enum GatewayAnswer {
    /// The provider's JSON, as it came. Its bill has been stored.
    Whole(Bytes),
    /// The provider's chunks or events, as they come.
    Chunks(Box<Chunks>),
    /// What a provider says that speaks another protocol.
    Deltas {
        /// The model that answers.
        model: String,
        /// What it says.
        deltas: Box<Deltas>,
    },
}

/// A model that may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedModel {
    /// Its name.
    pub name: String,
    /// Who answers.
    pub owner: String,
    /// Since when it is offered, as far as this process knows.
    pub since: Timestamp,
}

/// Why a call is refused, or why its answer is not whole.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Parlor's own reasons.
    #[error(transparent)]
    App(#[from] AppError),
    /// The provider's.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl App {
    /// Asks for a chat completion, and hands on what the provider says.
    ///
    /// # Errors
    /// [`AppError::Invalid`] also for what the provider of the model cannot do; [`AppError::NotFound`] for a model that is not offered;
    /// [`AppError::Forbidden`] for an API key without the scope; [`AppError::Blocked`] and [`AppError::ModerationDown`] as [`App::moderate`];
    /// [`AppError::Overloaded`], [`AppError::ShuttingDown`]; the provider's own.
    pub async fn forward_chat(
        &self,
        caller: &Caller,
        request: &GatewayRequest,
        typed: &Typed<'_>,
    ) -> Result<GatewayAnswer, GatewayError> {
        let endpoint = WireEndpoint::ChatCompletions;
        let (call, _, body) =
            self.ask(caller, Asked { endpoint, request, completion: None, typed: Some(typed) }).await?;
        match body {
            WireBody::Bytes(chunks) if chunks.content_type() == "text/event-stream" => {
                let finders = Arc::clone(&self.gateway.finders);
                let chunks = Chunks::new(chunks, finders, !request.wants_usage, call);
                Ok(GatewayAnswer::Chunks(Box::new(chunks)))
            }
            WireBody::Bytes(whole) => Ok(GatewayAnswer::Whole(read_whole(whole, call, endpoint).await?)),
            WireBody::Deltas(deltas) => {
                let model = call.model.clone();
                Ok(GatewayAnswer::Deltas { model, deltas: Box::new(Deltas::new(deltas, call)) })
            }
        }
    }

    /// Asks for a response. What a provider says that speaks the protocol is handed on; what others say is read, whether or not a stream is wanted.
    ///
    /// # Errors
    /// As [`App::forward_chat`]; [`AppError::Invalid`] also for what `completion` and `typed` refuse, where no provider speaks the protocol.
    pub async fn forward_response(
        &self,
        caller: &Caller,
        request: &GatewayRequest,
        completion: &Completed<'_>,
        typed: &Typed<'_>,
    ) -> Result<GatewayAnswer, GatewayError> {
        let (endpoint, completion, typed) = (WireEndpoint::Responses, Some(completion), Some(typed));
        let (call, endpoint, body) = self.ask(caller, Asked { endpoint, request, completion, typed }).await?;
        let model = call.model.clone();
        let deltas = match (endpoint, body) {
            (WireEndpoint::Responses, WireBody::Bytes(events)) if events.content_type() == "text/event-stream" => {
                return Ok(GatewayAnswer::Chunks(Box::new(Chunks::of_response(events, call))));
            }
            (WireEndpoint::Responses, WireBody::Bytes(whole)) => {
                return Ok(GatewayAnswer::Whole(read_whole(whole, call, endpoint).await?));
            }
            (_, WireBody::Bytes(chunks)) => deltas_of_chunks(chunks),
            (_, WireBody::Deltas(deltas)) => deltas,
        };
        Ok(GatewayAnswer::Deltas { model, deltas: Box::new(Deltas::new(deltas, call)) })
    }

    /// Asks for vectors; hands on the provider's JSON.
    ///
    /// # Errors
    /// As [`App::forward_chat`].
    pub async fn forward_embeddings(&self, caller: &Caller, request: &GatewayRequest) -> Result<Bytes, GatewayError> {
        self.forward_whole(caller, WireEndpoint::Embeddings, request).await
    }

    /// Asks whether texts are harmful; hands on the provider's JSON.
    ///
    /// # Errors
    /// As [`App::forward_chat`].
    pub async fn forward_moderation(&self, caller: &Caller, request: &GatewayRequest) -> Result<Bytes, GatewayError> {
        self.forward_whole(caller, WireEndpoint::Moderations, request).await
    }

    async fn forward_whole(
        &self,
        caller: &Caller,
        endpoint: WireEndpoint,
        request: &GatewayRequest,
    ) -> Result<Bytes, GatewayError> {
        match self.ask(caller, Asked { endpoint, request, completion: None, typed: None }).await? {
            (call, _, WireBody::Bytes(whole)) => read_whole(whole, call, endpoint).await,
            (.., WireBody::Deltas(_)) => Err(ProviderError::Unsupported.into()),
        }
    }

    /// Checks a call, and asks the providers of its model. The answer's bytes are in the form of the endpoint that comes with them.
    async fn ask(&self, caller: &Caller, asked: Asked<'_>) -> Result<(Call, WireEndpoint, WireBody), GatewayError> {
        let Asked { endpoint, request, completion, typed } = asked;
        caller.allow(Scope::Chat)?;
        if self.is_shutting_down() {
            return Err(AppError::ShuttingDown.into());
        }
        if !self.offers(&request.model) {
            return Err(AppError::NotFound(Noun::Model).into());
        }
        let kind = match endpoint {
            WireEndpoint::ChatCompletions | WireEndpoint::Responses => LedgerKind::Gateway,
            WireEndpoint::Embeddings => LedgerKind::Embedding,
            WireEndpoint::Moderations => LedgerKind::Moderation,
        };
        if kind == LedgerKind::Gateway && self.moderator.is_on() {
            let said = request.said();
            if !said.is_empty() {
                self.moderate(caller, &said).await?;
            }
        }
        let place = Arc::clone(&self.gateway.places).try_acquire_owned().map_err(|_| AppError::Overloaded)?;
        let prompt_tokens = request.prompt_tokens();
        let completion_tokens = if kind == LedgerKind::Gateway { request.answer_tokens() } else { 0 };
        let estimate = Estimate { model: request.model.clone(), prompt_tokens, completion_tokens };
        let mut reservation = self.reserve(caller, estimate).await?;
        // What the other words refuse is told only where a provider needs them.
        let refusal = OnceLock::<Invalid>::new();
        let said = || typed?().map_err(|invalid| refusal.set(invalid)).ok();
        let typed: Option<&(dyn Fn() -> Option<ChatRequest> + Send + Sync)> =
            if typed.is_some() { Some(&said) } else { None };
        let put = || Some(completion?().map_err(|invalid| refusal.set(invalid)).ok()?.wire());
        let completion: Option<&(dyn Fn() -> Option<WireJson> + Send + Sync)> =
            if completion.is_some() { Some(&put) } else { None };
        let (body, stream, attempts) = (request.wire(), request.stream, reservation.attempts(kind));
        let wire = WireRequest { endpoint, body, stream, completion, typed, prompt_tokens, attempts };
        let is_chat = endpoint == WireEndpoint::ChatCompletions;
        let keeping = if is_chat { self.keep(caller, request) } else { None };
        let answer = match self.providers.wire(&request.model, &wire).await {
            Ok(answer) => answer,
            Err(error) => {
                reservation.give_up().await?;
                return Err(match refusal.get() {
                    Some(invalid) if error == ProviderError::Unsupported => AppError::from(invalid.clone()).into(),
                    _ => error.into(),
                });
            }
        };
        let WireAnswer { provider, model, endpoint, body } = answer;
        let call = Call { reservation, kind, provider, model, prompt_tokens, earlier: Vec::new(), keeping, place };
        Ok((call, endpoint, body))
    }

    /// The models that the configuration names.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for an API key without the scope `chat`.
    pub fn list_models(&self, caller: &Caller) -> Result<Vec<OfferedModel>, AppError> {
        caller.allow(Scope::Chat)?;
        let names = self.models_offered_with(&self.settings.gateway.models);
        Ok(names.iter().map(|name| self.offered(name)).collect())
    }

    /// A model that may be asked for.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::Forbidden`] for an API key without the scope `chat`.
    pub fn read_model(&self, caller: &Caller, name: &str) -> Result<OfferedModel, AppError> {
        caller.allow(Scope::Chat)?;
        self.offers(name).then(|| self.offered(name)).ok_or(AppError::NotFound(Noun::Model))
    }

    fn offered(&self, name: &str) -> OfferedModel {
        let owner = name.split_once('/').map_or("parlor", |(provider, _)| provider);
        OfferedModel { name: name.to_owned(), owner: owner.to_owned(), since: self.gateway.since }
    }

    /// Whether a caller may name that model.
    fn offers(&self, name: &str) -> bool {
        self.offers_model(name, &self.settings.gateway.models)
    }
}

/// Reads a body to its end and bills it. What breaks off was read, and is billed for that.
async fn read_whole(mut body: WireBytes, mut call: Call, endpoint: WireEndpoint) -> Result<Bytes, GatewayError> {
    call.expect_reading();
    let read = match collect(&mut body).await {
        Ok(whole) => bill_of(&whole, endpoint).map(|bill| (whole, bill)).inspect_err(|error| body.fail(error)),
        Err(error) => Err(error),
    };
    match read {
        Ok((whole, bill)) => {
            call.hear(|keeping| {
                keeping.whole(&whole);
                keeping.ended(None);
            });
            call.settle(bill).await?;
            Ok(whole)
        }
        Err(error) => {
            match error {
                ProviderError::Cut | ProviderError::Timeout(_) => {
                    call.settle(Bill::default()).await?;
                }
                _ => call.forgive().await?,
            }
            Err(error.into())
        }
    }
}

async fn collect(body: &mut WireBytes) -> Result<Bytes, ProviderError> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        if whole.len() + piece.len() > MAX_BODY {
            return Err(ProviderError::Protocol("the answer is too long"));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn bill_of(whole: &[u8], endpoint: WireEndpoint) -> Result<Bill, ProviderError> {
    let length = whole.len() as u64;
    if endpoint != WireEndpoint::Responses {
        let tally = Tally::read(whole)?;
        let said_bytes = if tally.is_bare { 0 } else { length };
        return Ok(Bill { usage: tally.usage, said_bytes, cost_micros: tally.cost_micros });
    }
    match Outcome::of_whole(whole)? {
        Outcome { failure: Some(failure), .. } => Err(failure),
        Outcome { is_over: false, .. } => Err(ProviderError::Cut),
        Outcome { usage, .. } => Ok(Bill { usage, said_bytes: length, cost_micros: None }),
    }
}
