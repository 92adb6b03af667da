//! The one connection of a process that hears what other processes send.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use super::ORIGIN;
use super::topics::Topics;
use crate::shared::link::{Link, ping};
use crate::shared::reason::Reason;

/// The first wait before another try to connect.
const RETRY: Duration = Duration::from_millis(100);
/// The longest: until Redis is there again; until it no longer refuses, which somebody has to change.
const RETRY_MAX: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// How often a quiet connection is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Topics that are subscribed to in one command.
const BATCH: usize = 500;

/// Listens to whatever somebody here has subscribed to, for good.
pub(super) async fn listen(link: Arc<Link>, topics: Arc<Topics>, prefix: String, origin: [u8; ORIGIN]) {
    let mut wait = RETRY;
    loop {
        let ended = Arc::new(Notify::new());
        let push = {
            let (ended, topics, prefix) = (Arc::clone(&ended), Arc::clone(&topics), prefix.clone());
            move |info: PushInfo| {
                hear(info, &ended, &topics, &prefix, origin);
                Ok::<(), Infallible>(())
            }
        };
        let reason = match link.listen(push).await {
            Ok(connection) => {
                let mut listener =
                    Listener { connection, topics: &topics, prefix: &prefix, active: HashSet::new(), has_heard: false };
                let reason = listener.keep_up(&ended, &link).await;
                if listener.has_heard {
                    wait = RETRY;
                }
                reason
            }
            Err(reason) => reason,
        };
        topics.deaf();
        link.does_not_hear(reason).await;
        tokio::time::sleep(wait).await;
        wait = longer(wait, reason);
    }
}

/// The wait after `wait`.
fn longer(wait: Duration, reason: Reason) -> Duration {
    (wait * 2).min(if reason.is_refusal() { RETRY_MAX.1 } else { RETRY_MAX.0 })
}

fn hear(info: PushInfo, ended: &Notify, topics: &Topics, prefix: &str, origin: [u8; ORIGIN]) {
    match info.kind {
        PushKind::Disconnection => ended.notify_one(),
        PushKind::Message => {
            let mut parts = info.data.into_iter();
            let (Some(Value::BulkString(channel)), Some(Value::BulkString(framed))) = (parts.next(), parts.next())
            else {
                return;
            };
            let topic = std::str::from_utf8(&channel).ok().and_then(|channel| channel.strip_prefix(prefix));
            let (Some(topic), true) = (topic, framed.len() >= ORIGIN) else { return };
            // What this process sent, its own subscribers have heard already.
            if framed[..ORIGIN] != origin {
                let mut message = Bytes::from(framed);
                message.advance(ORIGIN);
                metrics::counter!("parlor_bus_heard_total").increment(1);
                topics.deliver(topic, message);
            }
        }
        _ => {}
    }
}

struct Listener<'a> {
    connection: MultiplexedConnection,
    topics: &'a Topics,
    prefix: &'a str,
    active: HashSet<Arc<str>>,
    /// Whether Redis has ever let it listen to a topic.
    has_heard: bool,
}

impl Listener<'_> {
    /// Follows the topics that come and go, until the connection ends. Returns why it did.
    async fn keep_up(&mut self, ended: &Notify, link: &Link) -> Reason {
        if let Err(error) = self.subscribe(self.topics.all()).await {
            return Reason::of(&error);
        }
        link.hears();
        loop {
            tokio::select! {
                biased;
                () = ended.notified() => return Reason::Broke,
                () = self.topics.changed.notified() => {
                    if let Err(error) = self.change().await {
                        return Reason::of(&error);
                    }
                }
                () = tokio::time::sleep(PING_EVERY) => {
                    if let Err(error) = ping(&mut self.connection).await {
                        return Reason::of(&error);
                    }
                }
            }
        }
    }

    async fn change(&mut self) -> redis::RedisResult<()> {
        let (wanted, unwanted): (Vec<_>, Vec<_>) =
            self.topics.take_changed().into_iter().partition(|(_, wanted)| *wanted);
        let unwanted: Vec<Arc<str>> = unwanted.into_iter().filter_map(|(name, _)| self.active.take(&name)).collect();
        for batch in unwanted.chunks(BATCH) {
            self.connection.unsubscribe(self.channels(batch)).await?;
        }
        self.subscribe(wanted.into_iter().map(|(name, _)| name).collect()).await
    }

    async fn subscribe(&mut self, names: Vec<Arc<str>>) -> redis::RedisResult<()> {
        for batch in names.chunks(BATCH) {
            self.connection.subscribe(self.channels(batch)).await?;
            self.topics.heard(batch);
            self.has_heard = true;
        }
        self.active.extend(names);
        Ok(())
    }

    fn channels(&self, names: &[Arc<str>]) -> Vec<String> {
        names.iter().map(|name| format!("{}{name}", self.prefix)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_between_tries_grow_up_to_a_bound_which_is_longer_for_a_refusal() {
        let waits = |reason| -> Vec<u128> {
            let waits = std::iter::successors(Some(RETRY), move |wait| Some(longer(*wait, reason)));
            waits.take(9).map(|wait| wait.as_millis()).collect()
        };
        assert_eq!(waits(Reason::NobodyListens), [100, 200, 400, 800, 1000, 1000, 1000, 1000, 1000]);
        assert_eq!(waits(Reason::NoRight), [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(longer(RETRY_MAX.1, Reason::Broke), RETRY_MAX.0);
    }
}
