//! Following a turn over server-sent events.

use std::convert::Infallible;

use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use parlor_engine::app::chat::TurnHandle;

use super::Context;
use super::events::WireEvent;

/// Streams the turn's events after number `after`. Dropping the response drops the reader alone, never the turn.
pub fn stream_turn(context: &Context, turn: TurnHandle, after: u64) -> Response {
    let follower = turn.follow(after);
    let events = stream::unfold((turn, follower), |(turn, mut follower)| async move {
        let (number, event) = follower.next().await?;
        let wire = WireEvent::of(&turn, event);
        let text = serde_json::to_string(&wire).unwrap_or_default();
        let event = SseEvent::default().id(number.to_string()).event(wire.name()).data(text);
        Some((Ok::<_, Infallible>(event), (turn, follower)))
    });
    let interval = context.app.settings().server.keep_alive_interval;
    let keep_alive = KeepAlive::new().interval(interval).text("keep-alive");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx would otherwise collect the stream before passing it on.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}
