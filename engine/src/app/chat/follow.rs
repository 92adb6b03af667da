//! Following a turn: from the beginning or from an event's number on, while it runs, after it ended, after a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::chunks::ChunkedText;
use super::live::LiveTurn;
use super::tools::events_of;
use crate::app::{App, AppError, Caller, Noun};
use crate::domain::{ConversationId, FinishReason, MessageId, Timestamp, TokenUsage, TurnState};
use crate::shared::{OpenDoor, Standing};
use crate::store::TurnRecord;

/// The longest single wait for a stored turn to begin running.
const ATTACH_PATIENCE: Duration = Duration::from_secs(1);

/// What a turn emits. Events of one turn are numbered from 1 without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Number 1: the message is stored, the answer is on its way.
    Start {
        /// The model that was asked for.
        model: String,
    },
    /// A piece of the answer.
    Chunk {
        /// The piece.
        content: String,
    },
    /// The model calls a tool.
    ToolCall {
        /// The call's id, which its result names.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments: JSON, as the model wrote it.
        arguments: String,
    },
    /// What came of a call.
    ToolResult {
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
        /// Whether the tool did what it was asked.
        ok: bool,
        /// What the model is told.
        content: String,
    },
    /// The last: how it ended. What it says is stored.
    End(Arc<Ending>),
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// A final state.
    pub state: TurnState,
    /// The model that answered; the one that was asked for when none did.
    pub model: String,
    /// Tokens.
    pub usage: TokenUsage,
    /// Why it ends.
    pub finish_reason: FinishReason,
    /// What went wrong, as a stable word.
    pub error_code: Option<String>,
    /// All that was said.
    pub content: String,
    /// When it ended.
    pub ended_at: Timestamp,
}

impl Ending {
    /// How a stored turn ended.
    pub(super) fn of(record: &TurnRecord) -> Self {
        Self {
            state: record.state,
            model: record.model.clone().unwrap_or_else(|| record.requested_model.clone()),
            usage: record.usage,
            finish_reason: record.finish_reason.unwrap_or(FinishReason::Error),
            error_code: record.error_code.clone(),
            content: record.content.clone(),
            ended_at: record.ended_at.unwrap_or(record.started_at),
        }
    }

    /// Whether there is an answer to show, whole or in part, as opposed to a failure to tell.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        match self.state {
            TurnState::Failed => false,
            // The server stopped before the first word.
            TurnState::Interrupted => !self.content.is_empty(),
            _ => true,
        }
    }

    /// The failure, for surfaces that answer once. `is_replay`: to a request whose key began the turn earlier.
    #[must_use]
    pub fn error(&self, is_replay: bool) -> AppError {
        match self.error_code.as_deref() {
            Some(code) if code.ends_with("_timeout") => AppError::ProviderTimeout,
            Some("interrupted") => AppError::Interrupted { is_replay },
            Some("moderation_unavailable") => AppError::ModerationDown,
            Some("overloaded") => AppError::Overloaded,
            Some(code @ ("internal" | "storage")) => AppError::Internal(format!("the turn failed: {code}")),
            code => AppError::ProviderDown { code: code.unwrap_or("unavailable").to_owned() },
        }
    }
}

/// A turn that a caller may follow.
#[derive(Clone)]
pub struct TurnHandle {
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// The person's message.
    pub user_message_id: MessageId,
    /// The answer.
    pub message_id: MessageId,
    /// Whether an earlier request with the same key began it.
    pub is_replay: bool,
    /// Who reads it.
    reader: Standing,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Live(Arc<LiveTurn>),
    Stored(Arc<Stored>),
}

struct Stored {
    model: String,
    answer: ChunkedText,
    /// The events that are no chunks, by number.
    beside: Vec<(u64, Event)>,
    ending: Arc<Ending>,
}

