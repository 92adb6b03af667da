//! Answers as HTTP responses: JSON, or server-sent events.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderName, HeaderValue, header};
use parlor_engine::app::gateway::{Delta, Deltas, GatewayAnswer, GatewayError};
use parlor_engine::domain::TokenUsage;

use super::chunks::{Chunks, Collected, Completion};
use super::error;

const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// A JSON that is written already.
pub fn json(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Events that are written already. The stream never fails: what goes wrong is an event.
pub fn events(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(events.map(Ok::<_, std::convert::Infallible>)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx would otherwise collect the stream before passing it on.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// A chat completion, as it was asked for.
///
/// # Errors
/// Why an answer that is wanted whole is not.
pub async fn completion(
    answer: GatewayAnswer,
    wants_stream: bool,
    wants_usage: bool,
    created: i64,
) -> Result<Response, GatewayError> {
    match answer {
        GatewayAnswer::Whole(body) => Ok(json(body)),
        GatewayAnswer::Chunks(chunks) => Ok(events(ended(chunks))),
        GatewayAnswer::Deltas { model, deltas } => {
            let completion = Completion::new(created, model);
            if wants_stream {
                return Ok(events(ended(written(deltas, completion.chunks(wants_usage), wants_usage))));
            }
            let (answer, usage) = collect(deltas).await?;
            Ok(json(completion.whole(&answer, usage)))
        }
    }
}

/// Puts an answer together.
///
/// # Errors
/// Why it is not whole.
pub async fn collect(mut deltas: Box<Deltas>) -> Result<(Collected, TokenUsage), GatewayError> {
    let (mut answer, mut usage) = (Collected::default(), TokenUsage::default());
    while let Some(delta) = deltas.next().await {
        match delta? {
            Delta::Usage(counted) => usage = counted,
            delta => answer.add(delta),
        }
    }
    Ok((answer, usage))
}

/// Ends a stream of chunks: with the mark of the end when it is whole, else with an error.
fn ended(
    chunks: impl Stream<Item = Result<Bytes, GatewayError>> + Send + Unpin + 'static,
) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(Some(chunks), |chunks| async move {
        let mut chunks = chunks?;
        match chunks.next().await {
            Some(Ok(chunk)) => Some((chunk, Some(chunks))),
            Some(Err(error)) => Some((error::event(&error), None)),
            None => Some((DONE, None)),
        }
    })
}

/// Deltas as chunks.
fn written(
    deltas: Box<Deltas>,
    mut chunks: Chunks,
    wants_usage: bool,
) -> impl Stream<Item = Result<Bytes, GatewayError>> + Send + Unpin {
    let written = deltas.filter_map(move |delta| {
        let chunk = match delta {
            Ok(Delta::Usage(usage)) if wants_usage => Some(Ok(chunks.usage(usage))),
            Ok(delta) => chunks.of(&delta).map(Ok),
            Err(error) => Some(Err(error)),
        };
        std::future::ready(chunk)
    });
    Box::pin(written)
}
