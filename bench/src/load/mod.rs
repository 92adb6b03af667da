//! The load generator: closed-loop calls, streams, and streams held open.
//!
//! Tokens are recognised by the fake provider's stamps (a model whose name has the part `ts`), so
//! time to first token and each token's transit need no knowledge of a server's framing.

mod connection;
mod process;
mod stamps;
mod tally;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::monotonic_ns;
use connection::Connection;
pub use process::Usage;
use stamps::{Marker, Stamps};
pub use tally::{Samples, Summary, Tally};
pub use target::{Prepared, Target, Template, Variables};

const MAX_ANSWER_BYTES: usize = 64 << 20;
/// A held stream counts as open when it brought a token within this time before the end.
const LIVELY_NS: u64 = 4_000_000_000;
/// A worker gives up after so many failures, lest it spin against a dead server.
const MAX_WORKER_ERRORS: u64 = 50;

/// Why a run or a request of it failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target file says nothing that could be sent.
    #[error("target: {0}")]
    Target(String),
    /// A setup request was refused.
    #[error("setup: {0}")]
    Setup(String),
    /// A stream was refused.
    #[error("answered {0}: {1}")]
    Refused(u16, String),
    /// A connection failed.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// HTTP went wrong.
    #[error("http: {0}")]
    Http(#[from] hyper::Error),
    /// The body went wrong, or was too long.
    #[error("body: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// No end within the time allowed.
    #[error("timed out")]
    Timeout,
}

/// One run's requests and bounds.
#[derive(Debug, Clone)]
pub struct Run {
    /// What each worker sends, one after the other and again from the first.
    pub workers: Vec<Vec<Prepared>>,
    /// Requests that a worker sends at most.
    pub limit: usize,
    /// How long new requests are begun.
    pub duration: Duration,
    /// How long one may take.
    pub patience: Duration,
    /// Tokens that make a stream complete, when known.
    pub expected_tokens: Option<u64>,
}

/// Runs the target's setup requests; what they extract is added to the variables.
///
/// # Errors
/// When one is refused or lacks what is to be extracted.
pub async fn set_up(target: &Target, variables: &mut Variables, patience: Duration) -> Result<(), LoadError> {
    for template in &target.setup {
        let request = template.prepare(variables)?;
        let until = Instant::now() + patience;
        let (status, body) = call(&mut Connection::default(), &request, until).await?;
        let refusal = |why: &str| LoadError::Setup(format!("{} answered {status}: {why}", template.url));
        if !request.accepts(status) {
            return Err(refusal(&String::from_utf8_lossy(&body)));
        }
        for (name, pointer) in &template.extract {
            let answer: Value = serde_json::from_slice(&body).map_err(|e| refusal(&e.to_string()))?;
            let value = answer.pointer(pointer).ok_or_else(|| refusal(pointer))?;
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            variables.insert(name.clone(), value);
        }
    }
    Ok(())
}

/// Closed loop: every worker sends its next request when it has the last one's answer.
pub async fn calls(run: Run) -> Tally {
    let until = Instant::now() + run.duration;
    let patience = run.patience;
    let limit = run.limit;
    gather(run.workers, move |requests, _| async move {
        let (mut connection, mut tally) = (Connection::default(), Tally::default());
        for request in requests.iter().cycle().take(limit) {
            if Instant::now() >= until || tally.error_count() >= MAX_WORKER_ERRORS {
                break;
            }
            let begun = monotonic_ns();
            match call(&mut connection, request, Instant::now() + patience).await {
                Ok((status, _)) if request.accepts(status) => {
                    tally.ok += 1;
                    tally.latency.add(monotonic_ns() - begun);
                }
                Ok((status, body)) => tally.error(&format!("{status} {}", String::from_utf8_lossy(&body))),
                Err(error) => {
                    connection.close();
                    tally.error(&error.to_string());
                }
            }
        }
        tally
    })
    .await
}

/// Every worker reads one stream after the other to its end.
pub async fn streams(run: Run) -> Tally {
    let until = Instant::now() + run.duration;
    let (patience, expected, limit) = (run.patience, run.expected_tokens, run.limit);
    let live = Arc::new(AtomicU64::new(0));
    gather(run.workers, move |requests, _| {
        let live = Arc::clone(&live);
        async move {
            let (mut connection, mut tally) = (Connection::default(), Tally::default());
            for request in requests.iter().cycle().take(limit) {
                if Instant::now() >= until || tally.error_count() >= MAX_WORKER_ERRORS {
                    break;
                }
                let patience = Instant::now() + patience;
                let mut seen = Seen::default();
                let outcome = stream(&mut connection, request, patience, &mut tally, &mut seen, &live).await;
                match outcome {
                    Ok(()) if seen.tokens == 0 => tally.error("a stream without a token"),
                    Ok(()) => {
                        tally.ok += 1;
                        let all = expected.is_none_or(|n| n == seen.tokens);
                        tally.incomplete += u64::from(!(all && seen.done));
                    }
                    Err(error) => {
                        connection.close();
                        tally.error(&error.to_string());
                    }
                }
            }
            tally
        }
    })
    .await
}

/// What a hold has seen between its settling and its end.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Held {
    /// Streams that brought a token in the last part of the watch.
    pub open: u64,
    /// Tokens of all streams in a second.
    pub tokens_per_s: f64,
    /// The server before the first stream.
    pub before: Option<Usage>,
    /// The server with all streams open, at the end of the watch.
    pub after: Option<Usage>,
    /// Most resident memory seen, in MiB.
    pub rss_mib_peak: f64,
    /// Processor microseconds for one token, over the watch.
    pub cpu_us_per_token: Option<f64>,
}

