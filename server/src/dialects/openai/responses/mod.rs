//! `/v1/responses`: handed on as it came to providers that speak it, said as a chat completion to all others.

mod events;
mod object;
mod request;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use parlor_engine::app::gateway::{Chunks, Delta, Deltas, GatewayAnswer, GatewayError, GatewayRequest};
use parlor_engine::domain::TokenUsage;

use self::events::Events;
use self::request::ResponseRequest;
use super::chunks::Collected;
use super::error::{self, ErrorBody, of_call};
use super::{Body, Caller, Error, answer, new_id, schema, typed};
use crate::kit::Context;

/// Asks a model for a response.
///
/// A provider that speaks this protocol gets the request as it stands, but for the model's name, and its answer comes back as it is; what is
/// stored then is stored there. All others are asked as for a chat completion, and nothing is stored.
#[utoipa::path(post, path = "/v1/responses", tag = "openai", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("user"))),
    request_body = schema::ResponseRequest,
    responses(
        (status = 200, description = "The response: whole, or with `stream` as server-sent events", content(
            (schema::Response = "application/json"), (String = "text/event-stream"))),
        (status = 400, description = "The request is not valid, or asks for what cannot be done", body = ErrorBody),
        (status = 401, description = "No valid token or API key", body = ErrorBody),
        (status = 403, description = "The API key lacks the scope `chat`", body = ErrorBody),
        (status = 404, description = "There is no such model here", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 429, description = "Too many requests, or a quota is used up", body = ErrorBody),
        (status = 503, description = "No provider answers, or the server is busy", body = ErrorBody),
        (status = 504, description = "The provider took too long", body = ErrorBody),
    ))]
pub async fn create_response(
    State(context): State<Context>,
    caller: Caller,
    Body(body): Body,
) -> Result<Response, Error> {
    let request = GatewayRequest::parse_response(body.clone())?;
    let completion = || GatewayRequest::parse(Bytes::from(ResponseRequest::parse(&body)?.to_completion()?));
    let typed = || typed::chat_request(completion()?.body());
    let caller = caller.into_inner();
    let answer = context.app.forward_response(&caller, &request, &completion, &typed).await.map_err(of_call)?;
    let deltas = match answer {
        GatewayAnswer::Whole(whole) => return Ok(answer::json(whole)),
        GatewayAnswer::Chunks(events) => return Ok(answer::events(passed(events))),
        GatewayAnswer::Deltas { deltas, .. } => deltas,
    };
    let asked = ResponseRequest::parse(&body)?;
    let response = object::Response::new(context.app.clock().now().seconds(), &asked);
    if request.stream {
        return Ok(answer::events(told(deltas, Events::new(response))));
    }
    let (answer, usage) = answer::collect(deltas).await.map_err(of_call)?;
    let whole = response.ended(answer.finish, &output(&answer), usage);
    Ok(answer::json(Bytes::from(whole.to_string())))
}

/// A provider's own events. What breaks off ends with an error, which counts on.
fn passed(events: Box<Chunks>) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        match events.next().await? {
            Ok(piece) => Some((piece, Some(events))),
            Err(error) => {
                let (code, message) = error::words(&error);
                Some((events::broken(events.told(), &code, &message), None))
            }
        }
    })
}

fn output(answer: &Collected) -> Vec<serde_json::Value> {
    let status = object::status(answer.finish);
    let message = (!answer.text.is_empty() || answer.calls.is_empty())
        .then(|| object::message(&new_id("msg_"), &answer.text, status));
    let calls =
        answer.calls.iter().map(|call| object::call(&new_id("fc_"), &call.id, &call.name, &call.arguments, status));
    message.into_iter().chain(calls).collect()
}

enum Telling {
    Beginning,
    Middle,
    Ended,
}

/// The stream of a response.
fn told(deltas: Box<Deltas>, events: Events) -> impl Stream<Item = Bytes> + Send {
    let state = (deltas, events, TokenUsage::default(), Telling::Beginning);
    stream::unfold(state, |(mut deltas, mut events, mut usage, telling)| async move {
        let (bytes, telling) = match telling {
            Telling::Beginning => (events.begin(), Telling::Middle),
            Telling::Middle => match next(&mut deltas, &mut events, &mut usage).await {
                Ok(Some(bytes)) => (bytes, Telling::Middle),
                Ok(None) => (events.end(usage), Telling::Ended),
                Err(error) => {
                    let (code, message) = error::words(&error);
                    (events.fail(&code, &message), Telling::Ended)
                }
            },
            Telling::Ended => return None,
        };
        Some((bytes, (deltas, events, usage, telling)))
    })
}

/// The next events that there is something to say in.
async fn next(
    deltas: &mut Box<Deltas>,
    events: &mut Events,
    usage: &mut TokenUsage,
) -> Result<Option<Bytes>, GatewayError> {
    while let Some(delta) = deltas.next().await {
        match delta? {
            Delta::Usage(counted) => *usage = counted,
            delta => {
                let bytes = events.of(delta);
                if !bytes.is_empty() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
    Ok(None)
}
