//! Turns that run: the text so far, who is told of more, and the hand that stops them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::chunks::ChunkedText;
use super::follow::{Ending, Event, event_at};
use crate::app::AppError;
use crate::domain::{AccountId, ConversationId, FinishReason, MessageId, Timestamp, TokenUsage, TurnId, TurnState};
use crate::store::{Opened, TurnRecord};

/// A turn that runs, or that has ended while somebody still reads it.
pub(in crate::app) struct LiveTurn {
    pub(super) ids: Opened,
    pub(super) owner: AccountId,
    /// The model that was asked for.
    pub(super) model: String,
    said: Mutex<Said>,
    /// The number of the newest event.
    newest: watch::Sender<u64>,
    stop: CancellationToken,
    shutdown: CancellationToken,
}

#[derive(Default)]
struct Said {
    answer: ChunkedText,
    /// The events that are no chunks, by number.
    beside: Vec<(u64, Event)>,
    ending: Option<Arc<Ending>>,
    /// When its readers were sent off without its end.
    left: Option<Timestamp>,
}

impl Said {
    /// The number of the newest event before the end.
    fn last(&self) -> u64 {
        1 + self.answer.len() + self.beside.len() as u64
    }
}

/// Why a turn is to stop before its provider is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its owner said so.
    Cancelled,
    /// The server is going down.
    Interrupted,
}

