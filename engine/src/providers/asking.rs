//! Asking the targets of a route, one after the other, until one begins to answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::attempts::Trying;
use super::clock::RetryClock;
use super::error::{ProviderError, TimeoutPhase};
use super::guard::{Guarded, Limits};
use super::retry::{self, Situation, Step};
use super::route::Hop;
use super::wire::{WireAnswer, WireBody, WireBytes, WireEndpoint, WireRequest, WireResponse};
use super::{Answer, ChatRequest, Delta, DeltaStream, Provider, Vision, openai, responses};

/// How many deltas may come before the first text.
const MAX_PRELUDE: usize = 64;

/// What is asked of a target, and what comes of it.
pub(super) trait Asking: Sync {
    /// An answer that has begun.
    type Answer: Send;

    /// Whether the provider could answer at all.
    fn suits(&self, provider: &dyn Provider) -> bool;

    /// Asks once, and waits until the answer begins.
    fn ask(&self, hop: &Hop, total_until: Instant) -> impl Future<Output = Result<Self::Answer, ProviderError>> + Send;
}

/// What holds for every route.
pub(super) struct Rules {
    pub(super) clock: Arc<dyn RetryClock>,
    pub(super) max_retries: u32,
    /// Who gets pictures.
    pub(super) vision: Arc<Vision>,
}

/// A call under way: whom it asks, in which order, and until when.
#[derive(Clone, Copy)]
pub(super) struct Course<'a> {
    pub(super) hops: &'a [&'a Hop],
    pub(super) hedge_after: Option<Duration>,
    pub(super) total_until: Instant,
}

/// Asks the course's targets until one begins to answer: its place among them, and the answer.
///
/// # Errors
/// Why none does: the first that was asked has the say.
pub(super) async fn ask<A: Asking>(
    course: Course<'_>,
    rules: &Rules,
    asking: &A,
) -> Result<(usize, A::Answer), ProviderError> {
    let asked = Box::pin(in_turn(course, rules, asking));
    let outcome = tokio::time::timeout_at(course.total_until, asked).await;
    outcome.unwrap_or(Err(ProviderError::Timeout(TimeoutPhase::Total)))
}

async fn in_turn<A: Asking>(
    course: Course<'_>,
    rules: &Rules,
    asking: &A,
) -> Result<(usize, A::Answer), ProviderError> {
    let suiting = |(_, hop): &(usize, &&Hop)| asking.suits(hop.target.provider.as_ref());
    let mut waiting: VecDeque<(usize, &Hop)> =
        course.hops.iter().enumerate().filter(suiting).map(|(place, hop)| (place, *hop)).collect();
    if waiting.is_empty() && !course.hops.is_empty() {
        return Err(ProviderError::Unsupported);
    }
    let mut failure: Option<ProviderError> = None;
    if course.hedge_after.is_none() {
        for (place, hop) in waiting {
            hop.target.count_call();
            match with_retries(place, hop, course, rules, asking).await {
                Ok(answer) => return Ok(answer),
                Err(error) if !error.fails_over() => return Err(error),
                Err(error) => failure = Some(more_telling(failure, error)),
            }
        }
        return Err(failure.unwrap_or(ProviderError::UnknownModel));
    }
    let mut hedge_after = course.hedge_after;
    // One, or two while the second is asked beside the first. Those left in it at the end are dropped, and with them
    // their connections.
    let mut asked = FuturesUnordered::new();
    loop {
        if asked.is_empty() {
            let Some((place, hop)) = waiting.pop_front() else { break };
            hop.target.count_call();
            asked.push(with_retries(place, hop, course, rules, asking));
        }
        let outcome = match (hedge_after, waiting.front().copied()) {
            (Some(after), Some((place, hop))) => tokio::select! {
                biased;
                outcome = asked.next() => outcome,
                () = rules.clock.sleep(after) => {
                    hedge_after = None;
                    if hop.target.would_admit() && hop.target.take_extra() {
                        waiting.pop_front();
                        metrics::counter!("parlor_provider_hedges_total", "provider" => hop.target.provider.name().to_owned()).increment(1);
                        asked.push(with_retries(place, hop, course, rules, asking));
                    }
                    continue;
                }
            },
            _ => asked.next().await,
        };
        match outcome {
            None => break,
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(error)) if !error.fails_over() => return Err(error),
            Some(Err(error)) => failure = Some(more_telling(failure, error)),
        }
    }
    Err(failure.unwrap_or(ProviderError::UnknownModel))
}

