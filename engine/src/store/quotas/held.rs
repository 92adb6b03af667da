//! What calls under way hold of their quotas, where one server has the database: in its memory.
//!
//! Nobody else looks at it, and a crash gives everything back, since nothing runs any more. So letting a call in costs no transaction. What was
//! spent is in the database's counters, and known here from the first look at one on.
//!
//! What a transaction does here is noted, and taken back when it is undone: there is one writer, so what it has noted since its mark is its own.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{NewReservation, OverQuota, Reserved, Subject, bit, over};
use crate::domain::{Amounts, Quota, QuotaWindow, Timestamp, TokenUsage};

/// Counters remembered at most: of those that hold nothing some are forgotten then, and read again when they are asked for.
const COUNTERS: usize = 100_000;

/// The memory of one server.
#[derive(Debug, Default)]
pub(in crate::store) struct Held {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counters: HashMap<CounterKey, Counter>,
    /// What is not settled, with the time at which it is given back.
    reservations: HashMap<i64, (Reserved, Timestamp)>,
    /// Ids of reservations that have no row count down from zero.
    newest: i64,
    /// What the transaction under way did.
    journal: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct CounterKey {
    scope: &'static str,
    subject: i64,
    window: QuotaWindow,
    start: Timestamp,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    /// `None` until the database has been asked.
    used: Option<Amounts>,
    reserved: Amounts,
}

#[derive(Debug)]
enum Change {
    Learned(CounterKey),
    Spent(CounterKey, Amounts),
    Reserved(CounterKey, Amounts),
    Released(CounterKey, Amounts),
    Noted(i64),
    Settled(i64, (Reserved, Timestamp)),
}

/// What came of asking for room.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// There is room, and it is taken.
    Yes(Reserved),
    /// There is none.
    No(OverQuota),
    /// The database has to be asked first what was spent.
    Unknown,
}

impl CounterKey {
    fn new(subject: Subject, window: QuotaWindow, at: Timestamp) -> Self {
        Self { scope: subject.scope, subject: subject.id, window, start: window.bounds(at).0 }
    }
}

impl Held {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `usage` from every counter that limits the call, or from none.
    pub(super) fn take(&self, new: &NewReservation, usage: TokenUsage, now: Timestamp) -> Taken {
        self.inner().take(new, usage, now, false)
    }

    /// As [`Self::take`], in a transaction.
    pub(super) fn take_in_tx(&self, new: &NewReservation, usage: TokenUsage, now: Timestamp) -> Taken {
        self.inner().take(new, usage, now, true)
    }

    /// Whether what was spent in that window is known.
    pub(super) fn knows(&self, subject: Subject, window: QuotaWindow, at: Timestamp) -> bool {
        self.inner().counters.get(&CounterKey::new(subject, window, at)).is_some_and(|counter| counter.used.is_some())
    }

    /// Learns in a transaction what was spent in that window.
    pub(super) fn learn(&self, subject: Subject, window: QuotaWindow, at: Timestamp, used: Amounts) {
        let mut inner = self.inner();
        if inner.counters.len() >= COUNTERS {
            inner.counters.retain(|_, counter| counter.reserved != Amounts::default());
        }
        let key = CounterKey::new(subject, window, at);
        inner.counters.entry(key).or_default().used = Some(used);
        inner.journal.push(Change::Learned(key));
    }

    /// What calls under way hold of that window.
    pub(super) fn reserved(&self, subject: Subject, window: QuotaWindow, at: Timestamp) -> Amounts {
        self.inner().counters.get(&CounterKey::new(subject, window, at)).map_or_else(Amounts::default, |of| of.reserved)
    }

    /// Remembers in a transaction a reservation whose row has that id, until it is settled or given back.
    pub(super) fn note(&self, reserved: Reserved, expires_at: Timestamp) {
        let mut inner = self.inner();
        inner.reservations.insert(reserved.id, (reserved, expires_at));
        inner.journal.push(Change::Noted(reserved.id));
    }

