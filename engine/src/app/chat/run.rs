//! Running a turn: context, provider, events, and the one transaction that makes its answer last.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::attached::Spoken;
use super::begin::OnFailure;
use super::follow::Ending;
use super::live::{LiveTurn, Stop};
use super::screen::Screened;
use super::titles;
use super::tools::CallsInPieces;
use crate::app::metering::{Payer, Spent};
use crate::app::{App, AppError, Noun};
use crate::domain::{
    Attachments, FinishReason, LedgerKind, MessageId, Preferences, Role, Timestamp, TokenUsage, TurnState,
    estimate_tokens,
};
use crate::providers::{Answer, Attempts, ChatMessage, ChatRequest, Delta, LostAttempt, ProviderError, ToolCall};
use crate::store::{ContextMessage, FinishTurn, LedgerEntry, StoreError};

/// The longest thread that is put before a model, in messages, however short they are.
pub(super) const CONTEXT_MESSAGES: i64 = 200;
/// The longest prompt that is kept for as long as its answer takes, in bytes of text.
const ASKED_BYTES_MAX: usize = 128 * 1024;
/// The waits between attempts to store an answer.
const STORE_RETRIES: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// The wait between attempts once the readers have been told.
const STORE_LATER: Duration = Duration::from_secs(10);

/// A turn to run.
pub(super) struct Run {
    pub(super) app: App,
    pub(super) live: Arc<LiveTurn>,
    /// The message; of one that is answered again, nothing.
    pub(super) text: String,
    /// What goes with it.
    pub(super) attachments: Attachments,
    pub(super) preferences: Preferences,
    /// Who pays.
    pub(super) payer: Payer,
    /// What attempts cost that came to nothing.
    pub(super) attempts: Attempts,
    /// What the model was given to read, once it was asked.
    pub(super) asked: OnceLock<Asked>,
    pub(super) stream: bool,
    pub(super) on_failure: OnFailure,
    pub(super) began: Timestamp,
    /// Held while it runs: there are only so many.
    pub(super) place: OwnedSemaphorePermit,
}

/// What the model was given to read, kept for a provider that counts nothing: its texts, and what its pictures count.
pub(super) struct Asked {
    texts: Vec<ChatMessage>,
    pictures: u64,
}

impl Asked {
    /// `None` for what is too long to be kept for as long as an answer takes.
    fn of(request: &ChatRequest) -> Option<Self> {
        if request.messages.iter().map(|message| message.content.len()).sum::<usize>() > ASKED_BYTES_MAX {
            return None;
        }
        let text = |message: &ChatMessage| ChatMessage { images: Vec::new(), ..message.clone() };
        let texts: Vec<ChatMessage> = request.messages.iter().map(text).collect();
        let without: u64 = texts.iter().map(ChatMessage::estimated_tokens).sum();
        Some(Self { texts, pictures: request.estimated_tokens().saturating_sub(without) })
    }

    async fn count(&self, app: &App, model: &str, said: &str) -> TokenUsage {
        let mut usage = app.count_tokens(model, &self.texts, said).await;
        usage.prompt_tokens = usage.prompt_tokens.saturating_add(self.pictures);
        usage
    }
}

/// What is known of a turn when its provider is done with it.
struct Outcome {
    state: TurnState,
    finish_reason: FinishReason,
    error_code: Option<&'static str>,
    provider: Option<String>,
    model: Option<String>,
    usage: Option<TokenUsage>,
    /// What was counted here in its stead.
    counted: Option<TokenUsage>,
    /// What the provider says that it cost.
    cost: Option<u64>,
    prompt_tokens: u64,
    first_token: Option<Duration>,
    /// The parts that broke off and were continued by others.
    parts: Vec<Spent>,
    /// Where in the text the part at hand begins.
    part_from: usize,
    /// What the model calls.
    calls: Vec<ToolCall>,
}

impl Outcome {
    fn failed(error_code: &'static str) -> Self {
        Self {
            state: TurnState::Failed,
            finish_reason: FinishReason::Error,
            error_code: Some(error_code),
            provider: None,
            model: None,
            usage: None,
            counted: None,
            cost: None,
            prompt_tokens: 0,
            first_token: None,
            parts: Vec::new(),
            part_from: 0,
            calls: Vec::new(),
        }
    }

    /// Another provider goes on: it reads what has been `said` too.
    fn continued(&mut self, provider: String, model: String, said: &str) {
        self.parts.extend(self.part(said));
        self.prompt_tokens += estimate_tokens(said.get(self.part_from..).unwrap_or_default());
        self.part_from = said.len();
        (self.provider, self.model, self.usage, self.cost) = (Some(provider), Some(model), None, None);
    }

