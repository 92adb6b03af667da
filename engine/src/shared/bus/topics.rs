//! Who listens to what within this process.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, broadcast, watch};

use super::BusEvent;

/// Messages that wait for a slow subscriber, per topic; whoever is further behind has a gap.
pub(super) const QUEUE: usize = 128;

/// The topics that somebody listens to.
#[derive(Debug, Default)]
pub(super) struct Topics {
    inner: Mutex<Inner>,
    /// Told when topics have come or gone.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    topics: HashMap<Arc<str>, Topic>,
    /// Topics that have come or gone since [`Topics::take_changed`].
    changed: HashSet<Arc<str>>,
}

#[derive(Debug)]
struct Topic {
    subscribers: usize,
    events: broadcast::Sender<BusEvent>,
    /// Whether messages of other processes come in.
    is_heard: watch::Sender<bool>,
    /// Somebody listens who may have missed what others said.
    owes_gap: bool,
}

impl Topic {
    fn new() -> Self {
        let (events, is_heard) = (broadcast::Sender::new(QUEUE), watch::Sender::new(false));
        Self { subscribers: 0, events, is_heard, owes_gap: false }
    }

    fn tell(&self, event: BusEvent) {
        // That nobody is left to hear it is no failure.
        drop(self.events.send(event));
    }
}

impl Topics {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more subscriber: its events, and whether other processes are heard.
    pub(super) fn add(&self, name: &Arc<str>) -> (broadcast::Receiver<BusEvent>, watch::Receiver<bool>) {
        let inner = &mut *self.inner();
        let topic = inner.topics.entry(Arc::clone(name)).or_insert_with(Topic::new);
        if topic.subscribers == 0 {
            inner.changed.insert(Arc::clone(name));
            self.changed.notify_one();
        }
        topic.subscribers += 1;
        (topic.events.subscribe(), topic.is_heard.subscribe())
    }

    /// One subscriber less.
    pub(super) fn remove(&self, name: &Arc<str>) {
        let inner = &mut *self.inner();
        let Some(topic) = inner.topics.get_mut(name) else { return };
        topic.subscribers = topic.subscribers.saturating_sub(1);
        if topic.subscribers == 0 {
            inner.topics.remove(name);
            inner.changed.insert(Arc::clone(name));
            self.changed.notify_one();
        }
    }

    /// Gives a message to the topic's subscribers here.
    pub(super) fn deliver(&self, name: &str, message: Bytes) {
        if let Some(topic) = self.inner().topics.get(name) {
            topic.tell(BusEvent::Message(message));
        }
    }

    /// Tells the topic's subscribers of a gap as soon as other processes are heard, unless they are already.
    pub(super) fn owe_gap(&self, name: &str) {
        if let Some(topic) = self.inner().topics.get_mut(name)
            && !*topic.is_heard.borrow()
        {
            topic.owes_gap = true;
        }
    }

    /// The topics that have come or gone since the last call, and whether somebody listens to them.
    pub(super) fn take_changed(&self) -> Vec<(Arc<str>, bool)> {
        let inner = &mut *self.inner();
        inner.changed.drain().map(|name| (Arc::clone(&name), inner.topics.contains_key(&name))).collect()
    }

    /// Every topic; there is nothing changed beyond it then.
    pub(super) fn all(&self) -> Vec<Arc<str>> {
        let inner = &mut *self.inner();
        inner.changed.clear();
        inner.topics.keys().cloned().collect()
    }

    /// Other processes are heard on these topics from now on.
    pub(super) fn heard<'a>(&self, names: impl IntoIterator<Item = &'a Arc<str>>) {
        let inner = &mut *self.inner();
        for name in names {
            let Some(topic) = inner.topics.get_mut(name) else { continue };
            topic.is_heard.send_replace(true);
            if std::mem::take(&mut topic.owes_gap) {
                topic.tell(BusEvent::Gap);
            }
        }
    }

    /// Other processes are heard no more: a gap now, and one when they are heard again.
    pub(super) fn deaf(&self) {
        for topic in self.inner().topics.values_mut() {
            if topic.is_heard.send_replace(false) {
                topic.owes_gap = true;
                topic.tell(BusEvent::Gap);
            }
        }
    }

    /// How many topics there are.
    pub(super) fn len(&self) -> usize {
        self.inner().topics.len()
    }
}
