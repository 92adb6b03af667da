//! Routes of `parlor.toml`, as callers meet them.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::assert_problem;
use crate::kit::send;
use crate::support::{PASSWORD, Setup, TestServer, events, text_of};

/// A server whose `parlor.toml` has two upstreams, `one` and `two`, and these lines.
async fn start(lines: &str) -> (TestServer, NamedTempFile, [FakeUpstream; 2]) {
    let fakes = [FakeUpstream::start().await, FakeUpstream::start().await];
    let upstream = |(name, fake): (&str, &FakeUpstream)| {
        format!("[[upstreams]]\nname = {name:?}\nurl = {:?}\nkeys = [\"env:KEY_OF_{name}\"]\n", fake.base_url())
    };
    let text: String = ["one", "two"].into_iter().zip(&fakes).map(upstream).collect();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{text}{lines}")).unwrap();
    let setup = Setup::new().env("KEY_OF_one", "sk-hunter2-one").env("KEY_OF_two", "sk-hunter2-two");
    let setup = setup.env("PARLOR_CONFIG", file.path().to_str().unwrap()).env("PROVIDERS__MAX_RETRIES", "0");
    let server = setup.env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD).start();
    (server, file, fakes)
}

#[tokio::test]
async fn a_text_that_broke_off_is_continued_by_the_next_target_and_both_are_billed() {
    let route = "[routes.steady]\naliases = [\"always\"]\ncontinue = true\ntargets = [\n\
                 { provider = \"one\", model = \"mock-9tok-cut3\" },\n{ provider = \"two\", model = \"mock-2tok\" },\n]\n";
    let (server, _file, fakes) = start(route).await;
    let token = server.sign_in("admin@example.com").await;
    let message = json!({"message": "Hello", "model": "always"});
    let answer = send(server.post("/api/v1/chat/stream", &message).bearer_auth(&token)).await;
    let streamed = events(&answer.body);
    assert_eq!(text_of(&streamed), "word1 word2 word3word1 word2");
    let done = streamed.last().unwrap();
    assert_eq!((done.name.as_str(), &done.data["finish_reason"]), ("done", &json!("stop")));
    assert_eq!(done.data["model"], "mock-2tok");
    assert_eq!(fakes[1].last_authorization().as_deref(), Some("Bearer sk-hunter2-two"));

    let sum = |column: &str| server.count(&format!("SELECT SUM({column}) FROM usage_ledger WHERE kind = 'chat'"));
    assert_eq!(server.count("SELECT COUNT(*) FROM usage_ledger WHERE kind = 'chat'"), 2);
    assert_eq!(server.count("SELECT completion_tokens FROM usage_ledger WHERE provider = 'two'"), 2);
    for column in ["prompt_tokens", "completion_tokens"] {
        assert_eq!(done.data["usage"][column], sum(column), "{column}");
    }
    let id = done.data["message_id"].as_str().unwrap();
    let again = server.get(&format!("/api/v1/chat/messages/{id}/stream")).bearer_auth(&token);
    assert_eq!(send(again.header("last-event-id", "0")).await.body, answer.body);
}

#[tokio::test]
async fn a_routes_names_may_be_asked_for_and_others_may_not() {
    let (server, _file, _fakes) =
        start("[routes.fast]\ntargets = [{ provider = \"one\", model = \"mock-1tok\" }]\n").await;
    let token = server.sign_in("admin@example.com").await;
    let say = |model: &str| {
        let message = json!({"message": "Hello", "model": model});
        send(server.post("/api/v1/chat/send", &message).bearer_auth(&token))
    };
    assert_eq!(say("fast").await.expect(200)["response"], "word1");
    assert_problem(&say("slow").await, 400);
}

#[tokio::test]
async fn admins_see_each_target_and_strangers_less() {
    let (server, _file, _fakes) =
        start("[routes.fast]\ntargets = [{ provider = \"one\", model = \"mock-err503\" }]\n").await;
    let token = server.sign_in("admin@example.com").await;
    let message = json!({"message": "Hello", "model": "fast"});
    send(server.post("/api/v1/chat/send", &message).bearer_auth(&token)).await.expect(503);
    let shown = send(server.get("/api/v1/admin/providers").bearer_auth(&token)).await.expect(200);
    let targets: Vec<_> =
        shown["items"].as_array().unwrap().iter().map(|item| (&item["name"], &item["model"])).collect();
    assert_eq!(
        targets,
        [(&json!("one"), &Value::Null), (&json!("two"), &Value::Null), (&json!("one"), &json!("mock-err503"))]
    );
    let target = &shown["items"][2];
    assert_eq!((&target["last_error"], &target["keys"]), (&json!("provider_unavailable"), &json!(1)));
    let checks = &send(server.get("/health")).await.expect(200)["checks"]["providers"][2];
    let expected =
        json!({"name": "one", "model": "mock-err503", "breaker": "closed", "last_error": "provider_unavailable"});
    assert_eq!(*checks, expected);
}

#[tokio::test]
async fn routes_are_shown_without_keys_and_mistakes_in_them_with_their_paths() {
    let (server, file, _fakes) =
        start("[routes.fast]\ntargets = [{ provider = \"one\", model = \"mock-1tok\" }]\n").await;
    let shown = server.run(&["config", "show"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("routes.fast.targets[0].model") && text.contains("env:KEY_OF_one"), "{text}");
    assert!(!text.contains("hunter2"));
    let broken = std::fs::read_to_string(file.path()).unwrap().replace("provider = \"one\"", "provider = \"three\"");
    std::fs::write(file.path(), broken.replace("name = \"two\"", "nam = \"two\"")).unwrap();
    let refused = server.run(&["config", "show"]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text.contains("upstreams[1].nam ") && text.contains("routes.fast.targets[0].provider "), "{text}");
}
