//! Following a turn over server-sent events.

use std::convert::Infallible;

use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use parlor_engine::app::chat::TurnHandle;

use super::Context;
use super::events::WireEvent;

/// Streams the turn's events after number `after`. Dropping the response drops the reader alone, never the turn. When its reader may no
/// longer read, the stream ends with an `error` event, and the turn goes on.
pub fn stream_turn(context: &Context, turn: TurnHandle, after: u64) -> Response {
    let follower = turn.follow(after);
    let door = context.app.open_stream(&turn);
    let events = stream::unfold(Some((turn, follower, door)), |state| async move {
        let (turn, mut follower, door) = state?;
        let next = tokio::select! {
            biased;
            () = door.shut() => None,
            next = follower.next() => Some(next?),
        };
        let Some((number, event)) = next else {
            // Without a number: a reader that comes back with a good token goes on after the last event that it has.
            return Some((Ok(sent(SseEvent::default(), &WireEvent::unauthenticated())), None));
        };
        let event = sent(SseEvent::default().id(number.to_string()), &WireEvent::of(&turn, event));
        Some((Ok::<_, Infallible>(event), Some((turn, follower, door))))
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

fn sent(event: SseEvent, wire: &WireEvent) -> SseEvent {
    event.event(wire.name()).data(serde_json::to_string(wire).unwrap_or_default())
}
