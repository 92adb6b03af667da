//! What one replica tells the others, by topic.
//!
//! A message reaches the subscribers of its own process at once, and those of other processes through Redis, at most once each. Nothing is
//! kept: whoever was not listening has not heard it. [`BusEvent::Gap`] says when that may be so; the database knows what was.

mod listener;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::link::Link;
use topics::Topics;

/// The longest message.
const MESSAGE_MAX: usize = 1024 * 1024;
/// The longest wait for Redis to confirm a subscription; it comes later then, with a gap.
const CONFIRM_WITHIN: Duration = Duration::from_millis(500);
/// Bytes before a message that say which process sent it.
const ORIGIN: usize = 8;

/// The bus. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    topics: Arc<Topics>,
    reach: Reach,
}

/// How far a message goes.
#[derive(Debug)]
enum Reach {
    /// To the subscribers of this process.
    Memory,
    /// To those of every process with the same Redis.
    Redis(Redis),
}

#[derive(Debug)]
struct Redis {
    link: Arc<Link>,
    /// Channels belong to all of Redis' databases, so their names begin with the number of ours.
    prefix: String,
    origin: [u8; ORIGIN],
    listening: std::sync::OnceLock<DropGuard>,
}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// A message.
    Message(Bytes),
    /// Messages may have been missed: the subscriber was too slow, or Redis was away or has come back. It must look for itself.
    Gap,
}

/// One subscriber of a topic, until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    bus: Bus,
    topic: Arc<str>,
    events: broadcast::Receiver<BusEvent>,
}

impl Bus {
    /// A bus within this process.
    #[must_use]
    pub fn memory() -> Self {
        Self { inner: Arc::new(Inner { topics: Arc::default(), reach: Reach::Memory }) }
    }

    /// A bus among all processes with the same Redis and the same number of its database.
    pub(super) fn redis(link: Arc<Link>) -> Self {
        let prefix = format!("parlor:{}:", link.database());
        let reach = Reach::Redis(Redis { link, prefix, origin: rand::random(), listening: std::sync::OnceLock::new() });
        Self { inner: Arc::new(Inner { topics: Arc::default(), reach }) }
    }

    /// Whether messages reach other processes, when Redis works.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.reach, Reach::Redis(_))
    }

    /// Sends `message` to all subscribers of `topic`. It takes half a second at most. Returns false when it surely did not reach the
    /// subscribers of other processes, as while Redis is away; true is no promise.
    pub async fn publish(&self, topic: &str, message: Bytes) -> bool {
        if message.len() > MESSAGE_MAX {
            tracing::error!(topic, bytes = message.len(), "a message is too long for the bus");
            return false;
        }
        self.inner.topics.deliver(topic, message.clone());
        let Reach::Redis(redis) = &self.inner.reach else { return true };
        let mut framed = BytesMut::with_capacity(ORIGIN + message.len());
        framed.put_slice(&redis.origin);
        framed.put(message);
        let mut command = redis::cmd("PUBLISH");
        command.arg(format!("{}{topic}", redis.prefix)).arg(&framed[..]);
        let sent = redis
            .link
            .ask("publish", |mut manager| async move { command.query_async::<i64>(&mut manager).await })
            .await;
        sent.is_some()
    }

    /// Listens to `topic`. What is sent after this has returned is heard, or a gap is; it returns within half a second.
    pub async fn subscribe(&self, topic: &str) -> Subscription {
        let topic = Arc::<str>::from(topic);
        let (events, mut is_heard) = self.inner.topics.add(&topic);
        let subscription = Subscription { bus: self.clone(), topic, events };
        if let Reach::Redis(redis) = &self.inner.reach {
            redis.listening.get_or_init(|| {
                let stop = CancellationToken::new();
                tokio::spawn(stop.clone().run_until_cancelled_owned(listener::listen(
                    Arc::clone(&redis.link),
                    Arc::clone(&self.inner.topics),
                    redis.prefix.clone(),
                    redis.origin,
                )));
                stop.drop_guard()
            });
            let wait = if redis.link.is_deaf() { Duration::ZERO } else { CONFIRM_WITHIN };
            if !matches!(tokio::time::timeout(wait, is_heard.wait_for(|heard| *heard)).await, Ok(Ok(_))) {
                self.inner.topics.owe_gap(&subscription.topic);
            }
        }
        subscription
    }

    /// How many topics are listened to here.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.inner.topics.len()
    }
}

impl Subscription {
    /// Waits for the next event. Dropping the future loses nothing.
    pub async fn next(&mut self) -> BusEvent {
        match self.events.recv().await {
            Ok(event) => {
                if event == BusEvent::Gap {
                    metrics::counter!("parlor_bus_gaps_total").increment(1);
                }
                event
            }
            Err(RecvError::Lagged(_)) => {
                metrics::counter!("parlor_bus_gaps_total").increment(1);
                BusEvent::Gap
            }
            // The topic lives as long as this does.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.bus.inner.topics.remove(&self.topic);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::FutureExt as _;

    use super::*;

    fn message(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[tokio::test]
    async fn every_subscriber_of_a_topic_hears_its_messages_and_no_others() {
        let bus = Bus::memory();
        let (mut first, mut second, mut other) =
            (bus.subscribe("a").await, bus.subscribe("a").await, bus.subscribe("b").await);
        assert!(bus.publish("a", message("one")).await);
        assert!(bus.publish("a", message("two")).await);
        for subscription in [&mut first, &mut second] {
            assert_eq!(subscription.next().await, BusEvent::Message(message("one")));
            assert_eq!(subscription.next().await, BusEvent::Message(message("two")));
        }
        assert!(other.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_subscriber_that_is_too_slow_has_a_gap_and_then_the_newest() {
        let bus = Bus::memory();
        let mut slow = bus.subscribe("a").await;
        for number in 0..=topics::QUEUE {
            bus.publish("a", message(&number.to_string())).await;
        }
        assert_eq!(slow.next().await, BusEvent::Gap);
        assert_eq!(slow.next().await, BusEvent::Message(message("1")));
    }

    #[tokio::test]
    async fn a_topic_that_nobody_listens_to_is_forgotten() {
        let bus = Bus::memory();
        let (first, second) = (bus.subscribe("a").await, bus.subscribe("a").await);
        assert_eq!(bus.topics(), 1);
        drop(first);
        assert_eq!(bus.topics(), 1);
        drop(second);
        assert_eq!(bus.topics(), 0);
        assert!(bus.publish("a", message("nobody")).await);
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_not_sent() {
        let bus = Bus::memory();
        let mut reader = bus.subscribe("a").await;
        assert!(!bus.publish("a", Bytes::from(vec![0; MESSAGE_MAX + 1])).await);
        assert!(reader.next().now_or_never().is_none());
    }
}
