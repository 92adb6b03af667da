use std::sync::Arc;

use parlor_engine::providers::{Gemini, ModelNames, ProviderError};
use serde_json::json;

use crate::conformance::{self, Fixture, Make, rich_request};
use crate::kit::ask;

const MAKE: Make = |fake, keys, client, clock| {
    Arc::new(Gemini::new("gemini", &fake.gemini_base_url(), keys, ModelNames::AsIs, client, clock).unwrap())
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
    conformance::goes_to_the_next_key_when_one_is_refused(MAKE, "x-goog-api-key", "").await;
}

#[tokio::test]
async fn the_request_says_all_that_was_asked_in_its_own_words() {
    let fixture = Fixture::new(MAKE).await;
    assert_eq!(ask(&fixture.providers, rich_request()).await.error, None);
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {"role": "user", "parts": [
                {"fileData": {"mimeType": "image/png", "fileUri": "https://pictures.example/cat.png"}},
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}},
                {"text": "What is this?"},
            ]},
            {"role": "model", "parts": [
                {"text": "Let me see."},
                {"functionCall": {"name": "weather", "args": {"city": "Ulm"}}},
            ]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "rain"}}}]},
        ],
        "tools": [{"functionDeclarations": [{
            "name": "weather",
            "description": "The weather of a city",
            "parametersJsonSchema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        }]}],
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 77},
    });
    assert_eq!(fixture.fake.requests(), [expected]);
    assert_eq!(fixture.fake.last_header("x-goog-api-key").as_deref(), Some("sk-test"));
    assert_eq!(fixture.fake.last_authorization(), None);
}

#[tokio::test]
async fn a_prompt_that_is_blocked_is_filtered_and_not_asked_again() {
    let fixture = Fixture::new(MAKE).await;
    for stream in [true, false] {
        assert_eq!(fixture.ask("mock-blocked", stream).await.error, Some(ProviderError::ContentFiltered));
    }
    assert_eq!(fixture.fake.chat_calls(), 2);
}
