//! Answers on their way: handed on as they come, billed before their end is told, and billed for what came when nobody waits for the end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::GatewayError;
use super::call::{Bill, Call, Settling};
use super::events::EventScanner;
use super::grammar::Reading;
use super::scan::{Finders, Scanned, Scanner};
use crate::domain::TokenUsage;
use crate::providers::{Delta, DeltaStream, ProviderError, WireBytes};

/// A stream of OpenAI's chunks as the provider sends it, in whole events, without the mark of its end; or one of a response's events. It ends
/// once its bill has been stored, and so comes the event that ends a response; an error before that says that the answer is not whole. Dropping it
/// drops the provider's connection.
pub struct Chunks {
    source: WireBytes,
    scanner: Reading,
    /// Whether the body has been read to its end, which leaves a connection that can be used again.
    is_drained: bool,
    call: Option<Call>,
    phase: Phase,
}

/// An answer piece by piece, from a provider that speaks another protocol. Ends as [`Chunks`] does; the last piece is its [`Delta::Usage`], and
/// there is only that one.
pub struct Deltas {
    source: DeltaStream,
    so_far: Bill,
    is_finished: bool,
    call: Option<Call>,
    phase: Phase,
}

enum Phase {
    Open,
    /// The bill is being stored; then this error is told, or the end.
    Settling(Settling, Option<GatewayError>),
    /// The bill has been stored: what is left to say is what was counted.
    Counted(TokenUsage),
    Ended,
}

/// What the end of an answer is, once nothing more comes.
enum End {
    Whole,
    Broken(ProviderError),
}

impl End {
    fn error(&self) -> Option<&ProviderError> {
        match self {
            Self::Whole => None,
            Self::Broken(error) => Some(error),
        }
    }
}

impl Chunks {
    pub(super) fn new(source: WireBytes, finders: Arc<Finders>, hide_usage: bool, call: Call) -> Self {
        Self {
            source,
            scanner: Reading::Chunks(Scanner::new(finders, hide_usage)),
            is_drained: false,
            call: Some(call),
            phase: Phase::Open,
        }
    }

    pub(super) fn of_response(source: WireBytes, call: Call) -> Self {
        let scanner = Reading::Events(Box::new(EventScanner::new()));
        Self { source, scanner, is_drained: false, call: Some(call), phase: Phase::Open }
    }

    /// How many of a response's events have come.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.scanner.told()
    }

    fn bill(&self) -> Bill {
        Bill {
            usage: self.scanner.usage(),
            said_bytes: self.scanner.said_bytes(),
            cost_micros: self.scanner.cost_micros(),
        }
    }

    /// Begins to store the bill.
    fn settle(&mut self, end: End) {
        if let End::Broken(error) = &end {
            self.source.fail(error);
        }
        if let Some(call) = &mut self.call {
            call.hear(|keeping| keeping.ended(end.error()));
        }
        let bill = self.bill();
        self.phase = settled(self.call.take(), bill, end);
    }

    /// The events of what was scanned; `None` when there are none to hand on.
    fn take(&mut self, scanned: Scanned) -> Option<Bytes> {
        if let (Some(call), Scanned::More(events) | Scanned::Done(events) | Scanned::Broken(events)) =
            (&mut self.call, &scanned)
        {
            call.hear(|keeping| keeping.events(events));
        }
        let events = match scanned {
            Scanned::More(events) => events,
            Scanned::Done(events) => {
                let is_whole = self.scanner.is_finished();
                self.settle(if is_whole { End::Whole } else { End::Broken(ProviderError::Cut) });
                events
            }
            Scanned::Broken(events) => {
                let failure = self.scanner.failure();
                self.settle(End::Broken(failure));
                events
            }
        };
        (!events.is_empty()).then_some(events)
    }

    /// Reads the body's end, which usually comes while the bill is being stored.
    fn drain(&mut self, cx: &mut Context<'_>) {
        while !self.is_drained {
            match self.source.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => self.is_drained = true,
                Poll::Pending => return,
            }
        }
    }

    fn end_of_body(&mut self) -> Option<Bytes> {
        self.is_drained = true;
        let scanned = self.scanner.end();
        let events = self.take(scanned);
        if matches!(self.phase, Phase::Open) {
            let is_whole = self.scanner.is_finished();
            self.settle(if is_whole { End::Whole } else { End::Broken(ProviderError::Cut) });
        }
        events
    }
}