/// Asks one target as often as the rules and its budget allow.
async fn with_retries<A: Asking>(
    place: usize,
    hop: &Hop,
    course: Course<'_>,
    rules: &Rules,
    asking: &A,
) -> Result<(usize, A::Answer), ProviderError> {
    let later = course.hops.get(place + 1..).unwrap_or_default();
    let mut retries = 0;
    loop {
        let error = match asking.ask(hop, course.total_until).await {
            Ok(answer) => return Ok((place, answer)),
            Err(error) => error,
        };
        let situation = Situation {
            retries,
            max_retries: rules.max_retries,
            another_target: later
                .iter()
                .any(|hop| asking.suits(hop.target.provider.as_ref()) && hop.target.would_admit()),
            remaining: course.total_until.saturating_duration_since(Instant::now()),
            jitter: rules.clock.jitter(),
        };
        match retry::after(&error, situation) {
            Step::Retry(wait) if hop.target.take_extra() => rules.clock.sleep(wait).await,
            Step::Retry(_) | Step::NextTarget | Step::GiveUp => return Err(error),
        }
        retries += 1;
    }
}

/// The first error tells most, unless it is only that the target was not asked.
fn more_telling(first: Option<ProviderError>, next: ProviderError) -> ProviderError {
    let was_asked = |error: &ProviderError| !matches!(error, ProviderError::BreakerOpen | ProviderError::Unsupported);
    first.filter(was_asked).unwrap_or(next)
}

/// A request of ours.
pub(super) struct Chat {
    /// Its model is the one that was asked for.
    pub(super) request: ChatRequest,
    pub(super) vision: Arc<Vision>,
}

impl Asking for Chat {
    type Answer = Answer;

    fn suits(&self, _: &dyn Provider) -> bool {
        true
    }

    async fn ask(&self, hop: &Hop, total_until: Instant) -> Result<Answer, ProviderError> {
        let model = hop.model(&self.request.model);
        let is_blind = self.request.has_images() && !self.vision.sees(&model);
        if model == self.request.model && !is_blind {
            return chat(hop, &self.request, total_until).await;
        }
        let mut request = ChatRequest { model: model.into_owned(), ..self.request.clone() };
        if is_blind {
            request.hide_images();
        }
        chat(hop, &request, total_until).await
    }
}

/// Asks once, and waits for the answer's first text or call.
async fn chat(hop: &Hop, request: &ChatRequest, total_until: Instant) -> Result<Answer, ProviderError> {
    let streams = request.stream && hop.target.provider.streams();
    let limits = Limits::new(hop.patience, streams, total_until);
    let count = || request.estimated_tokens();
    let mut trying = Trying::begin((hop.target.provider.name(), &request.model), &request.attempts, &count);
    let opening = open(hop.target.provider.as_ref(), request, &mut trying);
    let ((first, rest), attempt) = match hop.target.attempt(limits, opening).await {
        Ok(opened) => opened,
        Err(error) => {
            trying.fail(&error);
            return Err(error);
        }
    };
    trying.answers();
    let named = first.iter().find_map(|delta| match delta {
        Delta::Model(model) => Some(model.clone()),
        _ => None,
    });
    Ok(Answer {
        provider: hop.target.provider.name().to_owned(),
        model: named.unwrap_or_else(|| request.model.clone()),
        deltas: Box::pin(Guarded::new(first, rest, attempt, limits)),
    })
}

/// Sends the request and reads up to the first text, or to the end of an answer without any.
async fn open(
    provider: &dyn Provider,
    request: &ChatRequest,
    trying: &mut Trying<'_>,
) -> Result<(VecDeque<Delta>, DeltaStream), ProviderError> {
    let mut rest = provider.chat(request).await?;
    trying.is_accepted = true;
    let mut first = VecDeque::new();
    while let Some(delta) = rest.next().await {
        let delta = delta?;
        if let Delta::Usage(usage) = &delta {
            trying.usage = Some(*usage);
        }
        let enough = matches!(delta, Delta::Text(_) | Delta::ToolCall { .. } | Delta::Finish(_));
        first.push_back(delta);
        if enough {
            return Ok((first, rest));
        }
        if first.len() > MAX_PRELUDE {
            return Err(ProviderError::Protocol("an answer does not begin"));
        }
    }
    Err(ProviderError::Cut)
}

