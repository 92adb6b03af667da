//! The table of faults in `docs/errors.md`: each way in which a provider can fail, told, stored, billed and asked for again as it says there.
//!
//! Run with `UPDATE_FAULT_TABLE=1`, this writes the table anew.

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
    ("a byte a second", "5tok-drip1000"),
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

const BEGIN: &str = "<!-- faults -->\n";
const END: &str = "<!-- /faults -->\n";
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
        for secret in ["sk-test", "127.0.0.1", "Rate limit reached", "Welcome to the proxy"] {
            assert!(!answer.body.contains(secret), "{secret} in {}", answer.body);
        }
        (told, said, self.trace(bills, self.upstream.chat_calls() - calls))
    }

    fn trace(&self, bills: i64, asked: u64) -> Trace {
        let last = "FROM turns ORDER BY id DESC LIMIT 1";
        let stored = rows::text(&self.server, &format!("SELECT state || COALESCE(', ' || error_code, '') {last}"));
        let finish = rows::text(&self.server, &format!("SELECT finish_reason {last}"));
        assert_eq!(finish == "stop", stored == "complete", "{stored}: {finish}");
        let database = self.server.database();
        let sql = "SELECT completion_tokens > 0 FROM usage_ledger ORDER BY id LIMIT -1 OFFSET ?1";
        let mut statement = database.prepare(sql).unwrap();
        let billed: Vec<bool> = statement.query_map([bills], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let words: Vec<&str> = billed.iter().map(|said| if *said { "read and said" } else { "read" }).collect();
        let billed = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
        Trace { stored, billed, asked }
    }

    fn stored_answer(&self) -> String {
        rows::text(&self.server, "SELECT content FROM messages WHERE role = 'assistant' ORDER BY id DESC LIMIT 1")
    }
}

/// The table's two rows for a fault.
async fn rows_of(fault: &str, model: &str) -> String {
    let bench = Bench::new(model).await;
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
    let rows = join_all(FAULTS.iter().map(|(fault, model)| rows_of(fault, model))).await.concat();
    let table = format!(
        "| the provider sends | asked | its client is told | stored | billed | calls |\n|---|---|---|---|---|---|\n{rows}"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the table's place");
    let (documented, after) = rest.split_once(END).expect("the table's end");
    if std::env::var_os("UPDATE_FAULT_TABLE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(documented, table, "docs/errors.md: run this test with UPDATE_FAULT_TABLE=1, and read what changed");
    }
}
