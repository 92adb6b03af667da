use futures_util::StreamExt as _;
use parlor_engine::domain::{FinishReason, TokenUsage};
use parlor_engine::providers::{ChatRequest, Delta};
use serde_json::json;

use crate::kit::{Fixture, ask, request};

#[tokio::test]
async fn a_streamed_answer_comes_word_by_word_with_its_model_finish_and_usage() {
    let fixture = Fixture::new().await;
    let outcome = fixture.ask("mock-5tok").await;
    assert_eq!(outcome.texts, ["word1", " word2", " word3", " word4", " word5"]);
    assert_eq!((outcome.provider.as_str(), outcome.model.as_str()), ("fake", "mock-5tok"));
    assert_eq!(outcome.finish, Some(FinishReason::Stop));
    assert_eq!(outcome.usage, Some(TokenUsage::new(12, 5)));
    assert_eq!(outcome.error, None);
}

#[tokio::test]
async fn a_whole_answer_is_one_text() {
    let fixture = Fixture::new().await;
    let whole = ChatRequest { stream: false, ..request("mock-3tok") };
    let outcome = ask(&fixture.providers, whole).await;
    assert_eq!(outcome.texts, ["word1 word2 word3"]);
    assert_eq!(outcome.finish, Some(FinishReason::Stop));
    assert_eq!(outcome.usage, Some(TokenUsage::new(12, 3)));
    assert_eq!(fixture.fake.streams(), 0);
}

#[tokio::test]
async fn the_request_says_what_was_asked_and_always_asks_for_usage() {
    let fixture = Fixture::new().await;
    let asked = ChatRequest { temperature: Some(0.5), max_tokens: Some(77), ..request("mock-1tok") };
    ask(&fixture.providers, asked).await;
    let expected = json!({
        "model": "mock-1tok",
        "messages": [{"role": "user", "content": "Hello there"}],
        "temperature": 0.5,
        "max_tokens": 77,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    assert_eq!(fixture.fake.requests(), [expected]);
    assert_eq!(fixture.fake.last_authorization().as_deref(), Some("Bearer sk-test"));
}

#[tokio::test]
async fn what_was_not_asked_is_left_out_of_the_request() {
    let fixture = Fixture::new().await;
    ask(&fixture.providers, ChatRequest { stream: false, ..request("mock-1tok") }).await;
    let expected =
        json!({"model": "mock-1tok", "messages": [{"role": "user", "content": "Hello there"}], "stream": false});
    assert_eq!(fixture.fake.requests(), [expected]);
}

#[tokio::test]
async fn without_a_name_the_default_model_is_asked() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ask("").await.model, "mock-default");
}

#[tokio::test]
async fn characters_that_are_split_between_pieces_arrive_whole() {
    let outcome = Fixture::new().await.ask("mock-3tok-utf8").await;
    assert_eq!(outcome.text(), "żółć漢字🦀1 żółć漢字🦀2 żółć漢字🦀3");
    assert_eq!(outcome.finish, Some(FinishReason::Stop));
}

#[tokio::test]
async fn usage_that_the_provider_does_not_give_is_not_made_up() {
    let outcome = Fixture::new().await.ask("mock-3tok-nousage").await;
    assert_eq!((outcome.usage, outcome.finish), (None, Some(FinishReason::Stop)));
}

#[tokio::test]
async fn a_token_limit_that_was_reached_is_the_finish() {
    assert_eq!(Fixture::new().await.ask("mock-3tok-length").await.finish, Some(FinishReason::Length));
}

#[tokio::test]
async fn dropping_the_answer_drops_the_connection() {
    let fixture = Fixture::new().await;
    let mut answer = fixture.providers.chat(request("mock-5ms-1000000tok")).await.unwrap();
    let first = answer.deltas.by_ref().filter(|delta| {
        let text = matches!(delta, Ok(Delta::Text(_)));
        async move { text }
    });
    assert!(Box::pin(first).next().await.is_some());
    assert_eq!(fixture.fake.open(), 1);
    drop(answer);
    fixture.until_nobody_is_connected().await;
    assert_eq!(fixture.fake.aborted(), 1);
}

#[tokio::test]
async fn dropping_the_call_before_the_first_word_drops_the_connection() {
    let fixture = Fixture::new().await;
    {
        let call = std::pin::pin!(fixture.providers.chat(request("mock-hang")));
        let arrived = async {
            while fixture.fake.open() == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        futures_util::future::select(call, std::pin::pin!(arrived)).await;
    }
    fixture.until_nobody_is_connected().await;
    assert_eq!(fixture.fake.aborted(), 1);
}