    /// The model is asked again, with what came of its calls.
    fn next_round(&mut self, said: &str) {
        self.parts.extend(self.part(said));
        self.part_from = said.len();
        (self.provider, self.usage, self.counted, self.cost) = (None, None, None, None);
    }

    /// Whether it ended so that calls can be made. Some providers say `stop` where there are calls.
    fn wants_tools(&self) -> bool {
        self.state == TurnState::Complete && matches!(self.finish_reason, FinishReason::ToolCalls | FinishReason::Stop)
    }

    /// What the part at hand came to, at the end of `said`; `None` when no provider took the request.
    fn part(&self, said: &str) -> Option<Spent> {
        let said = said.get(self.part_from..).unwrap_or_default();
        Some(Spent {
            provider: self.provider.clone()?,
            model: self.model.clone().unwrap_or_default(),
            usage: self
                .usage
                .or(self.counted)
                .unwrap_or_else(|| TokenUsage::new(self.prompt_tokens, estimate_tokens(said))),
            is_estimated: self.usage.is_none(),
            provider_cost: self.cost,
        })
    }

    fn stopped(mut self, stop: Stop) -> Self {
        (self.state, self.finish_reason, self.error_code) = match stop {
            Stop::Cancelled => (TurnState::Cancelled, FinishReason::Cancelled, None),
            Stop::Interrupted => (TurnState::Interrupted, FinishReason::Error, Some("interrupted")),
        };
        self
    }

    /// A provider that fails before it said anything fails the turn; later it leaves it incomplete.
    fn broken(mut self, error: &ProviderError, said_something: bool) -> Self {
        self.state = if said_something { TurnState::Incomplete } else { TurnState::Failed };
        self.finish_reason = FinishReason::Error;
        self.error_code = Some(error.code());
        self
    }
}

impl Run {
    /// Runs the turn and ends it, whatever happens.
    pub(super) async fn execute(self) {
        let outcome = match AssertUnwindSafe(self.ask()).catch_unwind().await {
            Ok(Ok(outcome)) => outcome,
            // Deleted before its provider was asked.
            Ok(Err(AppError::NotFound(_))) => Outcome::failed("deleted").stopped(Stop::Cancelled),
            Ok(Err(AppError::Overloaded)) => {
                tracing::warn!(turn = %self.live.ids.turn_id, "a turn found no room for its files");
                Outcome::failed("overloaded")
            }
            Ok(Err(error)) => {
                tracing::error!(%error, turn = %self.live.ids.turn_id, "a turn failed");
                Outcome::failed("internal")
            }
            Err(_) => {
                tracing::error!(turn = %self.live.ids.turn_id, "a turn panicked");
                Outcome::failed("internal")
            }
        };
        let ending = self.settle(outcome).await;
        metrics::counter!("parlor_turns_total", "state" => ending.state.as_str()).increment(1);
        if self.live.ids.is_new && ending.state == TurnState::Complete {
            titles::give(&self.app, &self.live, self.payer, &self.text, &ending.content);
        }
        // Whoever hears of the end may send the next message at once.
        drop(self.place);
        self.live.end(ending);
        self.app.turns.remove(self.live.ids.answer_id);
    }

    /// Asks the provider and passes on what it says; as long as it calls tools, with what came of its calls.
    async fn ask(&self) -> Result<Outcome, AppError> {
        let mut stopped = pin!(self.live.stopped());
        let mut outcome = Outcome::failed("none");
        let (mut request, mut room) = tokio::select! {
            biased;
            request = self.request() => request?,
            stop = &mut stopped => return Ok(outcome.stopped(stop)),
        };
        if let Some(asked) = Asked::of(&request) {
            let _ = self.asked.set(asked);
        }
        let mut budget = self.tool_budget();
        loop {
            let prompt_tokens = request.estimated_tokens();
            let has_tools = !request.tools.is_empty();
            let sent = if has_tools { request.clone() } else { std::mem::take(&mut request) };
            let answer = tokio::select! {
                biased;
                answer = self.app.providers.chat(sent) => answer,
                stop = &mut stopped => return Ok(outcome.stopped(stop)),
            };
            if !has_tools {
                room = None;
            }
            outcome = match answer {
                Err(error) => return Ok(outcome.broken(&error, self.live.length() > 0)),
                Ok(answer) => self.listen(outcome, answer, prompt_tokens, stopped.as_mut()).await,
            };
            let calls = std::mem::take(&mut outcome.calls);
            if !has_tools || calls.is_empty() || !outcome.wants_tools() {
                drop(room);
                return Ok(outcome);
            }
            match self.call_tools(&mut budget, calls, stopped.as_mut()).await {
                Ok(Ok(Some(results))) => request.messages.extend(results),
                Ok(Ok(None)) => {
                    outcome.finish_reason = FinishReason::Length;
                    return Ok(outcome);
                }
                Ok(Err(stop)) => return Ok(outcome.stopped(stop)),
                Err(error) => {
                    tracing::error!(%error, turn = %self.live.ids.turn_id, "calls of tools could not be stored");
                    outcome.state = if self.live.length() > 0 { TurnState::Incomplete } else { TurnState::Failed };
                    (outcome.finish_reason, outcome.error_code) = (FinishReason::Error, Some("storage"));
                    return Ok(outcome);
                }
            }
            outcome.next_round(&self.live.snapshot().0);
        }
    }

