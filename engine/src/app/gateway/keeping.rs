//! Calls that become conversations.
//!
//! A call tells its whole conversation each time. The one that it goes on with is found by a hash over all that was said in it so far: whoever sent
//! it, and the model, word for word, in order; instructions and tools' results do not count. It is found where the stored one still ends there.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::request::GatewayRequest;
use crate::app::{App, Caller};
use crate::domain::{ConversationId, FinishReason, MessageText, Role, Timestamp, TurnState};
use crate::providers::{Delta, Hearing, ProviderError};
use crate::store::KeptCall;

/// What is said in a call that shall be stored.
pub(super) struct Keeping {
    call: KeptCall,
    /// Over all that was said before the answer.
    hash: Sha256,
    hearing: Hearing,
    longest: usize,
}

impl App {
    /// Begins to keep a call, where the settings and the call want it. One in which nobody says anything, or more than a chat would take, is not
    /// kept.
    pub(super) fn keep(&self, caller: &Caller, request: &GatewayRequest) -> Option<Box<Keeping>> {
        let store = self.settings.gateway.store;
        // Most servers store nothing, and read nothing for it.
        if !store.keeps(Some(true)) || !store.keeps(request.store()) {
            return None;
        }
        let talk = request.talk();
        let place = talk.iter().rposition(|(role, _)| *role == Role::User)?;
        let (_, question) = talk.get(place)?;
        let question = MessageText::parse(question.clone(), self.settings.chat.message_max_chars).ok()?;
        let mut hash = Sha256::new();
        let mut continues = None;
        for (number, (role, text)) in talk.iter().enumerate() {
            if number == place && number > 0 {
                continues = Some(hex(hash.clone()));
            }
            say(&mut hash, *role, text);
        }
        let now = self.clock.now();
        let call = KeptCall {
            account_id: caller.id(),
            new_conversation_id: ConversationId::random(&mut rand::rng()),
            continues,
            thread_hash: String::new(),
            question: question.as_str().to_owned(),
            answer: String::new(),
            model: request.model.clone(),
            // As long as nobody has said anything else: its client went away.
            state: TurnState::Cancelled,
            finish_reason: FinishReason::Cancelled,
            error_code: None,
            elapsed_ms: 0,
            asked_at: now,
            now,
        };
        let longest = self.settings.chat.answer_max_bytes;
        Some(Box::new(Keeping { call, hash, hearing: Hearing::default(), longest }))
    }
}

impl Keeping {
    /// Events that are handed on.
    pub(super) fn events(&mut self, events: &Bytes) {
        if self.hearing.text.len() < self.longest {
            self.hearing.events(events.clone());
        }
    }

    /// An answer that comes whole.
    pub(super) fn whole(&mut self, json: &[u8]) {
        self.hearing.whole(json);
    }

    /// A piece of an answer.
    pub(super) fn delta(&mut self, delta: &Delta) {
        match delta {
            Delta::Text(text) if self.hearing.text.len() < self.longest => self.hearing.text.push_str(text),
            Delta::Finish(reason) => self.hearing.finish = Some(*reason),
            _ => {}
        }
    }

    /// How the answer ended; not told, its client went away.
    pub(super) fn ended(&mut self, error: Option<&ProviderError>) {
        let finish = self.hearing.finish;
        (self.call.state, self.call.finish_reason, self.call.error_code) = match (error, finish) {
            (None, Some(reason)) => (TurnState::Complete, reason, None),
            (None, None) => (TurnState::Incomplete, FinishReason::Error, Some(ProviderError::Cut.code().to_owned())),
            (Some(error), _) => (TurnState::Incomplete, FinishReason::Error, Some(error.code().to_owned())),
        };
    }

    /// What is stored; `None` where the model said nothing, as when it calls tools.
    pub(super) fn call(mut self: Box<Self>, now: Timestamp) -> Option<KeptCall> {
        let mut text = std::mem::take(&mut self.hearing.text);
        text.truncate(text.floor_char_boundary(self.longest));
        if text.trim().is_empty() {
            return None;
        }
        say(&mut self.hash, Role::Assistant, &text);
        self.call.thread_hash = hex(self.hash);
        self.call.answer = text.replace('\0', "\u{fffd}");
        self.call.now = now;
        self.call.elapsed_ms = i64::try_from(now.since(self.call.asked_at).as_millis()).unwrap_or(i64::MAX);
        Some(self.call)
    }
}

/// Each part with its length before it, so that no two threads are told alike.
fn say(hash: &mut Sha256, role: Role, text: &str) {
    hash.update(role.as_str().as_bytes());
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