impl TurnHandle {
    pub(super) fn live(live: Arc<LiveTurn>, caller: &Caller, is_replay: bool) -> Self {
        Self {
            conversation_id: live.ids.conversation_id,
            user_message_id: live.ids.user_message_id,
            message_id: live.ids.answer_id,
            is_replay,
            reader: caller.standing(),
            source: Source::Live(live),
        }
    }

    fn stored(record: TurnRecord, caller: &Caller, is_replay: bool) -> Self {
        let ending = Ending::of(&record);
        Self {
            conversation_id: record.conversation_id,
            user_message_id: record.user_message_id,
            message_id: record.answer_id,
            is_replay,
            reader: caller.standing(),
            source: Source::Stored(Arc::new(Stored {
                model: record.requested_model,
                answer: ChunkedText::from_stored(record.content, &record.chunk_ends),
                beside: events_of(record.tool_calls),
                ending: Arc::new(ending),
            })),
        }
    }

    /// The events after number `after`; 0 for all of them. A reader that has more than was stored, since the server was stopped between two
    /// checkpoints, still hears that the turn has ended.
    #[must_use]
    pub fn follow(&self, after: u64) -> Follower {
        let newest = match &self.source {
            Source::Live(live) => Some(live.subscribe()),
            Source::Stored(_) => None,
        };
        Follower { source: self.source.clone(), newest, next: after.saturating_add(1), is_told: false }
    }

    /// Stops the answer that is being written; what was said is kept and billed. An ended turn stays as it is.
    pub fn stop(&self) {
        if let Source::Live(live) = &self.source {
            live.cancel();
        }
    }

    /// Waits for the end.
    pub async fn ending(&self) -> Arc<Ending> {
        let live = match &self.source {
            Source::Stored(stored) => return Arc::clone(&stored.ending),
            Source::Live(live) => live,
        };
        let mut newest = live.subscribe();
        loop {
            if let Some(ending) = live.ending() {
                return ending;
            }
            if let Some(left) = live.left() {
                return left;
            }
            // The sender lives in `live`, which is held here.
            let _ = newest.changed().await;
        }
    }
}

/// Reads a turn's events in order. It loses none, however slowly it reads, and holds nobody up.
pub struct Follower {
    source: Source,
    newest: Option<watch::Receiver<u64>>,
    next: u64,
    /// Whether the end was told.
    is_told: bool,
}

impl Follower {
    /// The next event and its number; `None` after the last. Safe to drop half-way: nothing is skipped then.
    pub async fn next(&mut self) -> Option<(u64, Event)> {
        loop {
            match self.ready() {
                Some(Some(event)) => {
                    self.is_told |= matches!(event, Event::End(_));
                    self.next += 1;
                    return Some((self.next - 1, event));
                }
                Some(None) => self.newest.as_mut()?.changed().await.ok()?,
                None => return self.overtaken(),
            }
        }
    }

    /// The end for a reader that has more than was stored, since the server was stopped between two checkpoints.
    fn overtaken(&mut self) -> Option<(u64, Event)> {
        let ending = match &self.source {
            Source::Live(live) => live.ending()?,
            Source::Stored(stored) => Arc::clone(&stored.ending),
        };
        let is_first = !std::mem::replace(&mut self.is_told, true);
        (is_first && ending.state == TurnState::Interrupted).then_some((self.next, Event::End(ending)))
    }

    /// `None` when all has been read; `Some(None)` when the next event has not come yet.
    #[allow(clippy::option_option, reason = "the two absences differ: never again, and not yet")]
    fn ready(&mut self) -> Option<Option<Event>> {
        if let Some(newest) = &mut self.newest {
            newest.mark_unchanged();
        }
        match &self.source {
            Source::Live(live) => live.event(self.next),
            Source::Stored(stored) => {
                let said = (&stored.answer, stored.beside.as_slice());
                event_at(self.next, &stored.model, said, Some(&stored.ending))
            }
        }
    }
}

