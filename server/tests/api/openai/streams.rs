//! Answers as they are written.

use futures_util::StreamExt;
use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use super::{COMPLETIONS, ask, chunks, gateway, ledger, line, mock, signed_up, streamed};
use crate::kit::send;
use crate::kit::wait::until;
use crate::support::Setup;

#[tokio::test]
async fn a_stream_passes_through_byte_for_byte() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    for model in ["mock-full", "mock-utf8-30tok", "mock-20tok", "mock-1ms-30tok"] {
        let mut body = streamed(model);
        body["stream_options"] = json!({"include_usage": true});
        body["n"] = json!(2);
        let answer = ask(&server, &token, COMPLETIONS, &body).await;
        let direct = send(server.client.post(format!("{}/chat/completions", upstream.base_url())).json(&body)).await;
        assert_eq!(answer.body, direct.body, "{model}");
        assert!(answer.body.ends_with("data: [DONE]\n\n"));
        assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
        assert_eq!(answer.header("x-accel-buffering"), "no");
    }
    assert_eq!(ledger(&server).len(), 4);
    assert_eq!(ledger(&server)[0], line("gateway", "mock-full", (21, 7), false));
}

#[tokio::test]
async fn usage_that_nobody_asked_for_is_left_out_and_billed_all_the_same() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let answer = ask(&server, &token, COMPLETIONS, &streamed("mock-20tok")).await;
    assert_eq!(upstream.requests()[0]["stream_options"], json!({"include_usage": true}));
    let chunks = chunks(&answer.body);
    assert_eq!(chunks.len(), 22);
    assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()), "{}", answer.body);
    assert!(answer.body.ends_with("data: [DONE]\n\n"));
    assert_eq!(ledger(&server), [line("gateway", "mock-20tok", (12, 20), false)]);
}

#[tokio::test]
async fn a_stream_without_usage_is_estimated() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let answer = ask(&server, &token, COMPLETIONS, &streamed("mock-20tok-nousage")).await;
    assert!(answer.body.ends_with("data: [DONE]\n\n"));
    let (_, _, _, prompt, completion, is_estimated) = ledger(&server).remove(0);
    // "word1 word2 … word20" has 130 characters.
    assert_eq!((completion, is_estimated), (33, true));
    assert!(prompt > 0);
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_and_is_never_taken_for_whole() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    for model in ["mock-cut3", "mock-nodone-3tok", "mock-errobj3"] {
        let answer = ask(&server, &token, COMPLETIONS, &streamed(model)).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("[DONE]"), "{model}: {}", answer.body);
        let chunks = chunks(&answer.body);
        let (last, said) = chunks.split_last().unwrap();
        assert_eq!(last["error"]["type"], "server_error", "{model}: {last}");
        assert!(last["error"]["code"].as_str().unwrap().starts_with("provider_"), "{model}: {last}");
        assert!(!last.to_string().contains("while processing"), "{model}: {last}");
        let said: String = said.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(said, "word1 word2 word3", "{model}");
    }
    let billed = ledger(&server);
    assert_eq!(billed.len(), 3);
    assert!(
        billed.iter().all(|(_, _, _, _, completion, is_estimated)| *completion == 5 && *is_estimated),
        "{billed:?}"
    );
}

#[tokio::test]
async fn who_goes_away_ends_the_call_and_pays_for_what_came() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let request = server.post(COMPLETIONS, &streamed("mock-20ms-5000tok")).bearer_auth(&token);
    let mut body = request.send().await.unwrap().bytes_stream();
    let mut seen = String::new();
    while !seen.contains("word3") {
        seen.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(ledger(&server).is_empty());
    drop(body);
    until("the provider's connection is closed", || upstream.aborted() == 1).await;
    until("the bill is stored", || ledger(&server).len() == 1).await;
    let (_, _, _, prompt, completion, is_estimated) = ledger(&server).remove(0);
    assert!(prompt > 0 && completion > 3 && completion < 2000 && is_estimated, "{completion}");
}

#[tokio::test]
async fn what_a_provider_took_before_the_first_byte_is_billed_whoever_gave_up() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let request = server.post(COMPLETIONS, &streamed("mock-hang")).bearer_auth(&token);
    let calling = tokio::spawn(request.send());
    until("the provider is asked", || upstream.chat_calls() == 1).await;
    calling.abort();
    until("the bill is stored", || ledger(&server).len() == 1).await;
    let (kind, _, model, prompt, completion, is_estimated) = ledger(&server).remove(0);
    assert_eq!((kind.as_str(), model.as_str(), completion, is_estimated), ("gateway", "mock-hang", 0, true));
    assert!(prompt > 0);

    let setup = Setup::new().upstream(&upstream, "mock-echo").env("PROVIDERS__MAX_RETRIES", "1");
    let (server, token) = signed_up(setup.env("PROVIDERS__FIRST_TOKEN_TIMEOUT_SECONDS", "1").start()).await;
    assert_eq!(ask(&server, &token, COMPLETIONS, &streamed("mock-hang")).await.status, 504);
    let kinds: Vec<String> = ledger(&server).into_iter().map(|line| line.0).collect();
    assert_eq!(kinds, ["retry", "gateway"]);
}

#[tokio::test]
async fn a_stopping_server_lets_streams_finish() {
    let upstream = FakeUpstream::start().await;
    let (mut server, token) = gateway(&upstream).await;
    let request = server.post(COMPLETIONS, &streamed("mock-10ms-50tok")).bearer_auth(&token);
    let mut body = request.send().await.unwrap().bytes_stream();
    let mut seen = body.next().await.unwrap().unwrap().to_vec();
    server.signal("TERM");
    while let Some(piece) = body.next().await {
        seen.extend_from_slice(&piece.unwrap());
    }
    assert!(String::from_utf8(seen).unwrap().ends_with("data: [DONE]\n\n"));
    assert!(server.wait().success());
    assert_eq!(ledger(&server), [line("gateway", "mock-10ms-50tok", (12, 50), false)]);
}

#[tokio::test]
async fn the_mock_streams_in_chunks_of_openais() {
    let (server, token) = mock().await;
    let mut body = streamed("gpt-4o");
    body["stream_options"] = json!({"include_usage": true});
    let answer = ask(&server, &token, COMPLETIONS, &body).await;
    assert!(answer.body.ends_with("data: [DONE]\n\n"));
    let chunks = chunks(&answer.body);
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == chunks[0]["id"]));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let said: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert!(said.contains("Hello there"), "{said}");
    let (usage, finish) = (&chunks[chunks.len() - 1], &chunks[chunks.len() - 2]);
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    let (_, _, _, prompt, completion, _) = ledger(&server).remove(0);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(
        usage["usage"],
        json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
    );
    let plain = ask(&server, &token, COMPLETIONS, &streamed("mock")).await;
    assert!(!plain.body.contains("usage"), "{}", plain.body);
    let cut = ask(&server, &token, COMPLETIONS, &streamed("mock-cut")).await;
    assert!(cut.body.contains("provider_cut") && !cut.body.contains("[DONE]"), "{}", cut.body);
}