    /// What the provider is asked, and the room that its files take.
    async fn request(&self) -> Result<(ChatRequest, Option<OwnedSemaphorePermit>), AppError> {
        let chat = &self.app.settings.chat;
        let prefer = &self.preferences;
        let instructions = prefer.instructions(&chat.system_prompt);
        let thread = if self.live.ids.is_first {
            let (content, attachments) = (self.text.clone(), self.attachments.clone());
            vec![ContextMessage { id: self.live.ids.user_message_id, role: Role::User, content, attachments }]
        } else {
            let budget = i64::from(chat.context_tokens);
            self.app.db.context_of(self.live.ids.user_message_id, budget, CONTEXT_MESSAGES).await?
        };
        if thread.is_empty() {
            return Err(AppError::NotFound(Noun::Conversation));
        }
        let tools = self.offered_tools().await;
        let ids: Vec<MessageId> = thread.iter().map(|message| message.id).collect();
        let Spoken { messages: spoken, room } = self.app.spoken(self.live.owner, &self.live.model, thread).await?;
        let mut messages = vec![ChatMessage::text(Role::System, instructions)];
        messages.extend(if tools.is_empty() { spoken } else { self.with_earlier_calls(ids, spoken).await? });
        let request = ChatRequest {
            model: self.live.model.clone(),
            messages,
            temperature: Some(prefer.temperature.unwrap_or(chat.temperature)),
            max_tokens: Some(prefer.max_tokens.unwrap_or(chat.max_tokens)),
            tools,
            stream: self.stream,
            attempts: self.attempts.clone(),
        };
        Ok((request, room))
    }

