use std::sync::Arc;

use parlor_engine::providers::{ModelNames, Responses};
use serde_json::json;

use crate::conformance::{self, Fixture, Make, rich_request};
use crate::kit::ask;

const MAKE: Make = |fake, keys, client, clock| {
    let url = format!("{}/responses", fake.base_url());
    Arc::new(Responses::new("openai", &url, keys, ModelNames::AsIs, client, clock).unwrap())
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
    conformance::goes_to_the_next_key_when_one_is_refused(MAKE, "authorization", "Bearer ").await;
}

#[tokio::test]
async fn the_request_says_all_that_was_asked_in_its_own_words() {
    let fixture = Fixture::new(MAKE).await;
    assert_eq!(ask(&fixture.providers, rich_request()).await.error, None);
    let expected = json!({
        "model": "mock-1tok",
        "input": [
            {"type": "message", "role": "system", "content": "be brief"},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "https://pictures.example/cat.png"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw=="},
            ]},
            {"type": "message", "role": "assistant", "content": "Let me see."},
            {"type": "function_call", "call_id": "call_7", "name": "weather", "arguments": "{\"city\":\"Ulm\"}"},
            {"type": "function_call_output", "call_id": "call_7", "output": "rain"},
        ],
        "tools": [{
            "type": "function",
            "name": "weather",
            "description": "The weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            "strict": false,
        }],
        "temperature": 0.5,
        "max_output_tokens": 77,
        "stream": false,
        "store": false,
    });
    assert_eq!(fixture.fake.requests(), [expected]);
}
