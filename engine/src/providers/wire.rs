//! Requests and answers that pass through in OpenAI's own protocol, as bytes: what the caller wrote goes to the
//! provider untouched but for the model's name, and what the provider sends comes back unread.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::error::{ProviderError, TimeoutPhase};
use super::guard::Limits;
use super::target::Attempt;
use super::{Attempts, ChatRequest, DeltaStream};

/// The longest body that is passed through, in bytes. It is never held as a whole.
const MAX_PASSED: u64 = 256 * 1024 * 1024;

/// A call of OpenAI's HTTP API (<https://platform.openai.com/docs/api-reference>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireEndpoint {
    /// `POST /chat/completions`.
    ChatCompletions,
    /// `POST /responses`.
    Responses,
    /// `POST /embeddings`.
    Embeddings,
    /// `POST /moderations`.
    Moderations,
}

impl WireEndpoint {
    /// Its path under a base URL.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Responses => "/responses",
            Self::Embeddings => "/embeddings",
            Self::Moderations => "/moderations",
        }
    }
}

/// A request to pass through.
#[derive(Clone)]
pub struct WireRequest<'a> {
    /// What is called.
    pub endpoint: WireEndpoint,
    /// The JSON object that the caller sent.
    pub body: WireJson,
    /// Whether the body asks for a stream.
    pub stream: bool,
    /// A request for a response, said as one for a chat completion that comes as a stream: for providers that speak only those. Asked for, and
    /// `None`, as `typed` is.
    pub completion: Option<&'a (dyn Fn() -> Option<WireJson> + Send + Sync)>,
    /// The same as a request of ours, for providers that do not speak this protocol; asked for only when one of them
    /// has its turn. `None`, there or here, where it cannot be said so: such providers are then passed over.
    pub typed: Option<&'a (dyn Fn() -> Option<ChatRequest> + Send + Sync)>,
    /// About how many tokens a provider reads.
    pub prompt_tokens: u64,
    /// Takes what attempts cost that come to nothing; whoever asks keeps a clone.
    pub attempts: Attempts,
}

impl WireRequest<'_> {
    /// A request for providers that speak this endpoint's protocol, and no others.
    #[must_use]
    pub fn new(endpoint: WireEndpoint, body: WireJson, stream: bool) -> Self {
        Self { endpoint, body, stream, completion: None, typed: None, prompt_tokens: 0, attempts: Attempts::default() }
    }
}

/// A JSON object in two pieces: up to where the model's name stands (`{…"model":`), and what follows that name.
/// Pieces, so that each target's own name for the model goes between them without a copy.
#[derive(Debug, Clone)]
pub struct WireJson {
    /// Up to the model's name.
    pub head: Bytes,
    /// From behind the model's name.
    pub tail: Bytes,
}

impl WireJson {
    /// The body with this model's name.
    pub(super) fn with_model(&self, model: &str) -> reqwest::Body {
        let name = serde_json::Value::from(model).to_string();
        if self.head.len() + self.tail.len() <= COPIED {
            return reqwest::Body::from([self.head.as_ref(), name.as_bytes(), self.tail.as_ref()].concat());
        }
        reqwest::Body::wrap(Spliced { pieces: VecDeque::from([self.head.clone(), name.into(), self.tail.clone()]) })
    }
}

/// Up to here a body is copied into one piece: that is cheaper than sending three.
const COPIED: usize = 16 * 1024;

/// A body of known length in several pieces.
struct Spliced {
    pieces: VecDeque<Bytes>,
}

impl Body for Spliced {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.pieces.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// What a provider sends, as it arrives. Dropping it drops the connection.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, ProviderError>> + Send>>;

/// A provider's response to a request that was passed through.
pub struct WireResponse {
    /// `text/event-stream` or `application/json`.
    pub content_type: &'static str,
    /// The body; an error where it breaks off.
    pub bytes: ByteStream,
}

/// An answer to a [`WireRequest`] that has begun.
pub struct WireAnswer {
    /// The name of the provider that answers.
    pub provider: String,
    /// The model that was asked for, by its provider's name for it.
    pub model: String,
    /// What the provider was asked at: its bytes are in that endpoint's form.
    pub endpoint: WireEndpoint,
    /// The answer.
    pub body: WireBody,
}

/// The body of a [`WireAnswer`].
pub enum WireBody {
    /// The provider's own bytes.
    Bytes(WireBytes),
    /// The answer of a provider that does not speak the protocol.
    Deltas(DeltaStream),
}

/// A provider's bytes under the time limits of the call. Ends with the body, or with one error.
///
/// Dropped after its end, it counts as answered whole; a reader that finds that something lacks says so with
/// [`Self::fail`]. Dropped before, it was given up by its reader, which says nothing about the provider.
pub struct WireBytes {
    content_type: &'static str,
    first: Option<Bytes>,
    rest: Option<ByteStream>,
    attempt: Option<Attempt>,
    limits: Limits,
    last: Instant,
    /// Fires at or before the next limit; it is set anew only when it fires, not for each piece.
    timer: Pin<Box<Sleep>>,
    passed: u64,
    ended: bool,
}

impl WireBytes {
    pub(super) fn new(first: Bytes, response: WireResponse, attempt: Attempt, limits: Limits) -> Self {
        let last = Instant::now();
        Self {
            content_type: response.content_type,
            first: Some(first),
            rest: Some(response.bytes),
            attempt: Some(attempt),
            limits,
            last,
            timer: Box::pin(tokio::time::sleep_until(limits.total_until.min(last + limits.idle))),
            passed: 0,
            ended: false,
        }
    }

    /// `text/event-stream` or `application/json`.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// Counts the answer as failed although its body came to an end: it lacked its finish, or carried an error.
    pub fn fail(&mut self, error: &ProviderError) {
        self.rest = None;
        if let Some(attempt) = self.attempt.take() {
            attempt.fail(error);
        }
    }

    fn give_up(&mut self, error: ProviderError) -> Poll<Option<Result<Bytes, ProviderError>>> {
        self.fail(&error);
        Poll::Ready(Some(Err(error)))
    }

    fn pass(&mut self, piece: Bytes) -> Poll<Option<Result<Bytes, ProviderError>>> {
        self.passed += piece.len() as u64;
        if self.passed > MAX_PASSED {
            return self.give_up(ProviderError::Protocol("the answer is too long"));
        }
        Poll::Ready(Some(Ok(piece)))
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ProviderError>>> {
        while self.timer.poll_unpin(cx).is_ready() {
            let (now, due) = (Instant::now(), self.limits.total_until.min(self.last + self.limits.idle));
            if now >= due {
                let total = now >= self.limits.total_until;
                return self.give_up(ProviderError::Timeout(if total {
                    TimeoutPhase::Total
                } else {
                    TimeoutPhase::Idle
                }));
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl Stream for WireBytes {
    type Item = Result<Bytes, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return this.pass(first);
        }
        let Some(rest) = &mut this.rest else { return Poll::Ready(None) };
        match rest.poll_next_unpin(cx) {
            Poll::Pending => this.poll_timer(cx),
            Poll::Ready(None) => {
                this.rest = None;
                this.ended = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => this.give_up(error),
            Poll::Ready(Some(Ok(piece))) => {
                this.last = Instant::now();
                if this.last >= this.limits.total_until {
                    return this.give_up(ProviderError::Timeout(TimeoutPhase::Total));
                }
                this.pass(piece)
            }
        }
    }
}

impl Drop for WireBytes {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take().filter(|_| self.ended) {
            attempt.succeed();
        }
    }
}
