//! Calling with API keys.

use serde_json::json;

use super::{COMPLETIONS, ask, hello, mock};
use crate::kit::send;

#[tokio::test]
async fn a_key_with_the_scope_chat_opens_everything_here_and_no_other_does() {
    let (server, token) = mock().await;
    let key = |scope: &'static str| {
        let request = server.post("/api/v1/api-keys", &json!({"name": scope, "scopes": [scope]})).bearer_auth(&token);
        async move { send(request).await.expect(201) }
    };
    let chat = key("chat").await;
    let secret = chat["key"].as_str().unwrap();
    ask(&server, secret, COMPLETIONS, &hello("mock")).await.expect(200);
    ask(&server, secret, "/v1/embeddings", &json!({"model": "mock", "input": "Hi"})).await.expect(200);
    send(server.get("/v1/models").bearer_auth(secret)).await.expect(200);
    let id: i64 = chat["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(server.count(&format!("SELECT COUNT(*) FROM usage_ledger WHERE api_key_id = {id}")), 2);

    let read = key("read").await;
    let secret = read["key"].as_str().unwrap();
    for answer in [
        ask(&server, secret, COMPLETIONS, &hello("mock")).await,
        send(server.get("/v1/models").bearer_auth(secret)).await,
    ] {
        assert_eq!(answer.expect(403)["error"]["code"], "insufficient_permissions");
    }
}
