//! The tables of faults in `docs/errors.md`: each way in which a provider can fail, told, stored, billed and asked for again as they say there.
//!
//! Run with `UPDATE_FAULT_TABLE=1`, this writes them anew.

use std::path::Path;

use futures_util::future::join_all;
use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use crate::kit::{rows, send};
use crate::support::{Setup, TestServer, events, text_of};

/// What goes wrong, and the name of the fake's model that does it.
const FAULTS: &[(&str, &str)] = &[
    ("429", "5tok-err429"),
    ("429 with `Retry-After` over 30 s", "5tok-err429-retryafter31"),
    ("500", "5tok-err500"),
    ("silence before the response's head", "5tok-hang"),
    ("silence after the head", "5tok-stall0"),
    ("silence after 3 words", "5tok-stall3"),
    ("a byte every 3 seconds", "5tok-drip3000"),
    ("a reset before the first word", "5tok-cut0"),
    ("a reset after 3 words", "5tok-cut3"),
    ("an error object after 3 words, or alone", "5tok-errobj3"),
    ("half a JSON text in place of word 4, or of all", "5tok-badjson4"),
    ("a web page in place of JSON", "5tok-html"),
    ("bytes that are no UTF-8, in pieces, in word 4", "5tok-badutf84"),
    ("no finish and no `[DONE]`", "5tok-nodone"),
    ("a line of 50 MB", "5tok-hugeline"),
    ("a model that it does not have", "5tok-err404"),
];

const CHATS: (&str, &str) = ("<!-- faults -->\n", "<!-- /faults -->\n");
const GATEWAY: (&str, &str) = ("<!-- gateway faults -->\n", "<!-- /gateway faults -->\n");
const SURFACES: [(&str, &str, &str); 2] =
    [("native", "/api/v1/chat/send", "/api/v1/chat/stream"), ("advanced", "/api/chat", "/api/chat/stream")];

/// What came of a call: all that is known of it but what its client was told.
#[derive(Debug, PartialEq)]
struct Trace {
    stored: String,
    billed: String,
    asked: u64,
}

struct Bench {
    upstream: FakeUpstream,
    server: TestServer,
    token: String,
}

impl Bench {
    async fn new(model: &str) -> Self {
        let upstream = FakeUpstream::start().await;
        let setup = Setup::new()
            .upstream(&upstream, model)
            .env("PROVIDERS__MAX_RETRIES", "1")
            .env("PROVIDERS__BREAKER_FAILURES", "1000");
        // Short limits where they are what is waited for; elsewhere a slow machine must not reach them.
        let is_slow = ["hang", "stall", "drip"].iter().any(|word| model.contains(word));
        let limits = ["FIRST_TOKEN", "WHOLE", "IDLE"].map(|limit| format!("PROVIDERS__{limit}_TIMEOUT_SECONDS"));
        let setup = limits.iter().filter(|_| is_slow).fold(setup, |setup, name| setup.env(name, "1"));
        let server = setup.start();
        let token = server.sign_up("user@example.com").await;
        Self { upstream, server, token }
    }

    /// Calls, and gives what the client got with the trace that it left.
    async fn call(&self, path: &str) -> (String, String, Trace) {
        let bills = self.server.count("SELECT COUNT(*) FROM usage_ledger");
        let calls = self.upstream.chat_calls();
        let answer = send(self.server.post(path, &json!({"message": "Hello"})).bearer_auth(&self.token)).await;
        let (told, said) = if path.ends_with("stream") {
            let events = events(&answer.body);
            let last = events.last().unwrap();
            let word = if last.name == "error" { &last.data["code"] } else { &last.data["finish_reason"] };
            (format!("`{}`: {}", last.name, word.as_str().unwrap()), text_of(&events))
        } else {
            let body: Value = answer.json();
            let said = body["response"].as_str().or_else(|| body["reply"].as_str()).unwrap_or_default().to_owned();
            (answer.status.as_u16().to_string(), said)
        };
        tells_no_secrets(&answer.body);
        (told, said, self.trace(bills, self.upstream.chat_calls() - calls))
    }

    /// Calls `/v1`, and gives what the client got, what was billed, and how often the provider was asked.
    async fn forward(&self, model: &str, stream: bool) -> (String, String, u64) {
        let bills = self.server.count("SELECT COUNT(*) FROM usage_ledger");
        let calls = self.upstream.chat_calls();
        let body = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]});
        let answer = send(self.server.post("/v1/chat/completions", &body).bearer_auth(&self.token)).await;
        tells_no_secrets(&answer.body);
        let told = if answer.status == 200 && stream {
            end_of_stream(&answer.body)
        } else if answer.status == 200 {
            let choice = &answer.json()["choices"][0];
            let words = choice["message"]["content"].as_str().unwrap().split_whitespace().count();
            format!("200 with {words} words, `finish_reason` {}", choice["finish_reason"])
        } else {
            format!("{}: {}", answer.status.as_u16(), code_of(&answer.json()["error"]))
        };
        (told, self.billed(bills), self.upstream.chat_calls() - calls)
    }

    /// What the ledger's lines after the first `bills` are for.
    fn billed(&self, bills: i64) -> String {
        let database = self.server.database();
        let sql = "SELECT completion_tokens > 0 FROM usage_ledger ORDER BY id LIMIT -1 OFFSET ?1";
        let mut statement = database.prepare(sql).unwrap();
        let billed: Vec<bool> = statement.query_map([bills], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let words: Vec<&str> = billed.iter().map(|said| if *said { "read and said" } else { "read" }).collect();
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }

    fn trace(&self, bills: i64, asked: u64) -> Trace {
        let last = "FROM turns ORDER BY id DESC LIMIT 1";
        let stored = rows::text(&self.server, &format!("SELECT state || COALESCE(', ' || error_code, '') {last}"));
        let finish = rows::text(&self.server, &format!("SELECT finish_reason {last}"));
        assert_eq!(finish == "stop", stored == "complete", "{stored}: {finish}");
        Trace { stored, billed: self.billed(bills), asked }
    }

    fn stored_answer(&self) -> String {
        rows::text(&self.server, "SELECT content FROM messages WHERE role = 'assistant' ORDER BY id DESC LIMIT 1")
    }
}

