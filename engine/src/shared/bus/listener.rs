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

/// The first and the longest wait before another try to connect.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How often a quiet connection is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Topics that are subscribed to in one command.
const BATCH: usize = 500;

/// Listens to whatever somebody here has subscribed to, for good.
pub(super) async fn listen(link: Arc<Link>, topics: Arc<Topics>, prefix: String, origin: [u8; ORIGIN]) {
    let mut wait = RETRY.0;
    loop {
        let ended = Arc::new(Notify::new());
        let push = {
            let (ended, topics, prefix) = (Arc::clone(&ended), Arc::clone(&topics), prefix.clone());
            move |info: PushInfo| {
                hear(info, &ended, &topics, &prefix, origin);
                Ok::<(), Infallible>(())
            }
        };
        if let Some(connection) = link.listen(push).await {
            wait = RETRY.0;
            Listener { connection, topics: &topics, prefix: &prefix, active: HashSet::new() }.keep_up(&ended).await;
            topics.deaf();
            tracing::warn!("the connection that hears other replicas has ended; connecting anew");
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
    }
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
}

impl Listener<'_> {
    /// Follows the topics that come and go, until the connection ends.
    async fn keep_up(&mut self, ended: &Notify) {
        if self.subscribe(self.topics.all()).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                biased;
                () = ended.notified() => return,
                () = self.topics.changed.notified() => {
                    if self.change().await.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(PING_EVERY) => {
                    if ping(&mut self.connection).await.is_err() {
                        return;
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
        }
        self.active.extend(names);
        Ok(())
    }

    fn channels(&self, names: &[Arc<str>]) -> Vec<String> {
        names.iter().map(|name| format!("{}{name}", self.prefix)).collect()
    }
}
