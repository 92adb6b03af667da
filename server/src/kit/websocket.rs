//! Following turns over a WebSocket: one answer at a time, in the order in which the messages came.

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};
use parlor_engine::app::Caller;
use parlor_engine::app::chat::{Follower, TurnHandle};
use serde::Serialize;

use super::Context;
use super::events::{ErrorEvent, WireEvent};
use super::others::{Other, Others};

/// Messages that may wait for the answer before them.
const WAITING: usize = 8;
/// How long a frame may take to be taken by the other side.
const SEND_PATIENCE: Duration = Duration::from_secs(30);

/// What a surface makes of a text frame.
pub enum Incoming {
    /// A turn to follow, from after that event.
    Follow(TurnHandle, u64),
    /// Stop the answer that is being written.
    Stop,
    /// Nothing that can be done; what to say about it.
    Refused(ErrorEvent),
    /// The caller may no longer call.
    Unauthenticated,
}

/// Whether a browser page of that origin may open a WebSocket: the server's own origin, or one of the settings'. Programs send none.
pub fn origin_is_allowed(headers: &HeaderMap, cors_origins: &[String]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if cors_origins.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let of_origin = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().map(|a| a.as_str().to_ascii_lowercase()));
    of_origin.is_some() && of_origin == host.map(str::to_ascii_lowercase)
}

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'static str,
    seq: u64,
    #[serde(flatten)]
    event: &'a WireEvent,
}

enum Step {
    Other(Other),
    Incoming(Option<Result<Message, axum::Error>>),
    Event(Option<(u64, WireEvent)>),
    Ping,
    Draining,
    Shut,
}

/// Serves a socket until either side closes it. `receive` turns a text frame into what is to be done. One that `hears` is told what the account
/// says by other ways.
///
/// When what `caller` holds is void, the socket is closed with code 1008. When the server stops, the answer that is being written is sent to its end, then the socket is closed with code 1001.
pub async fn serve<F, Fut>(context: Context, caller: &Caller, socket: WebSocket, hears: bool, mut receive: F)
where
    F: FnMut(String) -> Fut,
    Fut: Future<Output = Incoming>,
{
    let door = context.app.open_socket(caller);
    let mut others = Others::new(&context, caller, hears).await;
    let (mut sink, mut source) = socket.split();
    let mut current: Option<(TurnHandle, Follower)> = None;
    let mut waiting = VecDeque::new();
    let mut ping = tokio::time::interval(context.app.settings().server.keep_alive_interval);
    let mut unanswered_pings = 0_u8;
    loop {
        if current.is_none() {
            current = waiting.pop_front();
        }
        let is_idle = current.is_none();
        let step = tokio::select! {
            biased;
            () = door.shut() => Step::Shut,
            // First, or a reader slower than the provider could not stop the answer.
            incoming = source.next() => Step::Incoming(incoming),
            event = next_event(&mut current), if !is_idle => Step::Event(event),
            () = context.draining.cancelled(), if is_idle => Step::Draining,
            _ = ping.tick() => Step::Ping,
            other = others.next() => Step::Other(other),
        };
        let sent = match step {
            Step::Other(other) => match others.frame(&context, caller, other).await {
                Some(text) => send(&mut sink, Message::Text(text.into())).await,
                None => true,
            },
            Step::Event(Some((seq, event))) => send_event(&mut sink, seq, &event).await,
            Step::Event(None) => {
                current = None;
                true
            }
            Step::Incoming(Some(Ok(Message::Text(text)))) => match receive(text.to_string()).await {
                Incoming::Follow(turn, after) if waiting.len() < WAITING => {
                    others.note_own(turn.message_id);
                    let follower = turn.follow(after);
                    waiting.push_back((turn, follower));
                    true
                }
                Incoming::Follow(turn, _) => {
                    others.note_own(turn.message_id);
                    // The message is stored and will be answered; only its stream is not shown here.
                    let busy = "Too many messages are waiting on this connection; read the answer from the history.";
                    send_event(&mut sink, 0, &refused("busy", busy)).await
                }
                Incoming::Stop => {
                    if let Some((turn, _)) = &current {
                        turn.stop();
                    }
                    true
                }
                Incoming::Refused(error) => send_event(&mut sink, 0, &WireEvent::Error(error)).await,
                Incoming::Unauthenticated => return shut(&mut sink).await,
            },
            Step::Incoming(Some(Ok(Message::Binary(_)))) => {
                send_event(&mut sink, 0, &refused("invalid_request", "Send text frames.")).await
            }
            Step::Incoming(Some(Ok(Message::Pong(_)))) => {
                unanswered_pings = 0;
                true
            }
            Step::Incoming(Some(Ok(Message::Ping(_)))) => true,
            Step::Incoming(None | Some(Ok(Message::Close(_)) | Err(_))) => return,
            Step::Shut => return shut(&mut sink).await,
            Step::Draining => return close(&mut sink, close_code::AWAY, "the server is stopping").await,
            Step::Ping if unanswered_pings >= 3 => return,
            Step::Ping => {
                unanswered_pings += 1;
                send(&mut sink, Message::Ping(Vec::new().into())).await
            }
        };
        if !sent {
            return;
        }
    }
}

async fn next_event(current: &mut Option<(TurnHandle, Follower)>) -> Option<(u64, WireEvent)> {
    let (turn, follower) = current.as_mut()?;
    let (number, event) = follower.next().await?;
    Some((number, WireEvent::of(turn, event)))
}

/// An error frame that belongs to no turn.
pub fn refused(code: &str, detail: &str) -> WireEvent {
    WireEvent::Error(ErrorEvent { detail: detail.to_owned(), code: code.to_owned() })
}

async fn send_event(sink: &mut SplitSink<WebSocket, Message>, seq: u64, event: &WireEvent) -> bool {
    let frame = Frame { r#type: event.name(), seq, event };
    let text = serde_json::to_string(&frame).unwrap_or_default();
    send(sink, Message::Text(text.into())).await
}

/// False when the other side is gone, or too slow to be there.
async fn send(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> bool {
    matches!(tokio::time::timeout(SEND_PATIENCE, sink.send(message)).await, Ok(Ok(())))
}

async fn shut(sink: &mut SplitSink<WebSocket, Message>) {
    send_event(sink, 0, &WireEvent::unauthenticated()).await;
    close(sink, close_code::POLICY, "unauthenticated").await;
}

async fn close(sink: &mut SplitSink<WebSocket, Message>, code: u16, reason: &'static str) {
    send(sink, Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_of_another_origin_opens_no_socket() {
        let known = ["http://localhost:3000".to_owned()];
        let allowed = |origin: Option<&str>| {
            let mut headers = HeaderMap::from_iter([(HOST, "chat.example.com:8000".parse().unwrap())]);
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            origin_is_allowed(&headers, &known)
        };
        assert!(allowed(None));
        assert!(allowed(Some("http://localhost:3000")));
        assert!(allowed(Some("https://chat.example.com:8000")));
        for other in ["http://localhost:3001", "https://evil.example", "null", "https://chat.example.com", ""] {
            assert!(!allowed(Some(other)), "{other}");
        }
    }
}