impl LiveTurn {
    fn new(ids: Opened, owner: AccountId, model: String, shutdown: CancellationToken) -> Self {
        let (newest, _) = watch::channel(1);
        Self { ids, owner, model, said: Mutex::default(), newest, stop: CancellationToken::new(), shutdown }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a chunk and tells the readers.
    pub(super) fn push(&self, chunk: &str) {
        let mut said = self.said();
        said.answer.push(chunk);
        let newest = said.last();
        drop(said);
        self.newest.send_replace(newest);
    }

    /// Tells the readers something that is no piece of the answer. Gives the event's number.
    pub(super) fn tell(&self, event: Event) -> u64 {
        let mut said = self.said();
        let number = said.last() + 1;
        said.beside.push((number, event));
        drop(said);
        self.newest.send_replace(number);
        number
    }

    /// Ends the turn for its readers. What is told here is stored already.
    pub(super) fn end(&self, ending: Ending) {
        let mut said = self.said();
        let newest = said.last() + 1;
        said.ending = Some(Arc::new(ending));
        drop(said);
        self.newest.send_replace(newest);
    }

    /// Takes over event `number` of a turn that runs elsewhere; one that is known already changes nothing. False when one before it is missing.
    pub(super) fn take(&self, number: u64, event: Event) -> bool {
        let mut said = self.said();
        let next = said.last() + 1;
        if number != next {
            return number < next;
        }
        match event {
            Event::Chunk { content } => said.answer.push(&content),
            Event::ToolCall { .. } | Event::ToolResult { .. } => said.beside.push((number, event)),
            Event::Start { .. } | Event::End(_) => {}
        }
        let newest = said.last();
        drop(said);
        self.newest.send_replace(newest);
        true
    }

    /// Sends the readers of a turn that runs elsewhere off without its end: they may follow it from another server, or later.
    pub(super) fn leave(&self, now: Timestamp) {
        self.said().left = Some(now);
        self.newest.send_modify(|_| {});
    }

    /// The number of the newest event before the end.
    pub(super) fn last(&self) -> u64 {
        self.said().last()
    }

    /// How it stands for those who wait for the end and were sent off without: as if the server had stopped under it.
    pub(super) fn left(&self) -> Option<Arc<Ending>> {
        self.said().left.map(|at| Arc::new(self.without_end(TurnState::Interrupted, at)))
    }

    /// An end that is not told with what was said.
    pub(super) fn without_end(&self, state: TurnState, at: Timestamp) -> Ending {
        let is_cancelled = state == TurnState::Cancelled;
        Ending {
            state,
            model: self.model.clone(),
            usage: TokenUsage::default(),
            finish_reason: if is_cancelled { FinishReason::Cancelled } else { FinishReason::Error },
            error_code: (!is_cancelled).then(|| "interrupted".to_owned()),
            content: String::new(),
            ended_at: at,
        }
    }

    /// What stops it, and what ends this server's patience.
    pub(super) fn tokens(&self) -> (CancellationToken, CancellationToken) {
        (self.stop.clone(), self.shutdown.clone())
    }

    /// The text so far and its stored boundaries.
    pub(super) fn snapshot(&self) -> (String, Vec<u8>) {
        let said = self.said();
        (said.answer.text().to_owned(), said.answer.encode())
    }

    /// How long the text so far is, in bytes.
    pub(super) fn length(&self) -> usize {
        self.said().answer.text().len()
    }

    /// Event `number`, as [`event_at`] tells it.
    #[allow(clippy::option_option, reason = "as `event_at`")]
    pub(super) fn event(&self, number: u64) -> Option<Option<Event>> {
        let said = self.said();
        event_at(number, &self.model, (&said.answer, &said.beside), said.ending.as_ref())
            .filter(|event| event.is_some() || said.left.is_none())
    }

    /// How it ended, when it has.
    pub(super) fn ending(&self) -> Option<Arc<Ending>> {
        self.said().ending.clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    pub(in crate::app) fn cancel(&self) {
        self.stop.cancel();
    }

    /// Waits until the server's patience with running turns is over.
    pub(super) async fn shut_down(&self) {
        self.shutdown.cancelled().await;
    }

    /// Waits until the turn is to stop.
    pub(super) async fn stopped(&self) -> Stop {
        tokio::select! {
            () = self.stop.cancelled() => Stop::Cancelled,
            () = self.shutdown.cancelled() => Stop::Interrupted,
        }
    }
}

/// The turns that run in this process, by their answer's id.
pub(in crate::app) struct LiveTurns {
    turns: Mutex<HashMap<MessageId, Arc<LiveTurn>>>,
    /// Those that run on other servers and are followed here.
    mirrors: Mutex<HashMap<MessageId, Weak<LiveTurn>>>,
    /// Those that have ended for their readers, and are still to be stored.
    unstored: Mutex<HashSet<TurnId>>,
    places: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl LiveTurns {
    pub(in crate::app) fn new(most: usize) -> Self {
        Self {
            turns: Mutex::default(),
            mirrors: Mutex::default(),
            unstored: Mutex::default(),
            places: Arc::new(Semaphore::new(most)),
            shutdown: CancellationToken::new(),
        }
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<MessageId, Arc<LiveTurn>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mirrors(&self) -> MutexGuard<'_, HashMap<MessageId, Weak<LiveTurn>>> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mirror of a turn that runs on another server, and whether it is new: somebody must feed it then.
    pub(super) fn mirror(&self, record: &TurnRecord, owner: AccountId) -> (Arc<LiveTurn>, bool) {
        let mut mirrors = self.mirrors();
        if let Some(live) = mirrors.get(&record.answer_id).and_then(Weak::upgrade).filter(|live| live.left().is_none())
        {
            return (live, false);
        }
        let ids = Opened {
            turn_id: record.turn_id,
            conversation_id: record.conversation_id,
            user_message_id: record.user_message_id,
            answer_id: record.answer_id,
            is_first: false,
            is_new: false,
            reserved: None,
        };
        let live = Arc::new(LiveTurn::new(ids, owner, record.requested_model.clone(), self.shutdown.clone()));
        mirrors.insert(record.answer_id, Arc::downgrade(&live));
        (live, true)
    }

    /// Forgets a mirror that is fed no more, unless there is a new one.
    pub(super) fn forget_mirror(&self, answer_id: MessageId) {
        let mut mirrors = self.mirrors();
        let is_over = |live: Arc<LiveTurn>| live.ending().is_some() || live.left().is_some();
        if mirrors.get(&answer_id).is_some_and(|live| live.upgrade().is_none_or(is_over)) {
            mirrors.remove(&answer_id);
        }
    }

    /// How many turns of other servers are followed here.
    pub(in crate::app) fn mirrored(&self) -> usize {
        self.mirrors().len()
    }

    /// The running turn of that answer, whoever's it is.
    pub(super) fn of_answer(&self, answer_id: MessageId) -> Option<Arc<LiveTurn>> {
        self.turns().get(&answer_id).cloned()
    }

    fn unstored(&self) -> MutexGuard<'_, HashSet<TurnId>> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that run.
    pub(in crate::app) fn by_turn(&self) -> Vec<(TurnId, Arc<LiveTurn>)> {
        self.turns().values().map(|live| (live.ids.turn_id, Arc::clone(live))).collect()
    }

    /// Those that run or are still to be stored.
    pub(in crate::app) fn known(&self) -> HashSet<TurnId> {
        let unstored = self.unstored().clone();
        self.turns().values().map(|live| live.ids.turn_id).chain(unstored).collect()
    }

    /// Notes that a turn is still to be stored, until [`LiveTurns::stored`].
    pub(super) fn keep_unstored(&self, id: TurnId) {
        self.unstored().insert(id);
    }

    /// Notes that a turn is stored at last.
    pub(super) fn stored(&self, id: TurnId) {
        self.unstored().remove(&id);
    }

    /// How many run.
    pub(in crate::app) fn running(&self) -> usize {
        self.turns().len()
    }

    /// Takes the place of one more turn, for as long as what is returned is held; refuses when no more may run.
    pub(super) fn take_place(&self) -> Result<OwnedSemaphorePermit, AppError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| AppError::Overloaded)
    }

    pub(super) fn insert(&self, ids: Opened, owner: AccountId, model: String) -> Arc<LiveTurn> {
        let live = Arc::new(LiveTurn::new(ids, owner, model, self.shutdown.clone()));
        self.turns().insert(ids.answer_id, Arc::clone(&live));
        live
    }

    /// The running turn of that answer, when it is the owner's.
    pub(super) fn of_owner(&self, answer_id: MessageId, owner: AccountId) -> Option<Arc<LiveTurn>> {
        self.turns().get(&answer_id).filter(|live| live.owner == owner).cloned()
    }

    pub(super) fn remove(&self, answer_id: MessageId) {
        self.turns().remove(&answer_id);
    }

    /// Stops what runs in a conversation.
    pub(in crate::app) fn cancel_conversation(&self, id: ConversationId) {
        for live in self.turns().values().filter(|live| live.ids.conversation_id == id) {
            live.cancel();
        }
    }

    /// Stops what runs for an account.
    pub(in crate::app) fn cancel_owner(&self, owner: AccountId) {
        for live in self.turns().values().filter(|live| live.owner == owner) {
            live.cancel();
        }
    }

    /// Stops everything, keeping what was said. Returns how much ran.
    pub(in crate::app) fn interrupt_all(&self) -> usize {
        self.shutdown.cancel();
        self.running()
    }
}
