//! What a model calls while it answers: its calls are made together, their results are put before it, and it goes on.
//!
//! A call that fails is told to the model like any other result. So is one that comes when the turn has made as many as it may: a model that
//! calls all the same after that has said what it has to say.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::follow::Event;
use super::live::Stop;
use super::run::Run;
use crate::app::AppError;
use crate::domain::{MessageId, Role};
use crate::providers::{ChatMessage, Tool, ToolCall};
use crate::store::{StoredToolCall, ToolRound};
use crate::tools::ToolOutcome;

/// Calls that one answer of a model's may hold; what it says beyond is not read.
const CALLS_READ: usize = 128;
/// What the arguments of one call may hold, in bytes.
const ARGUMENTS_MAX: usize = 64 * 1024;

/// The calls of an answer, as their pieces come in.
#[derive(Default)]
pub(super) struct CallsInPieces {
    calls: Vec<ToolCall>,
}

impl CallsInPieces {
    pub(super) fn push(&mut self, index: usize, id: Option<String>, name: Option<String>, arguments: &str) {
        if index >= CALLS_READ {
            return;
        }
        while self.calls.len() <= index {
            self.calls.push(ToolCall { id: String::new(), name: String::new(), arguments: String::new() });
        }
        let Some(call) = self.calls.get_mut(index) else { return };
        if let Some(id) = id {
            call.id = clean(&id);
        }
        if let Some(name) = name {
            call.name = clean(&name);
        }
        // What is cut off here is no JSON, and refused as such.
        if call.arguments.len() + arguments.len() <= ARGUMENTS_MAX {
            call.arguments.push_str(&clean(arguments));
        }
    }

    /// The calls that name a tool, each with an id of its own.
    pub(super) fn finish(self) -> Vec<ToolCall> {
        let mut calls: Vec<ToolCall> = self.calls.into_iter().filter(|call| !call.name.is_empty()).collect();
        for index in 0..calls.len() {
            let (before, rest) = calls.split_at_mut(index);
            if let Some(call) = rest.first_mut()
                && (call.id.is_empty() || before.iter().any(|known| known.id == call.id))
            {
                call.id = format!("call_{index}");
            }
        }
        calls
    }
}

/// A NUL is stored by not every database.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// What a turn may still call.
pub(super) struct ToolBudget {
    rounds: usize,
    calls: usize,
    until: Instant,
    /// The newest, from 1.
    round: i64,
    /// Whether the model has been told that it may call no more.
    is_refused: bool,
}

impl Run {
    /// What the model may call; nothing where no tools are configured.
    pub(super) async fn offered_tools(&self) -> Vec<Tool> {
        if self.app.toolbox.is_empty() { Vec::new() } else { self.app.toolbox.offered().await }
    }

    pub(super) fn tool_budget(&self) -> ToolBudget {
        let tools = &self.app.settings.tools;
        ToolBudget {
            rounds: tools.rounds_per_turn,
            calls: tools.calls_per_turn,
            until: Instant::now() + tools.turn_timeout,
            round: 0,
            is_refused: false,
        }
    }

    /// Makes the calls, tells the readers, stores what came of them, and gives the messages that the model reads next: `None` when it has had
    /// its last chance to answer.
    ///
    /// # Errors
    /// Why the turn was stopped meanwhile, or what the database says.
    pub(super) async fn call_tools(
        &self,
        budget: &mut ToolBudget,
        calls: Vec<ToolCall>,
        stopped: impl Future<Output = Stop>,
    ) -> Result<Result<Option<Vec<ChatMessage>>, Stop>, AppError> {
        if budget.is_refused {
            return Ok(Ok(None));
        }
        budget.is_refused = budget.rounds == 0;
        budget.rounds = budget.rounds.saturating_sub(1);
        budget.round += 1;
        let mut made: Vec<StoredToolCall> = calls
            .iter()
            .map(|call| StoredToolCall {
                round: budget.round,
                call_id: call.id.clone(),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
                is_ok: false,
                content: "The call was stopped.".to_owned(),
                call_event: self.live.tell(Event::ToolCall {
                    id: call.id.clone(),
                    name: call.name.clone(),
                    arguments: call.arguments.clone(),
                }),
                result_event: None,
            })
            .collect();
        let stop = if budget.is_refused {
            let why = ToolOutcome::failed("No more tools can be called in this turn: answer with what you have.");
            for call in &mut made {
                self.told(call, why.clone());
            }
            None
        } else {
            self.make_calls(budget, &calls, &mut made, stopped).await
        };
        // The conversation was deleted meanwhile.
        let stop = if self.keep(&made).await? { stop } else { Some(Stop::Cancelled) };
        Ok(match stop {
            Some(stop) => Err(stop),
            None => Ok(Some(messages(&made))),
        })
    }

