//! The load generator as a command: one run, one JSON object on standard output.

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use parlor_bench::clock::raise_open_files_limit;
use parlor_bench::load::{Held, Run, Tally, Target, Usage, Variables, calls, hold, set_up, streams};
use serde_json::{Value, json};

/// Measures a chat server over HTTP/1.1 on the loopback.
#[derive(Parser)]
struct Options {
    /// The target file: what to send.
    #[arg(long)]
    target: PathBuf,
    /// A placeholder's value, NAME=VALUE; may be repeated.
    #[arg(long = "var", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// Values that a placeholder takes in turn, NAME=VALUE,VALUE,…
    #[arg(long, value_parser = pair)]
    each: Option<(String, String)>,
    /// Requests that a connection sends at most.
    #[arg(long, default_value_t = usize::MAX)]
    limit: usize,
    /// The model to ask for: the placeholder `model`.
    #[arg(long, default_value = "mock-0ms-20tok")]
    model: String,
    /// The target's request to send; by default `call` or `stream`.
    #[arg(long)]
    request: Option<String>,
    /// The server's process, for its memory and processor time.
    #[arg(long)]
    pid: Option<u32>,
    /// Seconds one request may take.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Closed loop: each connection sends its next request when it has its answer.
    Calls(Loop),
    /// Each connection reads one stream after the other.
    Streams(Loop),
    /// Opens K streams, watches them, lets them go.
    Hold {
        /// How many.
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=20_000))]
        k: u32,
        /// Opened in a second.
        #[arg(long, default_value_t = 100.0)]
        ramp: f64,
        /// Seconds of watching after the last was opened.
        #[arg(long, default_value_t = 10.0)]
        secs: f64,
    },
}

#[derive(Parser)]
struct Loop {
    /// Connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    c: u32,
    /// Seconds in which requests are begun.
    #[arg(long, default_value_t = 4.0)]
    secs: f64,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(&options))?;
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

async fn measure(options: &Options) -> Result<Value, Box<dyn Error>> {
    let target = Target::parse(&std::fs::read_to_string(&options.target)?)?;
    let patience = Duration::from_secs(options.timeout);
    let mut variables: Variables = options.variables.iter().cloned().collect();
    variables.insert("model".to_owned(), options.model.clone());
    set_up(&target, &mut variables, patience).await?;
    let (mode, name, count, secs) = match &options.mode {
        Mode::Calls(l) => ("calls", "call", l.c, l.secs),
        Mode::Streams(l) => ("streams", "stream", l.c, l.secs),
        Mode::Hold { k, secs, .. } => ("hold", "stream", *k, *secs),
    };
    let name = options.request.as_deref().unwrap_or(name);
    let template = target.requests.get(name).ok_or_else(|| format!("the target has no request {name:?}"))?;
    let mut workers = Vec::new();
    for worker in 0..count {
        variables.insert("worker".to_owned(), worker.to_string());
        let mut requests = Vec::new();
        for value in options.each.as_ref().map_or("", |(_, values)| values).split(',') {
            if let Some((name, _)) = &options.each {
                variables.insert(name.clone(), value.to_owned());
            }
            requests.push(template.prepare(&variables)?);
        }
        workers.push(requests);
    }
    let expected_tokens = options.model.split('-').find_map(|part| part.strip_suffix("tok")?.parse().ok());
    let duration = Duration::from_secs_f64(secs.clamp(0.1, 600.0));
    let run = Run { workers, limit: options.limit, duration, patience, expected_tokens };
    let before = options.pid.and_then(Usage::of);
    let begun = Instant::now();
    let (tally, held) = match &options.mode {
        Mode::Calls(_) => (calls(run).await, None),
        Mode::Streams(_) => (streams(run).await, None),
        Mode::Hold { ramp, .. } => {
            let (tally, held) = hold(run, *ramp, options.pid).await;
            (tally, Some(held))
        }
    };
    let wall = begun.elapsed().as_secs_f64();
    let after = options.pid.and_then(Usage::of);
    let mut report = report(tally, held, wall, before, after);
    report["mode"] = mode.into();
    report["request"] = name.into();
    report["model"] = options.model.as_str().into();
    report["connections"] = count.into();
    Ok(report)
}

fn report(mut tally: Tally, held: Option<Held>, wall: f64, before: Option<Usage>, after: Option<Usage>) -> Value {
    let cpu = before.zip(after).map(|(a, b)| b.cpu_s - a.cpu_s);
    let each = |count: u64| cpu.filter(|_| count > 0).map(|s| s * 1e6 / count as f64);
    json!({
        "wall_s": wall,
        "ok": tally.ok,
        "errors": tally.error_count(),
        "error_kinds": tally.errors,
        "incomplete": tally.incomplete,
        "rps": tally.ok as f64 / wall,
        "tokens": tally.tokens,
        "tokens_per_s": tally.tokens as f64 / wall,
        "latency_ms": tally.latency.summary(),
        "ttft_ms": tally.ttft.summary(),
        "transit_ms": tally.transit.summary(),
        "server_before": before,
        "server_after": after,
        "server_cores": cpu.map(|s| s / wall),
        "cpu_us_per_request": each(tally.ok),
        "cpu_us_per_token": each(tally.tokens),
        "hold": held,
    })
}
