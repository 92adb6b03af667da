//! `parlor usage report`

use parlor_bench::fake::FakeUpstream;
use reqwest::Method;
use serde_json::{Value, json};

use super::{err, out, run};
use crate::kit::{rows, send, wait};
use crate::support::{Setup, TestServer};

fn report(server: &TestServer, arguments: &[&str]) -> String {
    let output = server.run(&[&["usage", "report"], arguments].concat());
    assert!(output.status.success(), "{}", err(&output));
    out(&output)
}

fn report_json(server: &TestServer, by: &str) -> Value {
    serde_json::from_str(&report(server, &["--by", by, "--format", "json"])).unwrap()
}

/// Streams, whole answers, cuts, failures, retries, missing counts, a stop and titles; two people.
async fn mixed_load(server: &TestServer, upstream: &FakeUpstream, tokens: &[String]) {
    for token in tokens {
        for model in ["3tok", "5tok", "9tok-cut4", "3tok-nousage", "err500", "cut0", "gpt-4o-mini", "7tok-nousage-cut5"]
        {
            for path in ["/api/v1/chat/send", "/api/v1/chat/stream"] {
                let body = json!({"message": format!("Hello {model}"), "model": model});
                // Failures answer 503; they are told apart below.
                send(server.post(path, &body).bearer_auth(token)).await;
            }
        }
    }
    wait::until("the titles are there", || upstream.open() == 0).await;
    let hanging = server.post("/api/v1/chat/stream", &json!({"message": "Hello", "model": "hang"}));
    let hanging = hanging.bearer_auth(&tokens[0]).send().await.unwrap();
    wait::until("the provider is asked", || upstream.open() == 1).await;
    let id = rows::text(server, "SELECT CAST(MAX(answer_message_id) AS TEXT) FROM turns");
    let stop = server.request(Method::POST, &format!("/api/v1/chat/messages/{id}/stop")).bearer_auth(&tokens[0]);
    send(stop).await.expect(200);
    drop(hanging);
}

/// What the answers themselves say that they cost, over all conversations of somebody's.
async fn told(server: &TestServer, token: &str) -> (i64, i64) {
    let mut sums = (0, 0);
    let page = send(server.get("/api/v1/conversations?limit=100").bearer_auth(token)).await.expect(200);
    for conversation in page["items"].as_array().unwrap() {
        let path = format!("/api/v1/conversations/{}/messages?limit=100", conversation["id"].as_str().unwrap());
        let messages = send(server.get(&path).bearer_auth(token)).await.expect(200);
        for usage in messages["items"].as_array().unwrap().iter().filter_map(|message| message["usage"].as_object()) {
            sums.0 += usage["prompt_tokens"].as_i64().unwrap();
            sums.1 += usage["completion_tokens"].as_i64().unwrap();
        }
    }
    sums
}

#[tokio::test]
async fn its_sum_is_that_of_the_answers_to_the_token() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new()
        .upstream(&upstream, "3tok")
        .env("CHAT__TITLES", "true")
        .env("PROVIDERS__MAX_RETRIES", "1")
        .env("PROVIDERS__BREAKER_FAILURES", "1000")
        .start();
    let tokens = [server.sign_up("a@example.com").await, server.sign_up("b@example.com").await];
    mixed_load(&server, &upstream, &tokens).await;

    let by_kind = report_json(&server, "account,kind");
    for (account, token) in (1..).zip(&tokens) {
        let is_theirs = |row: &&Value| row["account"] == account && row["kind"] == "chat";
        let chat = by_kind["rows"].as_array().unwrap().iter().find(is_theirs).unwrap().clone();
        let sum = |name: &str| chat[name].as_i64().unwrap();
        assert_eq!(told(&server, token).await, (sum("prompt_tokens"), sum("completion_tokens")), "{chat}");
    }
    let of_kind = |kind: &str| {
        let rows = by_kind["rows"].as_array().unwrap().iter().filter(|row| row["kind"] == kind);
        rows.map(|row| row["requests"].as_i64().unwrap()).sum::<i64>()
    };
    assert!(of_kind("title") > 0 && of_kind("retry") > 0, "{by_kind}");
    // However it is broken down, it is the same.
    for by in ["model", "provider,day", "api_key", "account,model,provider,kind,day,api_key"] {
        assert_eq!(report_json(&server, by)["totals"], by_kind["totals"], "{by}");
    }
    // One model has a price; what the others cost is not known, and not nought.
    let by_model = report_json(&server, "model");
    for row in by_model["rows"].as_array().unwrap() {
        let is_priced = row["model"] == "gpt-4o-mini";
        assert_eq!(row["cost_micros"].is_i64(), is_priced, "{row}");
        assert_eq!(row["unpriced_requests"] == 0, is_priced, "{row}");
    }
    let used: i64 = by_model["totals"]["total_tokens"].as_i64().unwrap();
    assert_eq!(used, server.count("SELECT SUM(prompt_tokens + completion_tokens) FROM usage_ledger"));
}

#[tokio::test]
async fn a_table_and_csv_say_the_same() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    send(server.post("/api/chat", &json!({"message": "Hello"})).bearer_auth(&token)).await.expect(200);
    let table = report(&server, &["--by", "model,kind"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..3], ["model", "kind", "requests"]);
    assert_eq!((lines[1][..3].to_vec(), lines[2][..2].to_vec()), (vec!["mock", "chat", "1"], vec!["all", "1"]));
    assert_eq!(lines[1].last(), Some(&"0.00"));
    let csv = report(&server, &["--by", "model,kind", "--format", "csv"]);
    let second: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(second, lines[1]);
    let past = report(&server, &["--from", "2001-01-01", "--to", "2001-01-31"]);
    assert_eq!(past.lines().count(), 2, "{past}");
    assert!(past.lines().nth(1).unwrap().trim().starts_with('0'), "{past}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let data = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (["--from", "yesterday", "--format", "csv"], 2),
        (["--by", "weather", "--format", "csv"], 2),
        (["--from", "2026-02-01", "--to", "2026-01-01"], 1),
    ] {
        let refused = run(&Setup::new(), data.path(), &[&["usage", "report"], arguments.as_slice()].concat());
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {}", err(&refused));
    }
}
