//! Who has sockets open, and what these are told of the messages that the account sends by other ways.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::chat::TurnHandle;
use super::{App, AppError, Caller, Noun};
use crate::domain::{AccountId, Message, MessageId, Scope};
use crate::shared::{BusEvent, Subscription};

/// The sockets that are open on this server, by account.
#[derive(Debug, Default)]
pub(super) struct Presence {
    open: Mutex<HashMap<AccountId, usize>>,
}

impl Presence {
    fn open(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, account: AccountId) -> bool {
        self.open().contains_key(&account)
    }

    /// How many sockets there are, and of how many accounts.
    pub(super) fn count(&self) -> (usize, usize) {
        let open = self.open();
        (open.values().sum(), open.len())
    }
}

/// A socket's ear: it hears of every message of its account's, its own included.
pub struct Elsewhere {
    app: App,
    account: AccountId,
    news: Subscription,
}

/// What a socket hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A message was sent; that is the id of its answer.
    Sent(MessageId),
    /// Messages may have been sent without its hearing of them.
    Missed,
}

/// What is told on the bus: ids alone, since every server can read the rest.
#[derive(Serialize, Deserialize)]
struct Announcement {
    answer: i64,
}

impl Elsewhere {
    /// Waits for the next message. Safe to drop half-way.
    pub async fn next(&mut self) -> Heard {
        loop {
            let BusEvent::Message(message) = self.news.next().await else { return Heard::Missed };
            let sent = serde_json::from_slice::<Announcement>(&message).ok();
            if let Some(answer) = sent.and_then(|sent| MessageId::new(sent.answer).ok()) {
                return Heard::Sent(answer);
            }
        }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let mut open = self.app.presence.open();
        if let Some(count) = open.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.account);
            }
        }
    }
}

impl App {
    /// Lets a socket of the caller's hear of the messages that the account sends, on whichever server and in whichever dialect. `None` for an
    /// API key that may not read.
    pub async fn listen_elsewhere(&self, caller: &Caller) -> Option<Elsewhere> {
        caller.allow(Scope::Read).ok()?;
        let account = caller.id();
        // First, so that nothing is sent between the two without being announced.
        *self.presence.open().entry(account).or_default() += 1;
        let news = self.shared.bus.subscribe(&topic(account)).await;
        Some(Elsewhere { app: self.clone(), account, news })
    }

    /// A message of the caller's that was heard of, and the turn of its answer.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when it has been deleted since.
    pub async fn sent_elsewhere(
        &self,
        caller: &Caller,
        answer_id: MessageId,
    ) -> Result<(Message, TurnHandle), AppError> {
        caller.allow(Scope::Read)?;
        let message = self.db.question_of_owner(answer_id, caller.id()).await?;
        let message = message.ok_or(AppError::NotFound(Noun::Message))?;
        Ok((message, self.follow_turn(caller, answer_id).await?))
    }

    /// Tells the account's sockets of a message. It costs nothing where there can be none.
    pub(super) fn announce(&self, account: AccountId, answer_id: MessageId) {
        if !self.shared.bus.is_shared() && !self.presence.has(account) {
            return;
        }
        let app = self.clone();
        self.tasks.spawn(async move {
            let sent = serde_json::to_vec(&Announcement { answer: answer_id.get() }).unwrap_or_default();
            app.shared.bus.publish(&topic(account), Bytes::from(sent)).await;
        });
    }
}

fn topic(account: AccountId) -> String {
    format!("account/{account}")
}
