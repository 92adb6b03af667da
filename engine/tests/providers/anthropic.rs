use std::sync::Arc;

use parlor_engine::providers::{Anthropic, ModelNames};
use serde_json::json;

use crate::conformance::{self, Fixture, Make, rich_request};
use crate::kit::{ask, request};

const MAKE: Make = |fake, keys, client, clock| {
    Arc::new(Anthropic::new("anthropic", &fake.base_url(), keys, ModelNames::AsIs, client, clock).unwrap())
};

#[tokio::test]
async fn an_answer_is_the_same_streamed_and_whole() {
    conformance::says_the_same_streamed_and_whole(MAKE).await;
}

#[tokio::test]
async fn it_is_told_why_an_answer_ends() {
    conformance::tells_why_an_answer_ends(MAKE).await;
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_is_heard() {
    conformance::calls_a_tool_and_hears_its_result(MAKE).await;
}

#[tokio::test]
async fn each_refusal_is_known() {
    conformance::knows_each_refusal(MAKE).await;
}

#[tokio::test]
async fn no_cut_is_taken_for_an_end() {
    conformance::takes_no_cut_for_an_end(MAKE).await;
}

#[tokio::test]
async fn what_breaks_in_the_middle_ends_the_answer() {
    conformance::reports_what_breaks_in_the_middle(MAKE).await;
}

#[tokio::test]
async fn characters_that_come_in_pieces_arrive_whole() {
    conformance::puts_characters_together_that_come_in_pieces(MAKE).await;
}

#[tokio::test]
async fn a_refused_key_gives_way_to_the_next() {
    conformance::goes_to_the_next_key_when_one_is_refused(MAKE, "x-api-key", "").await;
}

#[tokio::test]
async fn the_request_says_all_that_was_asked_in_its_own_words() {
    let fixture = Fixture::new(MAKE).await;
    assert_eq!(ask(&fixture.providers, rich_request()).await.error, None);
    let expected = json!({
        "model": "mock-1tok",
        "max_tokens": 77,
        "system": "be brief",
        "messages": [
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "url", "url": "https://pictures.example/cat.png"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
                {"type": "text", "text": "What is this?"},
            ]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "call_7", "name": "weather", "input": {"city": "Ulm"}},
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_7", "content": "rain"}]},
        ],
        "tools": [{
            "name": "weather",
            "description": "The weather of a city",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        }],
        "temperature": 0.5,
        "stream": false,
    });
    assert_eq!(fixture.fake.requests(), [expected]);
    assert_eq!(fixture.fake.last_header("anthropic-version").as_deref(), Some("2023-06-01"));
    assert_eq!(fixture.fake.last_header("x-api-key").as_deref(), Some("sk-test"));
    assert_eq!(fixture.fake.last_authorization(), None);
}

#[tokio::test]
async fn what_it_insists_on_is_there_unasked_and_what_it_does_not_know_is_fitted() {
    let fixture = Fixture::new(MAKE).await;
    let mut hot = request("mock-1tok");
    hot.temperature = Some(1.7);
    assert_eq!(ask(&fixture.providers, hot).await.error, None);
    let sent = fixture.fake.requests().remove(0);
    assert_eq!((sent["max_tokens"].as_u64(), sent["temperature"].as_f64()), (Some(4096), Some(1.0)));
    assert_eq!(sent.get("system"), None);
}
