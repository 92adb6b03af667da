//! Telling other servers what turns say that run here, as long as somebody follows them there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::live::LiveTurn;
use super::news::{SERVERS, ToServer, Told, TurnNews, decode, encode, server_topic, turn_topic};
use crate::app::App;
use crate::domain::{AccountId, ConversationId, MessageId};
use crate::shared::BusEvent;

/// Who has not asked for as long follows no more.
const INTEREST: Duration = Duration::from_secs(7);
/// What is said within this time goes in one message.
const GATHER: Duration = Duration::from_millis(10);
/// The most that one message holds: events, and bytes of what they say.
const MESSAGE: (usize, usize) = (512, 256 * 1024);

/// The turns of this server that others follow.
#[derive(Debug, Default)]
pub(in crate::app) struct Forwarders {
    turns: Mutex<HashMap<MessageId, Arc<Interest>>>,
}

impl Forwarders {
    fn turns(&self) -> MutexGuard<'_, HashMap<MessageId, Arc<Interest>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What others want of a turn.
#[derive(Debug)]
struct Interest {
    wanted: Mutex<Wanted>,
    changed: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// The oldest event that somebody lacks.
    from: Option<u64>,
    until: Instant,
}

impl Interest {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self, from: Option<u64>) {
        let mut wanted = self.wanted();
        wanted.from = match (wanted.from, from) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        wanted.until = Instant::now() + INTEREST;
        drop(wanted);
        self.changed.notify_one();
    }
}

impl App {
    /// Answers what other servers ask of this one, for good. Does nothing where there can be no others.
    pub async fn answer_servers(&self) {
        if !self.db.is_shared() {
            return;
        }
        let mut own = self.shared.bus.subscribe(&server_topic(self.db.server())).await;
        let mut all = self.shared.bus.subscribe(SERVERS).await;
        loop {
            let event = tokio::select! {
                event = own.next() => event,
                event = all.next() => event,
            };
            // After a gap others ask again, and the database says with the next beat what was to be stopped.
            let BusEvent::Message(message) = event else { continue };
            match decode(&message) {
                Some(ToServer::Follow { answer, from, again }) => {
                    if let Ok(answer) = MessageId::new(answer) {
                        self.forward(answer, from, again).await;
                    }
                }
                Some(ToServer::Stop { answer }) => {
                    if let Some(live) = MessageId::new(answer).ok().and_then(|answer| self.turns.of_answer(answer)) {
                        live.cancel();
                    }
                }
                Some(ToServer::ConversationGone { conversation }) => {
                    if let Ok(id) = ConversationId::new(conversation) {
                        self.turns.cancel_conversation(id);
                    }
                }
                Some(ToServer::AccountGone { account }) => {
                    if let Ok(id) = AccountId::new(account) {
                        self.turns.cancel_owner(id);
                    }
                }
                None => {}
            }
        }
    }

    /// Stops what runs in a deleted conversation, on whichever server.
    pub(in crate::app) async fn stop_conversation(&self, id: ConversationId) {
        self.turns.cancel_conversation(id);
        self.tell_servers(&ToServer::conversation_gone(id)).await;
    }

    /// Stops what runs for a deleted account, on whichever server.
    pub(in crate::app) async fn stop_account(&self, id: AccountId) {
        self.turns.cancel_owner(id);
        self.tell_servers(&ToServer::account_gone(id)).await;
    }

    async fn tell_servers(&self, what: &ToServer) {
        if self.db.is_shared() {
            self.shared.bus.publish(SERVERS, encode(what)).await;
        }
    }

    async fn forward(&self, answer: MessageId, from: u64, again: bool) {
        let Some(live) = self.turns.of_answer(answer) else {
            self.shared.bus.publish(&turn_topic(self.db.server(), answer), encode(&TurnNews::Over)).await;
            return;
        };
        let from = again.then_some(from);
        let mut turns = self.forwarders.turns();
        if let Some(interest) = turns.get(&answer) {
            return interest.renew(from);
        }
        let wanted = Wanted { from: None, until: Instant::now() + INTEREST };
        let interest = Arc::new(Interest { wanted: Mutex::new(wanted), changed: Notify::new() });
        interest.renew(from);
        turns.insert(answer, Arc::clone(&interest));
        drop(turns);
        let app = self.clone();
        self.tasks.spawn(async move { app.tell_of(answer, &live, &interest).await });
    }

    /// Tells what the turn says until it has ended or nobody asks any more.
    async fn tell_of(&self, answer: MessageId, live: &LiveTurn, interest: &Interest) {
        let topic = turn_topic(self.db.server(), answer);
        let mut newest = live.subscribe();
        let mut next = live.last() + 1;
        loop {
            // An empty message, too, tells those who ask that this server is there.
            let wanted = std::mem::take(&mut interest.wanted().from);
            next = wanted.map_or(next, |from| next.min(from.max(2)));
            loop {
                newest.mark_unchanged();
                let has_ended = live.ending().is_some();
                let events = batch(live, next);
                let told = events.len() as u64;
                self.shared.bus.publish(&topic, encode(&TurnNews::Events { from: next, events })).await;
                next += told;
                if told == 0 && has_ended {
                    self.shared.bus.publish(&topic, encode(&TurnNews::Over)).await;
                    self.forwarders.turns().remove(&answer);
                    return;
                }
                if next > live.last() && live.ending().is_none() {
                    break;
                }
            }
            let until = interest.wanted().until;
            tokio::select! {
                changed = newest.changed() => {
                    if changed.is_ok() {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                () = interest.changed.notified() => {}
                () = tokio::time::sleep_until(until) => {
                    let mut turns = self.forwarders.turns();
                    if interest.wanted().until <= Instant::now() {
                        turns.remove(&answer);
                        return;
                    }
                }
            }
        }
    }
}

/// The events from number `from` on, as many as go into one message.
fn batch(live: &LiveTurn, from: u64) -> Vec<Told> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    let mut number = from;
    while events.len() < MESSAGE.0
        && bytes < MESSAGE.1
        && let Some(Some(event)) = live.event(number)
        && let Some(told) = Told::of(event)
    {
        bytes += told.weight();
        events.push(told);
        number += 1;
    }
    events
}
