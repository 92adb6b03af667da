//! Looking whether texts are harmful.

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use super::{ask, gateway, ledger, mock};

const MODERATIONS: &str = "/v1/moderations";

#[tokio::test]
async fn what_the_provider_finds_is_told() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let answer = ask(&server, &token, MODERATIONS, &json!({"input": ["fine", "[flag]"]})).await.expect(200);
    assert_eq!((&answer["results"][0]["flagged"], &answer["results"][1]["flagged"]), (&json!(false), &json!(true)));
    assert_eq!(upstream.requests()[0]["model"], "omni-moderation-latest");
    let (kind, _, model, _, completion, is_estimated) = ledger(&server).remove(0);
    assert_eq!(
        (kind.as_str(), model.as_str(), completion, is_estimated),
        ("moderation", "omni-moderation-latest", 0, true)
    );
}

#[tokio::test]
async fn the_mock_finds_nothing() {
    let (server, token) = mock().await;
    let answer = ask(&server, &token, MODERATIONS, &json!({"input": "[flag]"})).await.expect(200);
    assert_eq!(answer["results"][0]["flagged"], false);
}