    /// Remembers a reservation that has no row. Returns it with its id.
    pub(super) fn note_without_row(&self, reserved: Reserved, expires_at: Timestamp, in_tx: bool) -> Reserved {
        let mut inner = self.inner();
        inner.newest -= 1;
        let noted = Reserved { id: inner.newest, ..reserved };
        inner.reservations.insert(noted.id, (noted, expires_at));
        if in_tx {
            inner.journal.push(Change::Noted(noted.id));
        }
        noted
    }

    /// Turns in a transaction what was reserved into what was spent. What is not held any more was given back already.
    pub(super) fn settle(&self, reserved: &Reserved, spent: Amounts) {
        let mut inner = self.inner();
        let known = inner.reservations.remove(&reserved.id);
        let back = known.map(|_| reserved.amounts());
        if let Some(known) = known {
            inner.journal.push(Change::Settled(reserved.id, known));
        }
        for (subject, window) in reserved.counters() {
            let key = CounterKey::new(subject, window, reserved.at);
            let Some(counter) = inner.counters.get_mut(&key) else { continue };
            counter.used = counter.used.map(|used| used.plus(spent));
            if let Some(back) = back {
                counter.reserved = counter.reserved.minus(back);
                inner.journal.push(Change::Released(key, back));
            }
            inner.journal.push(Change::Spent(key, spent));
        }
    }

    /// Begins that window anew in a transaction; what is reserved stays reserved.
    pub(super) fn reset(&self, subject: Subject, window: QuotaWindow, at: Timestamp) {
        let mut inner = self.inner();
        let key = CounterKey::new(subject, window, at);
        // Unknown rather than zero: it may be undone.
        if let Some(counter) = inner.counters.get_mut(&key) {
            counter.used = None;
        }
    }

    /// The reservations that only this memory has: those that nobody settled until `expired_at`, or all of them; `limit` at most.
    pub(super) fn without_row(&self, expired_at: Option<Timestamp>, limit: usize) -> Vec<Reserved> {
        let inner = self.inner();
        let all = inner.reservations.values().filter(|(reserved, _)| !reserved.has_row());
        let due = all.filter(|(_, expires_at)| expired_at.is_none_or(|now| *expires_at <= now));
        due.map(|(reserved, _)| *reserved).take(limit).collect()
    }

    /// Forgets the windows that ended before `before`.
    pub(super) fn forget_old(&self, before: Timestamp) {
        self.inner().counters.retain(|key, _| key.window.bounds(key.start).1 > before);
    }

    /// Where the transaction's next change will be noted.
    pub(in crate::store) fn mark(&self) -> usize {
        self.inner().journal.len()
    }

    /// Takes back what was done since that mark.
    pub(in crate::store) fn undo(&self, mark: usize) {
        let mut inner = self.inner();
        while inner.journal.len() > mark {
            let Some(change) = inner.journal.pop() else { return };
            inner.take_back(change);
        }
    }

    /// What was done stays.
    pub(in crate::store) fn keep(&self) {
        self.inner().journal.clear();
    }
}

impl Inner {
    fn take(&mut self, new: &NewReservation, usage: TokenUsage, now: Timestamp, in_tx: bool) -> Taken {
        let mut held = Reserved::of(new, usage, now);
        let needs = held.amounts();
        for quota in &new.quotas {
            let Some(subject) = Subject::of(quota.scope, new.account_id, new.api_key_id) else { continue };
            let counter = self.counters.get(&CounterKey::new(subject, quota.window, now)).copied().unwrap_or_default();
            let Some(used) = counter.used else { return Taken::Unknown };
            if !fits(quota, used.plus(counter.reserved).plus(needs)) {
                let count = super::QuotaCount { used, reserved: counter.reserved };
                return Taken::No(over(quota, Some(count), needs, now));
            }
        }
        for quota in &new.quotas {
            let Some(subject) = Subject::of(quota.scope, new.account_id, new.api_key_id) else { continue };
            // An account has one quota for a window, and so has a key: nothing is taken twice.
            held.hold(quota.scope, bit(quota.window));
            let key = CounterKey::new(subject, quota.window, now);
            if let Some(counter) = self.counters.get_mut(&key) {
                counter.reserved = counter.reserved.plus(needs);
            }
            if in_tx {
                self.journal.push(Change::Reserved(key, needs));
            }
        }
        Taken::Yes(held)
    }