/// A server for each fault, one after the other: to start one holds up this thread, and whatever waits on it for an answer.
async fn benches() -> Vec<Bench> {
    let mut benches = Vec::new();
    for (_, model) in FAULTS {
        benches.push(Bench::new(model).await);
    }
    benches
}

fn tells_no_secrets(body: &str) {
    for secret in ["sk-test", "127.0.0.1", "Rate limit reached", "Welcome to the proxy"] {
        assert!(!body.contains(secret), "{secret} in {body}");
    }
}

/// The code of an error, which has OpenAI's shape.
fn code_of(error: &Value) -> String {
    let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "message", "param", "type"], "{error}");
    assert!(error["message"].is_string() && error["type"].is_string());
    error["code"].as_str().unwrap_or("no code").to_owned()
}

/// What a stream of chunks said, and how it ended. Events that are no JSON are the client's to judge.
fn end_of_stream(body: &str) -> String {
    let data: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let events: Vec<Value> = data.iter().map(|data| serde_json::from_str(data).unwrap_or_default()).collect();
    let said: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    let finished = events.iter().any(|event| event["choices"][0]["finish_reason"].is_string());
    let end = match (data.last().unwrap(), events.last().unwrap()) {
        (&"[DONE]", _) => {
            assert!(finished, "a stream without its finish is none that is done: {body}");
            "`[DONE]`".to_owned()
        }
        (_, error) => format!("`error`: {}", code_of(&error["error"])),
    };
    let unread = events.iter().filter(|event| event.is_null()).count() - usize::from(end == "`[DONE]`");
    let unread = if unread == 0 { String::new() } else { format!(" and {unread} event as it came") };
    match said.split_whitespace().count() {
        0 => end,
        words => format!("{words} words{unread}, then {end}"),
    }
}

/// The two rows of a fault in the gateway's table.
async fn gateway_rows_of(fault: &str, model: &str, bench: &Bench) -> String {
    let mut rows = String::new();
    for (how, stream) in [("whole", false), ("streamed", true)] {
        let (told, billed, asked) = bench.forward(model, stream).await;
        rows.push_str(&format!("| {fault} | {how} | {told} | {billed} | {asked} |\n"));
    }
    assert_eq!(bench.server.count("SELECT COUNT(*) FROM messages"), 0, "nothing of it is stored");
    rows
}

/// The table's two rows for a fault.
async fn rows_of(fault: &str, bench: &Bench) -> String {
    let (mut statuses, mut whole, mut streamed) = (Vec::new(), Vec::new(), Vec::new());
    for (surface, send, stream) in SURFACES {
        let (status, said, trace) = bench.call(send).await;
        let words = said.split_whitespace().count();
        let what = if words == 0 { String::new() } else { format!(" with {words} words") };
        statuses.push(format!("{status}{what} in {surface}"));
        whole.push(trace);
        let (told, said, trace) = bench.call(stream).await;
        assert_eq!(bench.stored_answer(), said, "{fault}");
        streamed.push((told, said, trace));
    }
    assert!(whole.iter().all(|trace| *trace == whole[0]), "{fault}: {whole:?}");
    assert!(streamed.iter().all(|row| *row == streamed[0]), "{fault}: {streamed:?}");
    let row = |how: &str, told: &str, Trace { stored, billed, asked }: &Trace| {
        format!("| {fault} | {how} | {told} | {stored} | {billed} | {asked} |\n")
    };
    let (told, said, trace) = &streamed[0];
    let words = said.split_whitespace().count();
    let told = if words == 0 { told.clone() } else { format!("{words} words, then {told}") };
    row("whole", &statuses.join(", "), &whole[0]) + &row("streamed", &told, trace)
}

#[tokio::test]
async fn what_a_failing_provider_leads_to_is_what_the_table_says() {
    let benches = benches().await;
    let rows = FAULTS.iter().zip(&benches).map(|((fault, _), bench)| rows_of(fault, bench));
    let rows = join_all(rows).await.concat();
    let table = format!(
        "| the provider sends | asked | its client is told | stored | billed | calls |\n|---|---|---|---|---|---|\n{rows}"
    );
    is_documented(CHATS, &table);
}

#[tokio::test]
async fn what_a_failing_provider_leads_to_under_v1_is_what_the_table_says() {
    let benches = benches().await;
    let rows = FAULTS.iter().zip(&benches).map(|((fault, model), bench)| gateway_rows_of(fault, model, bench));
    let rows = join_all(rows).await.concat();
    let table =
        format!("| the provider sends | asked | its client is told | billed | calls |\n|---|---|---|---|---|\n{rows}");
    is_documented(GATEWAY, &table);
}

/// Whether the page has that table between these marks.
fn is_documented((begin, end): (&str, &str), table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(begin).expect("the table's place");
    let (documented, after) = rest.split_once(end).expect("the table's end");
    if std::env::var_os("UPDATE_FAULT_TABLE").is_some() {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(documented, table, "docs/errors.md: run this test with UPDATE_FAULT_TABLE=1, and read what changed");
    }
}
