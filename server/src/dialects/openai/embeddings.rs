//! `/v1/embeddings`.

use axum::extract::State;
use axum::response::Response;
use parlor_engine::app::gateway::GatewayRequest;

use super::error::{ErrorBody, of_call};
use super::{Body, Caller, Error, answer, schema};
use crate::kit::Context;

/// Turns texts into vectors.
#[utoipa::path(post, path = "/v1/embeddings", tag = "openai", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("user"))),
    request_body = schema::EmbeddingRequest,
    responses(
        (status = 200, description = "The vectors, in the order of the texts", body = schema::Embeddings),
        (status = 400, description = "The request is not valid", body = ErrorBody),
        (status = 401, description = "No valid token or API key", body = ErrorBody),
        (status = 403, description = "The API key lacks the scope `chat`", body = ErrorBody),
        (status = 404, description = "There is no such model here", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 429, description = "Too many requests, or a quota is used up", body = ErrorBody),
        (status = 503, description = "No provider answers, or the server is busy", body = ErrorBody),
        (status = 504, description = "The provider took too long", body = ErrorBody),
    ))]
pub async fn create_embeddings(
    State(context): State<Context>,
    caller: Caller,
    Body(body): Body,
) -> Result<Response, Error> {
    let request = GatewayRequest::parse(body)?;
    Ok(answer::json(context.app.forward_embeddings(&caller.into_inner(), &request).await.map_err(of_call)?))
}
