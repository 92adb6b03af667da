//! `/v1/moderations`.

use axum::extract::State;
use axum::response::Response;
use parlor_engine::app::gateway::GatewayRequest;

use super::error::{ErrorBody, of_call};
use super::{Body, Caller, Error, answer, schema};
use crate::kit::Context;

/// What looks at texts where the request does not say; as at OpenAI.
const DEFAULT_MODEL: &str = "omni-moderation-latest";

/// Looks whether texts are harmful.
#[utoipa::path(post, path = "/v1/moderations", tag = "openai", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("user"))),
    request_body = schema::ModerationRequest,
    responses(
        (status = 200, description = "What was found, in the order of the texts", body = schema::Moderation),
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
pub async fn create_moderation(
    State(context): State<Context>,
    caller: Caller,
    Body(body): Body,
) -> Result<Response, Error> {
    let request = GatewayRequest::parse_or(body, Some(DEFAULT_MODEL))?;
    Ok(answer::json(context.app.forward_moderation(&caller.into_inner(), &request).await.map_err(of_call)?))
}
