//! A streamed answer: server-sent events in, deltas out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::Sleep;

use super::wire::Completion;
use crate::domain::TokenUsage;
use crate::providers::Delta;
use crate::providers::error::ProviderError;
use crate::providers::sse::{Event, Parser};

/// How long the end of the body is waited for after `[DONE]`. A body read to its end leaves a
/// connection that can be used again.
const TAIL_WAIT: Duration = Duration::from_millis(50);

type Body = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// The deltas of one response. Ends without [`Delta::Finish`] when the body does.
pub(super) struct Deltas {
    body: Body,
    phase: Phase,
    parser: Parser,
    reader: Reader,
}

enum Phase {
    Reading,
    /// `[DONE]` has come; the end of the body may follow.
    Tail(Pin<Box<Sleep>>),
    Ended,
}

impl Deltas {
    pub(super) fn new(body: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static) -> Self {
        Self { body: Box::pin(body), phase: Phase::Reading, parser: Parser::default(), reader: Reader::default() }
    }

    fn read_events(&mut self) -> Result<(), ProviderError> {
        match self.parser.next_event()? {
            Some(Event::Data(json)) => self.reader.read(&json),
            Some(Event::Done) => {
                self.phase = Phase::Tail(Box::pin(tokio::time::sleep(TAIL_WAIT)));
                Ok(())
            }
            None => Ok(()),
        }
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

impl Stream for Deltas {
    type Item = Result<Delta, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(delta) = this.reader.deltas.pop_front() {
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
                Phase::Reading => match this.read_events() {
                    Ok(()) if this.reader.deltas.is_empty() && matches!(this.phase, Phase::Reading) => {
                        ready!(this.poll_body(cx))
                    }
                    step => step,
                },
            };
            if let Err(error) = step {
                this.phase = Phase::Ended;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

/// Turns completions into deltas.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) deltas: VecDeque<Delta>,
    named: bool,
    finished: bool,
    /// The latest count: some services send one with every piece, so it waits for the finish.
    usage: Option<TokenUsage>,
}

impl Reader {
    /// Takes one completion's JSON.
    ///
    /// # Errors
    /// As [`Completion::parse`] and `Choice::finish`.
    pub(super) fn read(&mut self, json: &[u8]) -> Result<(), ProviderError> {
        let completion = Completion::parse(json)?;
        self.usage = completion.usage().or(self.usage);
        if !self.named
            && let Some(model) = completion.model.as_ref().filter(|model| !model.0.is_empty())
        {
            self.named = true;
            self.deltas.push_back(Delta::Model(model.0.to_string()));
        }
        if !self.finished
            && let Some(choice) = completion.into_choice()
        {
            let finish = choice.finish()?;
            self.deltas.extend(choice.into_text().map(Delta::Text));
            self.finished = finish.is_some();
            self.deltas.extend(finish.map(Delta::Finish));
        }
        if self.finished {
            self.deltas.extend(self.usage.take().map(Delta::Usage));
        }
        Ok(())
    }
}
