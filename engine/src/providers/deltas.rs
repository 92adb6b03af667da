//! An answer as deltas: server-sent events in, what a [`Reader`] makes of them out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::Sleep;

use super::Delta;
use super::error::ProviderError;
use super::sse::{Event, Parser};

/// How long the end of the body is waited for after the answer's. A body read to its end leaves a
/// connection that can be used again.
const TAIL_WAIT: Duration = Duration::from_millis(50);

/// What one protocol's events mean.
pub(super) trait Reader: Send + Unpin {
    /// Takes the data of one event.
    ///
    /// # Errors
    /// [`ProviderError::Protocol`] for what is none of the protocol's, and the error that it reports.
    fn read(&mut self, json: &[u8]) -> Result<(), ProviderError>;

    /// What has been read and not been taken yet.
    fn deltas(&mut self) -> &mut VecDeque<Delta>;

    /// Whether nothing follows.
    fn is_over(&self) -> bool;
}

/// How a body breaks off does not matter.
type Body = Pin<Box<dyn Stream<Item = Result<Bytes, ()>> + Send>>;

/// The deltas of one response. Ends without [`Delta::Finish`] when the body does.
pub(super) struct Deltas<R> {
    body: Body,
    phase: Phase,
    parser: Parser,
    reader: R,
}

enum Phase {
    Reading,
    /// The answer is over; the end of the body may follow.
    Tail(Pin<Box<Sleep>>),
    Ended,
}

impl<R: Reader> Deltas<R> {
    pub(super) fn new<E>(body: impl Stream<Item = Result<Bytes, E>> + Send + 'static, reader: R) -> Self {
        let body = Box::pin(body.map(|piece| piece.map_err(|_| ())));
        Self { body, phase: Phase::Reading, parser: Parser::default(), reader }
    }

    /// Reads the next event of what has come; false when there is none.
    fn read_event(&mut self) -> Result<bool, ProviderError> {
        let Some(event) = self.parser.next_event()? else { return Ok(false) };
        let is_over = match event {
            Event::Data(json) => {
                self.reader.read(&json)?;
                self.reader.is_over()
            }
            Event::Done => true,
        };
        if is_over {
            self.phase = Phase::Tail(Box::pin(tokio::time::sleep(TAIL_WAIT)));
        }
        Ok(true)
    }

    /// The body is over. An event that broke off with it is no protocol error, it is a cut.
    fn read_last_event(&mut self) -> Result<(), ProviderError> {
        match self.parser.end()? {
            Some(Event::Data(json)) => self.reader.read(&json).map_err(|error| match error {
                ProviderError::Protocol(_) => ProviderError::Cut,
                error => error,
            }),
            _ => Ok(()),
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        match ready!(self.body.poll_next_unpin(cx)) {
            Some(Ok(piece)) => {
                self.parser.feed(piece);
                Poll::Ready(Ok(()))
            }
            Some(Err(_)) => Poll::Ready(Err(ProviderError::Cut)),
            None => {
                self.phase = Phase::Ended;
                Poll::Ready(self.read_last_event())
            }
        }
    }
}

impl<R: Reader> Stream for Deltas<R> {
    type Item = Result<Delta, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(delta) = this.reader.deltas().pop_front() {
                return Poll::Ready(Some(Ok(delta)));
            }
            let step = match &mut this.phase {
                Phase::Ended => return Poll::Ready(None),
                Phase::Tail(wait) => {
                    if wait.poll_unpin(cx).is_ready() {
                        return Poll::Ready(None);
                    }
                    match ready!(this.body.poll_next_unpin(cx)) {
                        Some(Ok(_)) => continue,
                        Some(Err(_)) | None => return Poll::Ready(None),
                    }
                }
                Phase::Reading => match this.read_event() {
                    Ok(true) => Ok(()),
                    Ok(false) => ready!(this.poll_body(cx)),
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = step {
                this.phase = Phase::Ended;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}
