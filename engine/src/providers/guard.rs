//! The rest of an answer under its time limits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::{Instant, Sleep};

use super::error::{ProviderError, TimeoutPhase};
use super::route::Patience;
use super::target::Attempt;
use super::{Delta, DeltaStream};

/// How long the token count and the end of the stream are waited for after the finish.
const TAIL_WAIT: Duration = Duration::from_secs(1);
/// The longest answer, in bytes of text.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// The time limits of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// When the answer must have begun.
    pub(super) begin_until: Instant,
    /// That is when the whole call is over.
    pub(super) begins_by_total: bool,
    pub(super) idle: Duration,
    /// When the call is over.
    pub(super) total_until: Instant,
}

impl Limits {
    /// For an attempt that begins now; of an answer that does not stream nothing is heard before all of it is there.
    pub(super) fn new(patience: Patience, streams: bool, total_until: Instant) -> Self {
        let now = Instant::now();
        let wait = if streams { patience.first_token } else { patience.whole };
        let begin_until = now + wait.min(patience.total);
        Self {
            begin_until: begin_until.min(total_until),
            begins_by_total: total_until <= begin_until,
            idle: patience.idle,
            total_until: total_until.min(now + patience.total),
        }
    }
}

/// Hands the deltas through; ends after the finish, with what came after it, or with one error.
/// The provider's stream is dropped as soon as it has nothing more to give.
pub(super) struct Guarded {
    first: VecDeque<Delta>,
    rest: Option<DeltaStream>,
    /// `None` once its end was told.
    attempt: Option<Attempt>,
    limits: Limits,
    last: Instant,
    /// Fires at or before the next limit; it is set anew only when it fires, not for each delta.
    timer: Pin<Box<Sleep>>,
    finished: bool,
    text: usize,
}

impl Guarded {
    pub(super) fn new(first: VecDeque<Delta>, rest: DeltaStream, attempt: Attempt, limits: Limits) -> Self {
        let last = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(limits.total_until.min(last + limits.idle)));
        Self { first, rest: Some(rest), attempt: Some(attempt), limits, last, timer, finished: false, text: 0 }
    }

    fn take(&mut self, delta: Delta) -> Poll<Option<Result<Delta, ProviderError>>> {
        match &delta {
            Delta::Text(text) | Delta::ToolCall { arguments: text, .. } => {
                self.text += text.len();
                if self.text > MAX_ANSWER {
                    return self.fail(ProviderError::Protocol("the answer is too long"));
                }
            }
            Delta::Finish(_) => {
                self.finished = true;
                let due = self.due();
                self.timer.as_mut().reset(due);
                if let Some(attempt) = self.attempt.take() {
                    attempt.succeed();
                }
            }
            Delta::Model(_) | Delta::Usage(_) | Delta::Cost(_) | Delta::Continued { .. } => {}
        }
        Poll::Ready(Some(Ok(delta)))
    }

    /// Ends the stream; after the finish nothing that goes wrong matters any more.
    fn fail(&mut self, error: ProviderError) -> Poll<Option<Result<Delta, ProviderError>>> {
        self.rest = None;
        self.first.clear();
        if self.finished {
            return Poll::Ready(None);
        }
        if let Some(attempt) = self.attempt.take() {
            attempt.fail(&error);
        }
        Poll::Ready(Some(Err(error)))
    }

    /// When the next limit is reached unless something comes.
    fn due(&self) -> Instant {
        let wait = if self.finished { TAIL_WAIT } else { self.limits.idle };
        self.limits.total_until.min(self.last + wait)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delta, ProviderError>>> {
        while self.timer.poll_unpin(cx).is_ready() {
            let (now, due) = (Instant::now(), self.due());
            if now >= due {
                let total = now >= self.limits.total_until;
                let phase = if total { TimeoutPhase::Total } else { TimeoutPhase::Idle };
                return self.fail(ProviderError::Timeout(phase));
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl Stream for Guarded {
    type Item = Result<Delta, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(delta) = this.first.pop_front() {
            return this.take(delta);
        }
        let Some(rest) = &mut this.rest else { return Poll::Ready(None) };
        match rest.poll_next_unpin(cx) {
            Poll::Pending => this.poll_timer(cx),
            Poll::Ready(None) => this.fail(ProviderError::Cut),
            Poll::Ready(Some(Err(error))) => this.fail(error),
            Poll::Ready(Some(Ok(delta))) => {
                this.last = Instant::now();
                if this.last >= this.limits.total_until {
                    return this.fail(ProviderError::Timeout(TimeoutPhase::Total));
                }
                this.take(delta)
            }
        }
    }
}
