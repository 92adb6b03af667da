//! `/v1/chat/completions`.

use axum::extract::State;
use axum::response::Response;
use parlor_engine::app::gateway::GatewayRequest;

use super::error::{ErrorBody, of_call};
use super::{Body, Caller, Error, answer, schema, typed};
use crate::kit::Context;

/// Asks a model for an answer.
///
/// Everything in the request reaches the provider as it stands, but for the model's name, and its answer comes back as it is: fields that
/// Parlor does not know too. A stream that breaks off ends with an `error` event and without `[DONE]`. Who goes away ends the call, and
/// pays for what came.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "openai", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("user"))),
    request_body = schema::CompletionRequest,
    responses(
        (status = 200, description = "The answer: whole, or with `stream` as server-sent events", content(
            (schema::Completion = "application/json"), (String = "text/event-stream"))),
        (status = 400, description = "The request is not valid, or asks for what the model's provider cannot do", body = ErrorBody),
        (status = 401, description = "No valid token or API key", body = ErrorBody),
        (status = 403, description = "The API key lacks the scope `chat`", body = ErrorBody),
        (status = 404, description = "There is no such model here", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 429, description = "Too many requests, or a quota is used up", body = ErrorBody),
        (status = 503, description = "No provider answers, or the server is busy", body = ErrorBody),
        (status = 504, description = "The provider took too long", body = ErrorBody),
    ))]
pub async fn create_completion(
    State(context): State<Context>,
    caller: Caller,
    Body(body): Body,
) -> Result<Response, Error> {
    let request = GatewayRequest::parse(body)?;
    let typed = || typed::chat_request(request.body());
    let answer = context.app.forward_chat(&caller.into_inner(), &request, &typed).await.map_err(of_call)?;
    let created = context.app.clock().now().seconds();
    answer::completion(answer, request.stream, request.wants_usage, created).await.map_err(of_call)
}