impl Stream for Chunks {
    type Item = Result<Bytes, GatewayError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match &mut this.phase {
                Phase::Open => {
                    let events = match ready!(this.source.poll_next_unpin(cx)) {
                        Some(Ok(piece)) => {
                            let scanned = this.scanner.feed(piece);
                            this.take(scanned)
                        }
                        Some(Err(error)) => {
                            this.is_drained = true;
                            this.settle(End::Broken(error));
                            None
                        }
                        None => this.end_of_body(),
                    };
                    if let Some(events) = events {
                        return Poll::Ready(Some(Ok(events)));
                    }
                }
                Phase::Settling(..) => {
                    this.drain(cx);
                    let Phase::Settling(settling, failure) = &mut this.phase else { continue };
                    let stored = ready!(Pin::new(settling).poll(cx));
                    let failure = stored.err().map(GatewayError::App).or(failure.take());
                    this.phase = Phase::Ended;
                    return Poll::Ready(match failure {
                        Some(failure) => Some(Err(failure)),
                        None => this.scanner.take_last().map(Ok),
                    });
                }
                Phase::Counted(_) | Phase::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.abandon(self.bill());
        }
    }
}

impl Deltas {
    pub(super) fn new(source: DeltaStream, call: Call) -> Self {
        let phase = Phase::Open;
        Self { source, so_far: Bill::default(), is_finished: false, call: Some(call), phase }
    }

    fn settle(&mut self, end: End) {
        if let Some(call) = &mut self.call {
            call.hear(|keeping| keeping.ended(end.error()));
        }
        self.phase = settled(self.call.take(), self.so_far, end);
    }

    fn take(&mut self, delta: Delta) -> Option<Delta> {
        if let Some(call) = &mut self.call {
            call.hear(|keeping| keeping.delta(&delta));
        }
        match &delta {
            Delta::Text(text) | Delta::ToolCall { arguments: text, .. } => {
                self.so_far.said_bytes += text.len() as u64;
            }
            Delta::Usage(usage) => {
                self.so_far.usage = Some(*usage);
                return None;
            }
            Delta::Cost(cost) => {
                self.so_far.cost_micros = Some(*cost);
                return None;
            }
            Delta::Continued { provider, model } => {
                let bill = std::mem::take(&mut self.so_far);
                if let Some(call) = &mut self.call {
                    call.go_on(bill, provider.clone(), model.clone());
                }
                return None;
            }
            Delta::Finish(_) => self.is_finished = true,
            Delta::Model(_) => {}
        }
        Some(delta)
    }
}

impl Stream for Deltas {
    type Item = Result<Delta, GatewayError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match &mut this.phase {
                Phase::Open => match ready!(this.source.poll_next_unpin(cx)) {
                    Some(Ok(delta)) => {
                        if let Some(delta) = this.take(delta) {
                            return Poll::Ready(Some(Ok(delta)));
                        }
                    }
                    Some(Err(error)) => this.settle(End::Broken(error)),
                    None => {
                        this.settle(if this.is_finished { End::Whole } else { End::Broken(ProviderError::Cut) });
                    }
                },
                Phase::Settling(settling, failure) => {
                    let stored = ready!(Pin::new(settling).poll(cx));
                    match (stored, failure.take()) {
                        (Ok(counted), None) => this.phase = Phase::Counted(counted),
                        (stored, failure) => {
                            this.phase = Phase::Ended;
                            let failure = stored.err().map(GatewayError::App).or(failure);
                            return Poll::Ready(failure.map(Err));
                        }
                    }
                }
                Phase::Counted(usage) => {
                    let usage = *usage;
                    this.phase = Phase::Ended;
                    return Poll::Ready(Some(Ok(Delta::Usage(usage))));
                }
                Phase::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Deltas {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.abandon(self.so_far);
        }
    }
}

fn settled(call: Option<Call>, bill: Bill, end: End) -> Phase {
    let failure = match end {
        End::Whole => None,
        End::Broken(error) => Some(GatewayError::Provider(error)),
    };
    match call {
        Some(call) => Phase::Settling(call.settle(bill), failure),
        None => Phase::Ended,
    }
}