    async fn listen(
        &self,
        mut outcome: Outcome,
        answer: Answer,
        prompt_tokens: u64,
        mut stopped: impl Future<Output = Stop> + Unpin,
    ) -> Outcome {
        let Answer { provider, model, mut deltas } = answer;
        (outcome.provider, outcome.model, outcome.prompt_tokens) = (Some(provider), Some(model), prompt_tokens);
        (outcome.state, outcome.error_code) = (TurnState::Failed, Some("cut"));
        let mut calls = CallsInPieces::default();
        let mut finish = None;
        let mut withheld = false;
        let mut saving: Option<JoinHandle<()>> = None;
        let mut checkpoint = tokio::time::interval_at(
            Instant::now() + self.app.settings.chat.checkpoint_interval,
            self.app.settings.chat.checkpoint_interval,
        );
        checkpoint.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                stop = &mut stopped => {
                    // What has come to its end is whole, though its bill may still be on the way.
                    if finish.is_some() {
                        break;
                    }
                    return outcome.stopped(stop);
                }
                delta = deltas.next() => match delta {
                    Some(Ok(Delta::Text(text))) => {
                        if outcome.first_token.is_none() {
                            outcome.first_token = Some(self.app.clock.now().since(self.began));
                        }
                        let text = match self.screen(&text).await {
                            Screened::Passed => text,
                            Screened::Withheld => {
                                withheld = true;
                                self.app.settings.moderation.refusal.clone()
                            }
                            Screened::Unknown => {
                                outcome.error_code = Some("moderation_unavailable");
                                return outcome;
                            }
                            Screened::Stopped(stop) => return outcome.stopped(stop),
                        };
                        if !self.say(&text) {
                            finish = Some(FinishReason::Length);
                            break;
                        }
                    }
                    Some(Ok(Delta::Model(name))) => outcome.model = Some(name),
                    Some(Ok(Delta::Usage(usage))) => outcome.usage = Some(usage),
                    Some(Ok(Delta::Cost(micros))) => outcome.cost = Some(micros),
                    Some(Ok(Delta::ToolCall { index, id, name, arguments })) => calls.push(index, id, name, &arguments),
                    Some(Ok(Delta::Continued { provider, model })) => {
                        let said = self.live.snapshot().0;
                        outcome.continued(provider, model, &said);
                    }
                    Some(Ok(Delta::Finish(reason))) => finish = Some(reason),
                    Some(Err(error)) => return outcome.broken(&error, self.live.length() > 0),
                    None => break,
                },
                _ = checkpoint.tick() => {
                    if self.live.length() > 0 && saving.as_ref().is_none_or(JoinHandle::is_finished) {
                        saving = Some(self.save());
                    }
                }
            }
        }
        match finish {
            Some(reason) => {
                let reason = if withheld { FinishReason::ContentFilter } else { reason };
                (outcome.state, outcome.finish_reason, outcome.error_code) = (TurnState::Complete, reason, None);
                outcome.calls = calls.finish();
                outcome
            }
            None => outcome.broken(&ProviderError::Cut, self.live.length() > 0),
        }
    }

    /// Adds to the answer as much as it may still grow; false when that was not all. A NUL, which not every database stores, becomes the
    /// replacement character.
    fn say(&self, text: &str) -> bool {
        let text = if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) };
        let room = self.app.settings.chat.answer_max_bytes.saturating_sub(self.live.length());
        let fitting = &text[..text.floor_char_boundary(room)];
        self.live.push(fitting);
        fitting.len() == text.len()
    }

    /// Stores what has been said so far, beside the stream. A save that comes late finds the turn closed and changes nothing.
    fn save(&self) -> JoinHandle<()> {
        let (app, ids) = (self.app.clone(), self.live.ids);
        let (text, chunk_ends) = self.live.snapshot();
        self.app.tasks.spawn(async move {
            let now = app.clock.now();
            if let Err(error) = app.db.checkpoint_turn(ids.turn_id, ids.answer_id, text, chunk_ends, now).await {
                tracing::warn!(%error, turn = %ids.turn_id, "a checkpoint was not stored");
            }
        })
    }

    /// Stores the answer and its bill; only then may the readers hear that the turn has ended.
    async fn settle(&self, mut outcome: Outcome) -> Ending {
        if let (TurnState::Failed, OnFailure::Fallback(text)) = (outcome.state, self.on_failure) {
            self.live.push(text);
        }
        let now = self.app.clock.now();
        let (content, chunk_ends) = self.live.snapshot();
        let (ledger, retries) = self.bill(&mut outcome, &content).await;
        let chat = |spent: &Spent| self.app.entry(&self.payer, LedgerKind::Chat, spent.clone(), self.began);
        let parts = outcome.parts.iter().map(chat).collect();
        let end = FinishTurn {
            turn_id: self.live.ids.turn_id,
            conversation_id: self.live.ids.conversation_id,
            answer_id: self.live.ids.answer_id,
            state: outcome.state,
            content: content.clone(),
            chunk_ends,
            finish_reason: outcome.finish_reason,
            error_code: outcome.error_code.map(str::to_owned),
            elapsed_ms: millis(now.since(self.began)),
            first_token_ms: outcome.first_token.map(millis),
            ledger,
            parts,
            retries,
            reserved: self.live.ids.reserved,
            now,
        };
        let mut ending = Ending {
            state: outcome.state,
            model: outcome.model.unwrap_or_else(|| self.live.model.clone()),
            usage: end.usage(),
            finish_reason: outcome.finish_reason,
            error_code: end.error_code.clone(),
            content,
            ended_at: now,
        };
        match self.store(end.clone()).await {
            Ok(true) => observe(&ending, outcome.provider.as_deref(), outcome.first_token),
            Ok(false) => ending = self.ended_elsewhere(ending).await,
            Err(error) => {
                tracing::error!(%error, turn = %self.live.ids.turn_id, "an answer could not be stored");
                (ending.state, ending.finish_reason) = (TurnState::Failed, FinishReason::Error);
                ending.error_code = Some("storage".to_owned());
                // Given as an answer, it would be gone at the next look.
                ending.content.clear();
                self.store_later(end);
            }
        }
        ending
    }

    /// How a turn ended that was no longer open when its end was to be stored.
    async fn ended_elsewhere(&self, mut ending: Ending) -> Ending {
        match self.app.db.turn_of_owner(self.live.ids.answer_id, self.live.owner).await {
            // The conversation was deleted meanwhile.
            Ok(None) => (ending.state, ending.finish_reason) = (TurnState::Cancelled, FinishReason::Cancelled),
            // It was this end, whose commit was not confirmed at the first try.
            Ok(Some(stored)) if stored.state == ending.state && stored.content == ending.content => {}
            Ok(Some(stored)) => {
                tracing::warn!(turn = %self.live.ids.turn_id, "another server ended this turn: its end is kept, this one is not");
                return Ending::of(&stored);
            }
            Err(error) => {
                tracing::error!(%error, turn = %self.live.ids.turn_id, "how a turn ended is not known");
                (ending.state, ending.finish_reason) = (TurnState::Failed, FinishReason::Error);
                ending.error_code = Some("storage".to_owned());
                ending.content.clear();
            }
        }
        ending
    }

    async fn store(&self, end: FinishTurn) -> Result<bool, StoreError> {
        for wait in STORE_RETRIES {
            match self.app.db.finish_turn(end.clone()).await {
                Err(error) => tracing::warn!(%error, turn = %end.turn_id, "storing an answer failed: trying again"),
                stored => return stored,
            }
            tokio::time::sleep(wait).await;
        }
        self.app.db.finish_turn(end).await
    }

    /// Goes on trying beside the readers, who have been told of the failure: when there is space again, the history has the answer, and its
    /// key gives it. A stopping server leaves it to the next start.
    fn store_later(&self, end: FinishTurn) {
        let (app, live) = (self.app.clone(), Arc::clone(&self.live));
        app.turns.keep_unstored(end.turn_id);
        self.app.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(STORE_LATER) => {}
                    () = live.shut_down() => return,
                }
                if app.db.finish_turn(end.clone()).await.is_ok() {
                    tracing::info!(turn = %end.turn_id, "an answer is stored at last");
                    app.turns.stored(end.turn_id);
                    return;
                }
            }
        });
    }

    /// What the turn cost, and what attempts cost before it: what the provider says, else what is counted here. The last of those that came to
    /// nothing is the turn's own, where no answer came; where no provider took the request, there is no bill.
    async fn bill(&self, outcome: &mut Outcome, content: &str) -> (Option<LedgerEntry>, Vec<LedgerEntry>) {
        let mut lost = self.attempts.take();
        // What stands in for an answer was not written by a model.
        let said = if outcome.state == TurnState::Failed { "" } else { content };
        self.count(outcome, &mut lost, said).await;
        let spent = outcome.part(said).or_else(|| lost.pop().map(Spent::from));
        let entry = |kind, spent| self.app.entry(&self.payer, kind, spent, self.began);
        let retries = lost.into_iter().map(|lost| entry(LedgerKind::Retry, lost.into()));
        let retries = retries.collect();
        (spent.map(|spent| entry(LedgerKind::Chat, spent)), retries)
    }

    /// Counts what no provider has counted. A server that goes down does not take the time, nor does an answer of several parts.
    async fn count(&self, outcome: &mut Outcome, lost: &mut [LostAttempt], said: &str) {
        let Some(asked) = self.asked.get().filter(|_| outcome.state != TurnState::Interrupted) else { return };
        match (&outcome.provider, &outcome.model) {
            (Some(_), Some(model)) if outcome.usage.is_none() && outcome.parts.is_empty() => {
                outcome.counted = Some(asked.count(&self.app, model, said).await);
            }
            (Some(_), _) => {}
            (None, _) => {
                if let Some(last) = lost.last_mut().filter(|last| last.usage.is_none()) {
                    last.prompt_tokens = asked.count(&self.app, &last.model, "").await.prompt_tokens;
                }
            }
        }
    }
}

fn observe(ending: &Ending, provider: Option<&str>, first_token: Option<Duration>) {
    let provider = provider.unwrap_or("none").to_owned();
    metrics::counter!("parlor_tokens_total", "provider" => provider.clone(), "kind" => "prompt")
        .increment(ending.usage.prompt_tokens);
    metrics::counter!("parlor_tokens_total", "provider" => provider.clone(), "kind" => "completion")
        .increment(ending.usage.completion_tokens);
    if let Some(first_token) = first_token {
        metrics::histogram!("parlor_time_to_first_token_seconds", "provider" => provider).record(first_token);
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
