//! Windows that all replicas count in.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::Script;

use super::memory::Memory;
use super::window::Window;
use super::{Counted, Limit, Refused, Subject};
use crate::domain::{Clock, Timestamp};
use crate::shared::link::Link;
use crate::shared::pseudonyms::Pseudonyms;

static COUNT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("count.lua")));
static UNCOUNT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("uncount.lua")));
static CLEAR: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("clear.lua")));

/// Counters of all replicas. What they say is remembered here, and counted on from while Redis is away.
#[derive(Debug)]
pub(super) struct Redis {
    link: Arc<Link>,
    names: Pseudonyms,
    memory: Memory,
}

impl Redis {
    pub(super) fn new(link: Arc<Link>, names: Pseudonyms) -> Self {
        Self { link, names, memory: Memory::default() }
    }

    /// Counts one event of each, or of none. What is full by what Redis said last is refused without asking it, where `trusts_memory` says so.
    pub(super) async fn count(
        &self,
        limits: &[Limit<'_>],
        clock: &Clock,
        trusts_memory: bool,
    ) -> Result<Vec<Counted>, Refused> {
        let now = clock.now();
        if trusts_memory {
            self.memory.check(limits, now)?;
        }
        match self.ask(limits, clock).await {
            Some(answer) => self.read(&answer, limits, now),
            None => self.memory.count(limits, now),
        }
    }

    async fn ask(&self, limits: &[Limit<'_>], clock: &Clock) -> Option<Vec<i64>> {
        if self.link.is_down() {
            return None;
        }
        let mut call = COUNT.prepare_invoke();
        call.arg(moment(clock));
        for limit in limits {
            call.key(self.name(&limit.subject)?).arg(limit.limit).arg(micros(limit.window));
            match self.memory.seen(&limit.subject) {
                Some(seen) => {
                    let Window { began, before, count, .. } = seen.window;
                    call.arg(began.micros()).arg(before).arg(count).arg(i32::from(seen.is_ahead))
                }
                None => call.arg(-1).arg(0).arg(0).arg(0),
            };
        }
        self.link.ask("count", |mut manager| async move { call.invoke_async(&mut manager).await }).await
    }

    /// Reads what `count.lua` returns.
    fn read(&self, answer: &[i64], limits: &[Limit<'_>], now: Timestamp) -> Result<Vec<Counted>, Refused> {
        let [is_counted, full, wait, windows @ ..] = answer else { return self.memory.count(limits, now) };
        let mut counted = Vec::with_capacity(limits.len());
        for (limit, known) in limits.iter().zip(windows.chunks_exact(3)) {
            let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
            let window = Window {
                began: Timestamp::from_micros(known[0]),
                length: limit.window,
                before: number(known[1]),
                count: number(known[2]),
            };
            self.memory.note(&limit.subject, window, now);
            counted.push(Counted::of(&window, limit, now.since(window.began)));
        }
        if *is_counted == 1 {
            return Ok(counted);
        }
        let index = usize::try_from(*full - 1).unwrap_or_default();
        Err(Refused { index, retry_after: Duration::from_micros(u64::try_from(*wait).unwrap_or_default()) })
    }

    pub(super) async fn uncount(&self, subject: &Subject<'_>) {
        self.memory.uncount(subject);
        if let Some(name) = self.name(subject) {
            let call = UNCOUNT.key(name);
            self.link.ask("count", |mut manager| async move { call.invoke_async::<()>(&mut manager).await }).await;
        }
    }

    pub(super) async fn clear(&self, subject: &Subject<'_>, window: Duration, clock: &Clock) {
        self.memory.clear(subject);
        if let Some(name) = self.name(subject) {
            let mut call = CLEAR.key(name);
            call.arg(moment(clock)).arg(micros(window));
            self.link.ask("count", |mut manager| async move { call.invoke_async::<()>(&mut manager).await }).await;
        }
    }

    fn name(&self, subject: &Subject<'_>) -> Option<String> {
        self.names.name("count", &[subject.policy, subject.key])
    }
}

/// The present moment as the scripts want it: Redis' own, so that replicas whose clocks differ share one window; a test's.
fn moment(clock: &Clock) -> i64 {
    match clock {
        Clock::System => -1,
        Clock::Manual(_) => clock.now().micros(),
    }
}

fn micros(window: Duration) -> u64 {
    u64::try_from(window.as_micros()).unwrap_or(u64::MAX)
}
