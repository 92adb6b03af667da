//! `docs/api-examples.md`: its commands are run as they stand, one after the other, and its answers are those that came.

mod answers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::kit::send;
use crate::support::{PASSWORD, Setup, TestServer};

const ADDRESS: &str = "http://127.0.0.1:8000";
/// Writes down of each call how it went.
const CURL: &str = r#"
curl() {
  command curl --write-out '%{stderr}%{http_code} %{method} %{url_effective} %{content_type}\n' "$@" 2>"$CALLS/$BLOCK.call" |
    tee "$CALLS/$BLOCK.body"
}
"#;
const ADVICE: &str = "write its command into docs/api-examples.md, as the others stand there, without the answer; then \
                      `UPDATE_EXAMPLES=1 cargo nextest run -p parlor --test api documents::examples` puts the answers in";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api-examples.md")
}

/// A part of the page: text as it is, or a command that calls the server.
enum Part {
    Text(String),
    Command(String),
}

/// Takes the page apart; the answers that stand in it are left out.
fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if line != "```bash" {
            parts.push(Part::Text(format!("{line}\n")));
            continue;
        }
        let command: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        let is_call = command.lines().any(|line| line.starts_with("curl "));
        parts.push(Part::Command(command));
        if !is_call {
            continue;
        }
        // The answer: a blank line, the status, and perhaps a blank line and a fence.
        let mut ahead = lines.clone();
        let is_status = |line: Option<&str>| {
            line.is_some_and(|line| line.starts_with('`') && line[1..].starts_with(|c: char| c.is_ascii_digit()))
        };
        if ahead.next() == Some("") && is_status(ahead.next()) {
            let has_body = ahead.clone().nth(1).is_some_and(|line| line.starts_with("```") && line != "```bash");
            lines = ahead;
            if has_body {
                lines.by_ref().skip(2).find(|line| *line == "```");
            }
        }
    }
    parts
}

/// How one call went.
struct Call {
    status: String,
    method: String,
    path: String,
    content_type: String,
    body: String,
}

/// Runs all commands in one shell; what each called, by its number.
fn run(server: &TestServer, parts: &[Part]) -> Vec<Option<Call>> {
    let calls = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut script = format!("set -eu\n{CURL}");
    for (number, part) in parts.iter().enumerate() {
        if let Part::Command(command) = part {
            script.push_str(&format!("BLOCK={number}\n{}", command.replace(ADDRESS, &server.url(""))));
        }
    }
    let output = Command::new("bash")
        .args(["-c", &script])
        .env("CALLS", calls.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let read = |number: usize, kind: &str| fs::read_to_string(calls.path().join(format!("{number}.{kind}"))).ok();
    let call = |number: usize| {
        let told = read(number, "call")?;
        let mut words = told.lines().last()?.splitn(4, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let (status, method, url, content_type) = (word(), word(), word(), word());
        let path = url.strip_prefix(&server.url("")).unwrap_or(&url).split('?').next().unwrap_or_default().to_owned();
        Some(Call { status, method, path, content_type, body: read(number, "body").unwrap_or_default() })
    };
    let calls: Vec<Option<Call>> = (0..parts.len()).map(call).collect();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{told}\nThe newest answer: {:?}",
        calls.iter().flatten().next_back().map(|call| &call.body)
    );
    calls
}

fn with_answers(parts: &[Part], calls: &[Option<Call>]) -> String {
    let mut page = String::new();
    for (part, call) in parts.iter().zip(calls) {
        match part {
            Part::Text(text) => page.push_str(text),
            Part::Command(command) => page.push_str(&format!("```bash\n{command}```\n")),
        }
        let Some(call) = call
            .as_ref()
            .filter(|_| matches!(part, Part::Command(text) if text.lines().any(|line| line.starts_with("curl "))))
        else {
            continue;
        };
        page.push_str(&format!("\n`{}`\n", call.status));
        if let Some((kind, body)) = answers::shown(&call.content_type, &call.body) {
            page.push_str(&format!("\n```{kind}\n{body}\n```\n"));
        }
    }
    page
}

/// Whether a path is one of a template's; the more of it is literal, the better.
fn fit(template: &str, path: &str) -> Option<usize> {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let fits = template.len() == path.len()
        && template.iter().zip(&path).all(|(wanted, part)| wanted.starts_with('{') || wanted == part);
    fits.then(|| template.iter().filter(|part| !part.starts_with('{')).count())
}

#[tokio::test]
async fn every_operation_has_an_example_and_each_answers_as_the_page_says() {
    let setup = Setup::new().env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD);
    let rule = "[[moderation_rules]]\ncategory = \"swearing\"\nwords = [\"darn\"]\n";
    let setup = setup.env("MODERATION__PROVIDER", "rules").file(rule);
    let server = setup.start();
    let written = fs::read_to_string(page()).unwrap();
    let parts = parts(&written);
    let calls = run(&server, &parts);

    let description: Value = send(server.get("/openapi.json")).await.expect(200);
    let mut missing = Vec::new();
    let paths = description["paths"].as_object().unwrap();
    let operation_of = |call: &Call| {
        let best = paths.keys().filter_map(|template| Some((fit(template, &call.path)?, template))).max();
        best.map(|(_, template)| (call.method.to_lowercase(), template.clone()))
    };
    let called: Vec<_> = calls.iter().flatten().filter_map(operation_of).collect();
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            if !called.contains(&(method.clone(), path.clone())) {
                missing.push(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert!(missing.is_empty(), "without an example:\n{}\n{ADVICE}", missing.join("\n"));

    let made = with_answers(&parts, &calls);
    if std::env::var("UPDATE_EXAMPLES").is_ok_and(|wanted| wanted == "1") {
        fs::write(page(), made).unwrap();
        return;
    }
    for (number, (made, written)) in made.lines().zip(written.lines()).enumerate() {
        assert_eq!(made, written, "docs/api-examples.md, line {}: {ADVICE}", number + 1);
    }
    assert_eq!(made.lines().count(), written.lines().count(), "{ADVICE}");
}
