//! `/v1`: the providers behind OpenAI's own protocol. What is asked and what is answered is handed on as it stands; every call is checked,
//! counted and billed.
//!
//! Unlike a turn, a call ends with the client that made it: nobody could ask for its answer again. What came until then is billed.

mod call;
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
use crate::providers::{Tally, WireAnswer, WireBody, WireBytes, WireEndpoint, WireRequest, deltas_of_chunks};

/// Makes the engine's own request out of one in OpenAI's protocol, for providers that speak another.
pub type Typed<'a> = dyn Fn() -> Result<ChatRequest, Invalid> + Send + Sync + 'a;

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

/// An answer to a request for a chat completion.
pub enum GatewayAnswer {
    /// The provider's JSON, as it came. Its bill has been stored.
    Whole(Bytes),
    /// The provider's chunks, as they come.
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
        let (call, body) = self.ask(caller, WireEndpoint::ChatCompletions, request, Some(typed)).await?;
        match body {
            WireBody::Bytes(chunks) if chunks.content_type() == "text/event-stream" => {
                let finders = Arc::clone(&self.gateway.finders);
                let chunks = Chunks::new(chunks, finders, !request.wants_usage, call);
                Ok(GatewayAnswer::Chunks(Box::new(chunks)))
            }
            WireBody::Bytes(whole) => Ok(GatewayAnswer::Whole(read_whole(whole, call).await?)),
            WireBody::Deltas(deltas) => {
                let model = call.model.clone();
                Ok(GatewayAnswer::Deltas { model, deltas: Box::new(Deltas::new(deltas, call)) })
            }
        }
    }

    /// Asks for a chat completion, and reads what the provider says, whatever it speaks. `request` is for a stream that tells its usage.
    ///
    /// # Errors
    /// As [`App::forward_chat`].
    pub async fn forward_typed_chat(
        &self,
        caller: &Caller,
        request: &GatewayRequest,
        typed: &Typed<'_>,
    ) -> Result<Box<Deltas>, GatewayError> {
        let (call, body) = self.ask(caller, WireEndpoint::ChatCompletions, request, Some(typed)).await?;
        let deltas = match body {
            WireBody::Bytes(chunks) => deltas_of_chunks(chunks),
            WireBody::Deltas(deltas) => deltas,
        };
        Ok(Box::new(Deltas::new(deltas, call)))
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
        match self.ask(caller, endpoint, request, None).await? {
            (call, WireBody::Bytes(whole)) => read_whole(whole, call).await,
            (_, WireBody::Deltas(_)) => Err(ProviderError::Unsupported.into()),
        }
    }

    /// Checks a call, and asks the providers of its model.
    async fn ask(
        &self,
        caller: &Caller,
        endpoint: WireEndpoint,
        request: &GatewayRequest,
        typed: Option<&Typed<'_>>,
    ) -> Result<(Call, WireBody), GatewayError> {
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
        if endpoint == WireEndpoint::ChatCompletions && self.moderator.is_on() {
            let said = request.said();
            if !said.is_empty() {
                self.moderate(caller, &said).await?;
            }
        }
        let place = Arc::clone(&self.gateway.places).try_acquire_owned().map_err(|_| AppError::Overloaded)?;
        let prompt_tokens = request.prompt_tokens();
        let completion_tokens = if kind == LedgerKind::Gateway { request.answer_tokens() } else { 0 };
        let estimate = Estimate { model: request.model.clone(), prompt_tokens, completion_tokens };
        let reservation = self.reserve(caller, estimate).await?;
        // What the typed request refuses is told only where a provider needs it.
        let refusal = OnceLock::<Invalid>::new();
        let said = || typed?().map_err(|invalid| refusal.set(invalid)).ok();
        let typed: Option<&(dyn Fn() -> Option<ChatRequest> + Send + Sync)> =
            if typed.is_some() { Some(&said) } else { None };
        let wire = WireRequest { endpoint, body: request.wire(), stream: request.stream, typed };
        let answer = match self.providers.wire(&request.model, &wire).await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(match refusal.get() {
                    Some(invalid) if error == ProviderError::Unsupported => AppError::from(invalid.clone()).into(),
                    _ => error.into(),
                });
            }
        };
        let WireAnswer { provider, model, body } = answer;
        let call = Call { reservation, kind, provider, model, prompt_tokens, earlier: Vec::new(), place };
        Ok((call, body))
    }

    /// The models that the configuration names.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for an API key without the scope `chat`.
    pub fn list_models(&self, caller: &Caller) -> Result<Vec<OfferedModel>, AppError> {
        caller.allow(Scope::Chat)?;
        let (chat, gateway) = (&self.settings.chat, &self.settings.gateway);
        let routes = self.settings.providers.routes.iter();
        let routes = routes.flat_map(|(name, route)| std::iter::once(name).chain(&route.aliases));
        let named = std::iter::once(&chat.model).chain(&chat.models).chain(routes).chain(&gateway.models);
        let mut models = Vec::<OfferedModel>::new();
        for name in named.filter(|name| *name != "*") {
            if models.iter().all(|model| model.name != *name) {
                models.push(self.offered(name));
            }
        }
        Ok(models)
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
        let is_named = |models: &[String]| models.iter().any(|known| known == name || known == "*");
        let is_route = || {
            let mut routes = self.settings.providers.routes.iter();
            routes.any(|(route, settings)| route == name || settings.aliases.iter().any(|alias| alias == name))
        };
        let is_name = name.len() <= 200 && !name.chars().any(char::is_control);
        let (chat, gateway) = (&self.settings.chat, &self.settings.gateway);
        is_name && (chat.model == name || is_named(&chat.models) || is_named(&gateway.models) || is_route())
    }
}

/// Reads a body to its end and bills it.
async fn read_whole(mut body: WireBytes, call: Call) -> Result<Bytes, GatewayError> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        if whole.len() + piece.len() > MAX_BODY {
            return Err(ProviderError::Protocol("the answer is too long").into());
        }
        whole.extend_from_slice(&piece);
    }
    let tally = match Tally::read(&whole) {
        Ok(tally) => tally,
        Err(error) => {
            body.fail(&error);
            return Err(error.into());
        }
    };
    let said_bytes = if tally.is_bare { 0 } else { whole.len() as u64 };
    call.settle(Bill { usage: tally.usage, said_bytes, cost_micros: tally.cost_micros }).await?;
    Ok(whole.freeze())
}
