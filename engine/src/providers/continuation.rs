//! Going on with a text that broke off: the next target is given what has been said, and told to continue.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::Instant;

use super::asking::{self, Chat, Course, Rules};
use super::error::{ProviderError, TimeoutPhase};
use super::route::Hop;
use super::{Answer, ChatMessage, ChatRequest, Delta, DeltaStream};
use crate::domain::{Role, estimate_tokens};

/// What the next model is told after the text so far.
const INSTRUCTION: &str = "Your answer was cut off by a technical failure. Continue it exactly where it stopped, in the \
                           middle of a sentence or a word if need be. Repeat nothing of it, and say nothing about the \
                           interruption.";

/// Who goes on with an answer that breaks off.
pub(super) struct Continuation {
    pub(super) hops: Vec<Hop>,
    pub(super) rules: Arc<Rules>,
    /// When the whole call is over.
    pub(super) total_until: Instant,
}

impl Continuation {
    /// The answer to `request`, continued where it breaks off.
    pub(super) fn of(self, request: ChatRequest, answer: Answer) -> Answer {
        if self.hops.is_empty() {
            return answer;
        }
        let Answer { provider, model, deltas } = answer;
        let continued = Continued {
            course: self,
            request,
            current: Some(deltas),
            asking: None,
            broke: None,
            said: String::new(),
            is_text: true,
        };
        Answer { provider, model, deltas: Box::pin(continued) }
    }
}

type Asked = BoxFuture<'static, Result<(Vec<Hop>, Answer), ProviderError>>;

struct Continued {
    course: Continuation,
    request: ChatRequest,
    /// The part that is being said.
    current: Option<DeltaStream>,
    /// Who shall go on.
    asking: Option<Asked>,
    /// What broke the last part off.
    broke: Option<ProviderError>,
    /// All that has been said.
    said: String,
    /// Nothing but text has come, and no finish: there is something to go on with.
    is_text: bool,
}

impl Continued {
    fn pass(&mut self, delta: Delta) -> Delta {
        match delta {
            Delta::Text(text) => {
                self.said.push_str(&text);
                Delta::Text(text)
            }
            delta @ (Delta::ToolCall { .. } | Delta::Finish(_)) => {
                self.is_text = false;
                delta
            }
            delta => delta,
        }
    }

    fn can_continue(&self, error: &ProviderError) -> bool {
        let is_cut = !matches!(error, ProviderError::Timeout(TimeoutPhase::Total) | ProviderError::ContentFiltered);
        is_cut && self.is_text && !self.said.is_empty() && !self.course.hops.is_empty()
    }

    /// Asks the targets that are left to go on.
    fn ask(&mut self, error: ProviderError) {
        self.broke = Some(error);
        self.current = None;

        let mut request = self.request.clone();
        request.messages.push(ChatMessage::text(Role::Assistant, self.said.clone()));
        request.messages.push(ChatMessage::text(Role::User, INSTRUCTION));
        let used = u32::try_from(estimate_tokens(&self.said)).unwrap_or(u32::MAX);
        request.max_tokens = request.max_tokens.map(|most| most.saturating_sub(used).max(1));
        let hops = std::mem::take(&mut self.course.hops);
        let (rules, total_until) = (Arc::clone(&self.course.rules), self.course.total_until);
        self.asking = Some(
            async move {
                let targets: Vec<&Hop> = hops.iter().collect();
                let course = Course { hops: &targets, hedge_after: None, total_until };
                let chat = Chat { request, vision: Arc::clone(&rules.vision) };
                let (place, answer) = asking::ask(course, &rules, &chat).await?;
                Ok((hops.into_iter().skip(place + 1).collect(), answer))
            }
            .boxed(),
        );
    }
}

impl Stream for Continued {
    type Item = Result<Delta, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(asking) = &mut this.asking {
                let outcome = ready!(asking.poll_unpin(cx));
                this.asking = None;
                let Ok((hops, answer)) = outcome else {
                    // Why the answer broke off tells more than why nobody went on with it.
                    return Poll::Ready(this.broke.take().map(Err));
                };
                tracing::warn!(
                    provider = answer.provider,
                    model = answer.model,
                    "goes on with an answer that broke off"
                );
                metrics::counter!("parlor_provider_continuations_total", "provider" => answer.provider.clone())
                    .increment(1);
                this.course.hops = hops;
                this.current = Some(answer.deltas);
                return Poll::Ready(Some(Ok(Delta::Continued { provider: answer.provider, model: answer.model })));
            }
            let Some(current) = &mut this.current else { return Poll::Ready(None) };
            match ready!(current.poll_next_unpin(cx)) {
                Some(Err(error)) if this.can_continue(&error) => this.ask(error),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(delta)) => return Poll::Ready(Some(Ok(this.pass(delta)))),
                None => return Poll::Ready(None),
            }
        }
    }
}
