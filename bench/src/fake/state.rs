//! What the fake provider counts and keeps for whoever looks afterwards.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap};

const MAX_BODIES: usize = 256;
const MAX_BODY_BYTES: usize = 64 << 20;
const MAX_FLAKY_NAMES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct State {
    pub chat_calls: AtomicU64,
    pub streams: AtomicU64,
    pub embeddings: AtomicU64,
    pub moderations: AtomicU64,
    pub open: AtomicU64,
    pub peak_open: AtomicU64,
    pub aborted: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    bodies: VecDeque<Bytes>,
    bytes: usize,
    headers: HeaderMap,
    flaky: HashMap<String, u64>,
}

impl State {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a request's body as it came; it is parsed only when somebody asks, because benchmarks
    /// never do.
    pub fn remember(&self, headers: HeaderMap, body: Bytes) {
        let mut last = self.last();
        last.headers = headers;
        last.bytes += body.len();
        last.bodies.push_back(body);
        while last.bodies.len() > MAX_BODIES || last.bytes > MAX_BODY_BYTES {
            match last.bodies.pop_front() {
                Some(old) => last.bytes -= old.len(),
                None => break,
            }
        }
    }

    pub fn bodies(&self) -> Vec<Bytes> {
        self.last().bodies.iter().cloned().collect()
    }

    pub fn authorization(&self) -> Option<String> {
        self.header(AUTHORIZATION.as_str())
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let last = self.last();
        let value = last.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Counts one call for a flaky model; true while it is among the first `failures`.
    pub fn flaky_fails(&self, model: &str, failures: u64) -> bool {
        let mut last = self.last();
        if last.flaky.len() >= MAX_FLAKY_NAMES && !last.flaky.contains_key(model) {
            return false;
        }
        let calls = last.flaky.entry(model.to_owned()).or_default();
        *calls += 1;
        *calls <= failures
    }

    pub fn stats(&self) -> String {
        format!(
            "{{\"chat\":{},\"streams\":{},\"embeddings\":{},\"moderations\":{},\"open\":{},\"peak_open\":{},\"aborted\":{}}}",
            self.chat_calls.load(Relaxed),
            self.streams.load(Relaxed),
            self.embeddings.load(Relaxed),
            self.moderations.load(Relaxed),
            self.open.load(Relaxed),
            self.peak_open.load(Relaxed),
            self.aborted.load(Relaxed),
        )
    }
}

/// One chat call under way. Dropped before [`finish`](Self::finish), it was given up by the client.
#[derive(Debug)]
pub(super) struct Call {
    state: Arc<State>,
    finished: bool,
}

impl Call {
    pub fn begin(state: &Arc<State>) -> Self {
        state.chat_calls.fetch_add(1, Relaxed);
        let open = state.open.fetch_add(1, Relaxed) + 1;
        state.peak_open.fetch_max(open, Relaxed);
        Self { state: Arc::clone(state), finished: false }
    }

    pub fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.state.open.fetch_sub(1, Relaxed);
        if !self.finished {
            self.state.aborted.fetch_add(1, Relaxed);
        }
    }
}
