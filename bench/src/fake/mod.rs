//! A fake OpenAI-compatible provider: the real protocol over real sockets, with behaviour chosen by
//! the name of the model that is asked for. For tests and benchmarks.
//!
//! It speaks OpenAI's chat completions (`POST /v1/chat/completions`) and responses (`/v1/responses`), Anthropic's messages
//! (`/v1/messages`) and Gemini's own API (`/v1beta/models/MODEL:generateContent`, `…:streamGenerateContent`); besides it
//! serves `POST /v1/embeddings`, `/v1/moderations` (flags what contains
//! `[flag]`; fails, hangs or answers a web page as its model's name says), `GET /v1/models[/{id}]`, `/stats` and `/health`. Parts of a model's name, divided by
//! `-`, `/`, `:` or `_`, in any order:
//!
//! | part | what it does |
//! |---|---|
//! | `<D>ms` | D milliseconds before each content chunk but the first (0) |
//! | `<N>tok` | N content chunks, `word1 word2 …` (20) |
//! | `<T>ttft` | T milliseconds before the response's head |
//! | `ts` | each chunk's content is `@<CLOCK_MONOTONIC in ns>@ ` at the moment of sending |
//! | `full` | answers to `tools`, `response_format`, `n` and `logprobs` as OpenAI does, with fields that nobody knows |
//! | `echo` | answers with the last user message, a word a chunk; usage counts words |
//! | `utf8` | content of multi-byte characters, written in pieces that end inside them |
//! | `length` | `finish_reason` is `length` |
//! | `filtered` | the answer ends because of what it says (not in chat completions) |
//! | `blocked` | the prompt is refused for what it says (Gemini) |
//! | `tool` | calls the first tool with `{"city":"Ulm"}`, until it has a result (not in chat completions) |
//! | `cached` | a third of the prompt's tokens came from the cache (not in chat completions) |
//! | `drip<D>` | a byte at a time, D milliseconds apart |
//! | `badutf8<K>` | content chunk K (from 1) is not UTF-8, and comes in pieces |
//! | `nousage` | no usage, asked for or not |
//! | `err429`, `err500`, `err401`, … | that status with an error object |
//! | `retryafter<S>` | with an error: the header `Retry-After: S` |
//! | `flaky<K>` | the first K calls for this very name answer 500 |
//! | `hang` | nothing is ever answered |
//! | `html` | 200 with a web page |
//! | `cut<K>` | the connection is reset after K content chunks |
//! | `stall<K>` | silence after K content chunks |
//! | `badjson<K>` | content chunk K (from 1) is half a JSON text |
//! | `errobj<K>` | after K content chunks an error object inside the 200 stream, then the end |
//! | `nodone` | the end comes without `finish_reason` and `[DONE]` |
//! | `hugeline` | one line of 50 MB without an end |
//!
//! A key that ends in `refused` is not taken.
//!
//! Without `stream` the same faults hit the one JSON body: half of it comes before a cut or a stall
//! or instead of the whole (`badjson`), the error object comes alone, `nodone` leaves
//! `finish_reason` null.

mod answers;
mod behaviour;
mod body;
mod embedding;
mod full;
mod protocols;
pub mod smtp;
mod state;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};

use state::State;
use wire::Wire;

const BACKLOG: u32 = 4096;
const MAX_CONNECTIONS: usize = 20_000;

/// A running fake provider. It is a task of the runtime that started it; dropping it closes its
/// socket and every connection.
#[derive(Debug)]
pub struct FakeUpstream {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl FakeUpstream {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When the loopback has no free port.
    #[expect(clippy::expect_used, reason = "a test without its provider cannot go on")]
    pub async fn start() -> Self {
        Self::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port on 127.0.0.1")
    }

    /// Starts on `address`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { address, state, server })
    }

    /// `http://127.0.0.1:PORT/v1`, as OpenAI clients want it.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// `http://127.0.0.1:PORT/v1beta`, as Gemini's clients want it.
    #[must_use]
    pub fn gemini_base_url(&self) -> String {
        format!("http://{}/v1beta", self.address)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Chat completion calls begun so far, of every outcome.
    #[must_use]
    pub fn chat_calls(&self) -> u64 {
        self.state.chat_calls.load(Relaxed)
    }

    /// Streams begun so far.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.state.streams.load(Relaxed)
    }

    /// Embedding calls so far.
    #[must_use]
    pub fn embedding_calls(&self) -> u64 {
        self.state.embeddings.load(Relaxed)
    }

    /// Moderation calls so far.
    #[must_use]
    pub fn moderation_calls(&self) -> u64 {
        self.state.moderations.load(Relaxed)
    }

    /// Chat calls under way now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.state.open.load(Relaxed)
    }

    /// Chat calls whose client went away before the end.
    #[must_use]
    pub fn aborted(&self) -> u64 {
        self.state.aborted.load(Relaxed)
    }

    /// The last bodies received by POST, oldest first, at most 256 (and 64 MB); what was not JSON
    /// is null.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        let bodies = self.state.bodies();
        bodies.iter().map(|body| serde_json::from_slice(body).unwrap_or_default()).collect()
    }

    /// The last body received by POST, byte for byte.
    #[must_use]
    pub fn last_body(&self) -> Option<bytes::Bytes> {
        self.state.bodies().pop()
    }

    /// The `Authorization` header of the last POST.
    #[must_use]
    pub fn last_authorization(&self) -> Option<String> {
        self.state.authorization()
    }

    /// A header of the last POST.
    #[must_use]
    pub fn last_header(&self, name: &str) -> Option<String> {
        self.state.header(name)
    }

    /// Serves until the task ends, which it does only when dropped or aborted.
    pub async fn run(mut self) {
        let _ = (&mut self.server).await;
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    // Dropped with this task, the set takes every connection along.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors, most likely: let some connections end.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let _ = socket.set_nodelay(true);
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let reset = Arc::new(AtomicBool::new(false));
            let wire = Wire::new(socket, Arc::clone(&reset));
            let service = service_fn(move |request| answers::answer(Arc::clone(&state), Arc::clone(&reset), request));
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(wire), service);
            // How a connection ends is its client's business.
            let _ = connection.await;
        });
    }
}