    fn take_back(&mut self, change: Change) {
        match change {
            Change::Learned(key) => {
                if let Some(counter) = self.counters.get_mut(&key) {
                    counter.used = None;
                }
            }
            Change::Spent(key, spent) => {
                if let Some(counter) = self.counters.get_mut(&key) {
                    counter.used = counter.used.map(|used| used.minus(spent));
                }
            }
            Change::Reserved(key, amounts) => {
                if let Some(counter) = self.counters.get_mut(&key) {
                    counter.reserved = counter.reserved.minus(amounts);
                }
            }
            Change::Released(key, amounts) => {
                let counter = self.counters.entry(key).or_default();
                counter.reserved = counter.reserved.plus(amounts);
            }
            Change::Noted(id) => {
                self.reservations.remove(&id);
            }
            Change::Settled(id, known) => {
                self.reservations.insert(id, known);
            }
        }
    }
}

fn fits(quota: &Quota, total: Amounts) -> bool {
    let limits = quota.limits;
    let within = |limit: Option<i64>, amount: i64| limit.is_none_or(|limit| amount <= limit);
    within(limits.requests, total.requests)
        && within(limits.tokens, total.tokens)
        && within(limits.micros, total.micros)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::{AccountId, QuotaLimits, QuotaScope};

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn account() -> Subject {
        Subject { scope: "account", id: 1 }
    }

    fn call(limit: i64) -> NewReservation {
        let limits = QuotaLimits { tokens: Some(limit), ..QuotaLimits::default() };
        NewReservation {
            account_id: AccountId::new(1).unwrap(),
            api_key_id: None,
            quotas: vec![Quota { scope: QuotaScope::Account, window: QuotaWindow::Day, limits }],
            usage: TokenUsage::new(40, 0),
            price: None,
            expires_at: NOW,
        }
    }

    fn state(held: &Held) -> (Option<Amounts>, Amounts, usize) {
        let inner = held.inner();
        let counter =
            inner.counters.get(&CounterKey::new(account(), QuotaWindow::Day, NOW)).copied().unwrap_or_default();
        (counter.used, counter.reserved, inner.reservations.len())
    }

    #[test]
    fn what_a_transaction_did_is_taken_back_with_it_and_nothing_else_is() {
        let held = Held::default();
        assert_eq!(held.take(&call(100), TokenUsage::new(40, 0), NOW), Taken::Unknown);
        held.learn(account(), QuotaWindow::Day, NOW, Amounts { requests: 1, tokens: 10, micros: 0 });
        held.keep();
        let Taken::Yes(first) = held.take_in_tx(&call(100), TokenUsage::new(40, 0), NOW) else { panic!("it fits") };
        let first = held.note_without_row(first, NOW, true);
        held.keep();
        let before = state(&held);

        let mark = held.mark();
        held.settle(&first, Amounts { requests: 1, tokens: 7, micros: 0 });
        let Taken::Yes(second) = held.take_in_tx(&call(100), TokenUsage::new(40, 0), NOW) else { panic!("it fits") };
        held.note_without_row(second, NOW, true);
        // Somebody else's, meanwhile: it stays.
        let Taken::Yes(_) = held.take(&call(100), TokenUsage::new(20, 0), NOW) else { panic!("it fits") };
        held.undo(mark);

        let (used, reserved, reservations) = state(&held);
        assert_eq!((used, reservations), (before.0, before.2));
        assert_eq!(reserved.tokens, before.1.tokens + 20);
        assert!(matches!(held.take(&call(100), TokenUsage::new(31, 0), NOW), Taken::No(over) if over.left == 30));
        assert!(matches!(held.take(&call(100), TokenUsage::new(30, 0), NOW), Taken::Yes(_)));
    }
}
