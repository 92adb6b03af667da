//! Vectors.

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use super::{ask, gateway, ledger, line, mock};

const EMBEDDINGS: &str = "/v1/embeddings";

#[tokio::test]
async fn vectors_pass_through_and_are_billed() {
    let upstream = FakeUpstream::start().await;
    let (server, token) = gateway(&upstream).await;
    let body = json!({"model": "text-embedding-3-small", "input": ["one two", "three"], "dimensions": 4, "user": "x"});
    let answer = ask(&server, &token, EMBEDDINGS, &body).await.expect(200);
    assert_eq!(answer["data"].as_array().unwrap().len(), 2);
    assert_eq!(answer["data"][1]["embedding"].as_array().unwrap().len(), 4);
    assert_eq!(upstream.requests()[0], body);
    assert_eq!(ledger(&server), [line("embedding", "text-embedding-3-small", (3, 0), false)]);
}

#[tokio::test]
async fn the_mock_has_the_same_vector_for_the_same_text() {
    let (server, token) = mock().await;
    let body = json!({"model": "text-embedding-3-small", "input": "Hello", "encoding_format": "base64"});
    let first = ask(&server, &token, EMBEDDINGS, &body).await.expect(200);
    let second = ask(&server, &token, EMBEDDINGS, &body).await.expect(200);
    assert!(first["data"][0]["embedding"].is_string());
    assert_eq!(first, second);
    let refused = ask(&server, &token, EMBEDDINGS, &json!({"model": "mock", "input": null})).await;
    assert_eq!(refused.expect(400)["error"]["type"], "invalid_request_error");
}
