//! The list of models.

use crate::kit::{assert_fields, send};
use crate::support::Setup;

use super::signed_up;

#[tokio::test]
async fn models_are_those_that_the_configuration_names() {
    let setup =
        Setup::new().env("CHAT__MODEL", "first").env("CHAT__MODELS", "second,first").env("GATEWAY__MODELS", "vectors");
    let (server, token) = signed_up(setup.start()).await;
    let list = send(server.get("/v1/models").bearer_auth(&token)).await.expect(200);
    assert_eq!(list["object"], "list");
    let models = list["data"].as_array().unwrap();
    let names: Vec<&str> = models.iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "second", "vectors"]);
    assert_fields(&models[0], &["id", "object", "created", "owned_by"]);
    let one = send(server.get("/v1/models/second").bearer_auth(&token)).await.expect(200);
    assert_eq!(one, models[1]);
    let none = send(server.get("/v1/models/third").bearer_auth(&token)).await.expect(404);
    assert_eq!(none["error"]["code"], "model_not_found");
}

#[tokio::test]
async fn any_model_is_there_where_any_is_allowed() {
    let (server, token) = signed_up(Setup::new().env("GATEWAY__MODELS", "*").start()).await;
    let one = send(server.get("/v1/models/openai%2Fgpt-9").bearer_auth(&token)).await.expect(200);
    assert_eq!((one["id"].as_str(), one["owned_by"].as_str()), (Some("openai/gpt-9"), Some("openai")));
}