/// A request that passes through.
pub(super) struct Wire<'a> {
    /// The model that was asked for.
    pub(super) model: &'a str,
    pub(super) request: &'a WireRequest<'a>,
}

impl Asking for Wire<'_> {
    type Answer = WireAnswer;

    fn suits(&self, provider: &dyn Provider) -> bool {
        self.wording(provider).is_some()
    }

    async fn ask(&self, hop: &Hop, total_until: Instant) -> Result<WireAnswer, ProviderError> {
        let provider = hop.target.provider.as_ref();
        let model = hop.model(self.model);
        match self.wording(provider).ok_or(ProviderError::Unsupported)? {
            Wording::Own => pass(hop, self.request, &model, total_until).await,
            Wording::Completion => {
                let body = self.request.completion.and_then(|completion| completion());
                let body = body.ok_or(ProviderError::Unsupported)?;
                let endpoint = WireEndpoint::ChatCompletions;
                let request = WireRequest { endpoint, body, stream: true, ..self.request.clone() };
                pass(hop, &request, &model, total_until).await
            }
            Wording::Typed => {
                let typed = self.request.typed.and_then(|typed| typed()).ok_or(ProviderError::Unsupported)?;
                let (endpoint, attempts) = (self.request.endpoint, self.request.attempts.clone());
                // A response is made of its pieces, whether or not it is wanted in pieces.
                let stream = self.request.stream || endpoint == WireEndpoint::Responses;
                let request = ChatRequest { model: model.into_owned(), stream, attempts, ..typed };
                let Answer { provider, model, deltas } = chat(hop, &request, total_until).await?;
                Ok(WireAnswer { provider, model, endpoint, body: WireBody::Deltas(deltas) })
            }
        }
    }
}

/// In which words a request can be said to a provider.
enum Wording {
    /// As it came.
    Own,
    /// As one for a chat completion.
    Completion,
    /// As one of ours.
    Typed,
}

impl Wire<'_> {
    /// The first that the provider understands.
    fn wording(&self, provider: &dyn Provider) -> Option<Wording> {
        let WireRequest { endpoint, completion, typed, .. } = self.request;
        match () {
            () if provider.speaks(*endpoint) => Some(Wording::Own),
            () if completion.is_some() && provider.speaks(WireEndpoint::ChatCompletions) => Some(Wording::Completion),
            () if typed.is_some() => Some(Wording::Typed),
            () => None,
        }
    }
}

/// Asks once, and waits for the body's first piece.
async fn pass(
    hop: &Hop,
    request: &WireRequest<'_>,
    model: &str,
    total_until: Instant,
) -> Result<WireAnswer, ProviderError> {
    let provider = hop.target.provider.as_ref();
    let limits = Limits::new(hop.patience, request.stream, total_until);
    let count = || request.prompt_tokens;
    let mut trying = Trying::begin((provider.name(), model), &request.attempts, &count);
    let opening = open_wire(provider, request, model, &mut trying);
    let ((first, response), attempt) = match hop.target.attempt(limits, opening).await {
        Ok(opened) => opened,
        Err(error) => {
            trying.fail(&error);
            return Err(error);
        }
    };
    trying.answers();
    Ok(WireAnswer {
        provider: provider.name().to_owned(),
        model: model.to_owned(),
        endpoint: request.endpoint,
        body: WireBody::Bytes(WireBytes::new(first, response, attempt, limits)),
    })
}

/// Sends the request and reads the body's first piece, for until then another target may be asked.
async fn open_wire(
    provider: &dyn Provider,
    request: &WireRequest<'_>,
    model: &str,
    trying: &mut Trying<'_>,
) -> Result<(Bytes, WireResponse), ProviderError> {
    let mut response = provider.wire(request, model).await?;
    trying.is_accepted = true;
    let first = response.bytes.next().await.ok_or(ProviderError::Cut)??;
    let failure = match request.endpoint {
        WireEndpoint::Responses => responses::failure_in(&first),
        WireEndpoint::ChatCompletions | WireEndpoint::Embeddings | WireEndpoint::Moderations => {
            openai::failure_in(&first)
        }
    };
    match failure {
        Some(error) => Err(error),
        None => Ok((first, response)),
    }
}