/// Opens one stream per worker, `ramp` of them a second, watches them for the run's duration, and
/// lets them go.
pub async fn hold(run: Run, ramp: f64, pid: Option<u32>) -> (Tally, Held) {
    let usage = || pid.and_then(Usage::of);
    let begun = Instant::now();
    let opening = Duration::from_secs_f64(run.workers.len() as f64 / ramp.max(1.0));
    let until = begun + opening + run.duration;
    let live = Arc::new(AtomicU64::new(0));
    let before = usage();
    let counter = Arc::clone(&live);
    let workers = tokio::spawn(gather(run.workers, move |requests, number| {
        let live = Arc::clone(&counter);
        async move {
            let mut tally = Tally::default();
            sleep_until(begun + Duration::from_secs_f64(number as f64 / ramp.max(1.0))).await;
            let (mut connection, mut seen) = (Connection::default(), Seen::default());
            let Some(request) = requests.first() else { return tally };
            match stream(&mut connection, request, until, &mut tally, &mut seen, &live).await {
                Err(LoadError::Timeout) if monotonic_ns() - seen.last < LIVELY_NS => tally.ok += 1,
                Err(LoadError::Timeout) => tally.error("a stream fell silent while held"),
                Ok(()) => tally.error("a stream ended while held"),
                Err(error) => tally.error(&error.to_string()),
            }
            tally
        }
    }));
    // The first fifth of the watch is for settling.
    sleep_until(begun + opening + run.duration.mul_f64(0.2)).await;
    let (settled, tokens, from) = (usage(), live.load(Relaxed), Instant::now());
    let end = until - run.duration.mul_f64(0.1).min(Duration::from_millis(500));
    let mut peak = 0.0_f64;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(200)).await;
        peak = peak.max(usage().map_or(0.0, |u| u.rss_mib));
    }
    let after = usage();
    let tokens = live.load(Relaxed).saturating_sub(tokens);
    let seconds = from.elapsed().as_secs_f64();
    let tally = workers.await.unwrap_or_default();
    let held = Held {
        open: tally.ok,
        tokens_per_s: tokens as f64 / seconds,
        before,
        after,
        rss_mib_peak: peak,
        cpu_us_per_token: settled
            .zip(after)
            .filter(|_| tokens > 0)
            .map(|(a, b)| (b.cpu_s - a.cpu_s) * 1e6 / tokens as f64),
    };
    (tally, held)
}

async fn gather<F, W>(requests: Vec<Vec<Prepared>>, worker: F) -> Tally
where
    F: Fn(Vec<Prepared>, usize) -> W,
    W: Future<Output = Tally> + Send + 'static,
{
    let mut workers = JoinSet::new();
    for (number, requests) in requests.into_iter().enumerate() {
        workers.spawn(worker(requests, number));
    }
    let mut all = Tally::default();
    while let Some(tally) = workers.join_next().await {
        match tally {
            Ok(tally) => all.merge(tally),
            Err(error) => all.error(&error.to_string()),
        }
    }
    all
}

async fn call(
    connection: &mut Connection,
    request: &Prepared,
    until: Instant,
) -> Result<(u16, bytes::Bytes), LoadError> {
    let whole = async {
        let response = connection.send(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(LoadError::Body)?.to_bytes()))
    };
    timeout_at(until, whole).await.map_err(|_| LoadError::Timeout)?
}

#[derive(Debug, Default)]
struct Seen {
    tokens: u64,
    /// When the last token came, in nanoseconds.
    last: u64,
    done: bool,
}

async fn stream(
    connection: &mut Connection,
    request: &Prepared,
    until: Instant,
    tally: &mut Tally,
    seen: &mut Seen,
    live: &AtomicU64,
) -> Result<(), LoadError> {
    let begun = monotonic_ns();
    let response = connection.send(request);
    let response = timeout_at(until, response).await.map_err(|_| LoadError::Timeout)??;
    let status = response.status().as_u16();
    let mut body: Incoming = response.into_body();
    if !request.accepts(status) {
        let text = timeout_at(until, Limited::new(body, MAX_ANSWER_BYTES).collect()).await;
        let text = text.map_err(|_| LoadError::Timeout)?.map_err(LoadError::Body)?;
        let text = String::from_utf8_lossy(&text.to_bytes()).into_owned();
        return Err(LoadError::Refused(status, text));
    }
    let (mut stamps, mut marker) = (Stamps::default(), Marker::default());
    loop {
        let frame = match timeout_at(until, body.frame()).await {
            Ok(Some(frame)) => frame?,
            Ok(None) => break,
            Err(_) => return Err(LoadError::Timeout),
        };
        let Some(bytes) = frame.data_ref() else { continue };
        let now = monotonic_ns();
        stamps.feed(bytes, |sent| {
            // An older stamp is history that the server repeats.
            if sent < begun || sent > now {
                return;
            }
            if seen.tokens == 0 {
                tally.ttft.add(now - begun);
            }
            tally.transit.add(now - sent);
            seen.tokens += 1;
            seen.last = now;
            tally.tokens += 1;
            live.fetch_add(1, Relaxed);
        });
        match &request.done {
            Some(mark) => marker.feed(bytes, mark),
            None => seen.done = true,
        }
    }
    seen.done |= marker.seen();
    tally.latency.add(monotonic_ns() - begun);
    Ok(())
}