/// Event `number` of a turn: `None` past its last, `Some(None)` when it has not come yet.
#[allow(clippy::option_option, reason = "the two absences differ: never again, and not yet")]
pub(super) fn event_at(
    number: u64,
    model: &str,
    (answer, beside): (&ChunkedText, &[(u64, Event)]),
    ending: Option<&Arc<Ending>>,
) -> Option<Option<Event>> {
    let last = answer.len() + beside.len() as u64 + 1;
    if number <= 1 {
        return Some(Some(Event::Start { model: model.to_owned() }));
    }
    if number <= last {
        let before = beside.partition_point(|(known, _)| *known < number);
        if let Some((known, event)) = beside.get(before)
            && *known == number
        {
            return Some(Some(event.clone()));
        }
        let chunk = answer.get(number - 2 - before as u64);
        return Some(chunk.map(|content| Event::Chunk { content: content.to_owned() }));
    }
    match ending {
        None => Some(None),
        Some(ending) if number == last + 1 => Some(Some(Event::End(Arc::clone(ending)))),
        Some(_) => None,
    }
}

impl App {
    /// Keeps a socket of the caller's open for as long as what it was opened with holds.
    #[must_use]
    pub fn open_socket(&self, caller: &Caller) -> OpenDoor {
        self.open_doors.open(caller.standing())
    }

    /// Keeps a stream of that turn open for as long as its reader may read it.
    #[must_use]
    pub fn open_stream(&self, turn: &TurnHandle) -> OpenDoor {
        self.open_doors.open(turn.reader.clone())
    }

    /// The turn of an answer of the caller's, running or ended.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn follow_turn(&self, caller: &Caller, answer_id: MessageId) -> Result<TurnHandle, AppError> {
        self.attach(caller, answer_id, false).await
    }

    pub(super) async fn attach(
        &self,
        caller: &Caller,
        answer_id: MessageId,
        is_replay: bool,
    ) -> Result<TurnHandle, AppError> {
        // A turn is seen in the database a moment before it runs, when its group commits.
        let mut patience = Duration::from_millis(1);
        loop {
            if let Some(live) = self.turns.of_owner(answer_id, caller.id()) {
                return Ok(TurnHandle::live(live, caller, is_replay));
            }
            let record = self.db.turn_of_owner(answer_id, caller.id()).await?;
            let record = record.ok_or(AppError::NotFound(Noun::Message))?;
            if record.state.is_final() {
                return Ok(TurnHandle::stored(record, caller, is_replay));
            }
            if self.db.is_shared() && record.server_id != Some(self.db.server()) {
                return Ok(TurnHandle::live(self.mirror(&record, caller.id()), caller, is_replay));
            }
            if patience > ATTACH_PATIENCE {
                return Err(AppError::Overloaded);
            }
            tokio::time::sleep(patience).await;
            patience *= 2;
        }
    }

    /// Stops the answer of the caller's that is being written; what was said is kept and billed. Returns how the turn ended, which may be
    /// by itself.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn stop_turn(&self, caller: &Caller, answer_id: MessageId) -> Result<Arc<Ending>, AppError> {
        let handle = self.attach(caller, answer_id, false).await?;
        handle.stop();
        Ok(handle.ending().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_turn_is_told_by_what_made_it_fail() {
        let error = |code: &str| {
            let ending = Ending {
                state: TurnState::Failed,
                model: String::new(),
                usage: TokenUsage::default(),
                finish_reason: FinishReason::Error,
                error_code: Some(code.to_owned()),
                content: String::new(),
                ended_at: Timestamp::from_micros(0),
            };
            ending.error(true)
        };
        assert!(matches!(error("overloaded"), AppError::Overloaded));
        assert!(matches!(error("idle_timeout"), AppError::ProviderTimeout));
        assert!(matches!(error("interrupted"), AppError::Interrupted { is_replay: true }));
        assert!(matches!(error("internal"), AppError::Internal(_)));
        assert!(matches!(error("provider_cut"), AppError::ProviderDown { .. }));
    }
}