    /// Makes calls at once, as far as the turn has any left. Gives why they were stopped, when they were.
    async fn make_calls(
        &self,
        budget: &mut ToolBudget,
        calls: &[ToolCall],
        made: &mut [StoredToolCall],
        stopped: impl Future<Output = Stop>,
    ) -> Option<Stop> {
        let allowed = calls.len().min(budget.calls);
        budget.calls -= allowed;
        for call in made.iter_mut().skip(allowed) {
            self.told(call, ToolOutcome::failed("This turn has called as many tools as it may."));
        }
        let until = budget.until;
        let mut running: FuturesUnordered<_> = calls
            .iter()
            .take(allowed)
            .enumerate()
            .map(|(index, call)| async move {
                let outcome = tokio::time::timeout_at(until, self.app.toolbox.call(call)).await;
                (index, outcome.unwrap_or_else(|_| ToolOutcome::failed("The tools of this turn took too long.")))
            })
            .collect();
        let mut stopped = std::pin::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                stop = &mut stopped => return Some(stop),
                next = running.next() => match next {
                    Some((index, outcome)) => {
                        if let Some(call) = made.get_mut(index) {
                            self.told(call, outcome);
                        }
                    }
                    None => return None,
                },
            }
        }
    }

    /// Tells the readers what came of a call.
    fn told(&self, call: &mut StoredToolCall, outcome: ToolOutcome) {
        let word = if outcome.ok { "ok" } else { "failed" };
        metrics::counter!("parlor_tool_calls_total", "outcome" => word).increment(1);
        (call.is_ok, call.content) = (outcome.ok, clean(&outcome.content));
        call.result_event = Some(self.live.tell(Event::ToolResult {
            id: call.call_id.clone(),
            name: call.name.clone(),
            ok: call.is_ok,
            content: call.content.clone(),
        }));
    }

    /// Stores the calls and what had been said; false when the turn is no longer there.
    async fn keep(&self, calls: &[StoredToolCall]) -> Result<bool, AppError> {
        let (content, chunk_ends) = self.live.snapshot();
        let round = ToolRound {
            turn_id: self.live.ids.turn_id,
            answer_id: self.live.ids.answer_id,
            content,
            chunk_ends,
            calls: calls.to_vec(),
            now: self.app.clock.now(),
        };
        Ok(self.app.db.keep_tool_round(round).await?)
    }

    /// Puts the calls behind earlier answers before those answers, the newest first, as far as the context has room. `ids` are those of the
    /// thread's messages.
    pub(super) async fn with_earlier_calls(
        &self,
        ids: Vec<MessageId>,
        thread: Vec<ChatMessage>,
    ) -> Result<Vec<ChatMessage>, AppError> {
        let (Some(from), Some(to)) = (ids.iter().min().copied(), ids.iter().max().copied()) else {
            return Ok(thread);
        };
        let used: u64 = thread.iter().map(ChatMessage::estimated_tokens).sum();
        let mut room = u64::from(self.app.settings.chat.context_tokens).saturating_sub(used);
        let mut calls = self.app.db.tool_calls_between(self.live.ids.conversation_id, from, to).await?;
        let mut messages = Vec::new();
        for (id, message) in ids.into_iter().zip(thread).rev() {
            messages.push(message);
            let Some(calls) = calls.remove(&id) else { continue };
            let before = rounds(&calls);
            let tokens = before.iter().map(ChatMessage::estimated_tokens).sum();
            // An older answer's calls say nothing without those between.
            room = room.saturating_sub(tokens);
            if room > 0 {
                messages.extend(before.into_iter().rev());
            }
        }
        messages.reverse();
        Ok(messages)
    }
}

/// The messages of all rounds of an answer.
fn rounds(calls: &[StoredToolCall]) -> Vec<ChatMessage> {
    calls.chunk_by(|a, b| a.round == b.round).flat_map(messages).collect()
}

/// What the model said in one round, and what it was told.
fn messages(calls: &[StoredToolCall]) -> Vec<ChatMessage> {
    let call = |call: &StoredToolCall| ToolCall {
        id: call.call_id.clone(),
        name: call.name.clone(),
        arguments: call.arguments.clone(),
    };
    let asked = ChatMessage { tool_calls: calls.iter().map(call).collect(), ..ChatMessage::text(Role::Assistant, "") };
    let results = calls.iter().map(|call| ChatMessage {
        tool_call_id: Some(call.call_id.clone()),
        ..ChatMessage::text(Role::Tool, call.content.clone())
    });
    std::iter::once(asked).chain(results).collect()
}

/// The events of stored calls, in the order of their numbers.
pub(super) fn events_of(calls: Vec<StoredToolCall>) -> Vec<(u64, Event)> {
    let mut events = Vec::new();
    for call in calls {
        let StoredToolCall { call_id, name, arguments, is_ok, content, call_event, result_event, .. } = call;
        let told = Event::ToolCall { id: call_id.clone(), name: name.clone(), arguments };
        events.push((call_event, told));
        if let Some(number) = result_event {
            events.push((number, Event::ToolResult { id: call_id, name, ok: is_ok, content }));
        }
    }
    events.sort_by_key(|(number, _)| *number);
    events
}
