//! The bodies of the fake provider's responses: whole ones, event streams, and broken ones.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::behaviour::Behaviour;
use super::state::Call;
use crate::clock::monotonic_ns;

/// Long enough for the server to flush what precedes a fault into the socket.
const FLUSH: Duration = Duration::from_millis(5);
const LINE_PIECE: &[u8] = &[b'x'; 64 << 10];
const LINE_BYTES: usize = 50 << 20;

/// A response's body.
pub(super) enum Reply {
    Whole(Bytes),
    Stream(Box<Script>),
    Faulty {
        part: Bytes,
        fault: Fault,
        call: Call,
    },
    /// `left` bytes of a line without end.
    Line {
        left: usize,
        call: Call,
    },
}

impl Reply {
    pub fn line(call: Call) -> Self {
        Self::Line { left: LINE_BYTES, call }
    }
}

/// How a body goes wrong after what has been sent of it.
pub(super) enum Fault {
    /// The connection is reset; the flag is the socket's, the pause lets the server flush first.
    Reset(Arc<AtomicBool>, Option<Pin<Box<Sleep>>>),
    Silence,
}

impl Fault {
    fn poll(&mut self, call: &mut Call, cx: &mut Context<'_>) -> Poll<io::Error> {
        match self {
            Self::Silence => Poll::Pending,
            Self::Reset(flag, pause) => {
                let pause = pause.get_or_insert_with(|| Box::pin(sleep(FLUSH)));
                ready!(pause.as_mut().poll(cx));
                flag.store(true, Relaxed);
                call.finish();
                Poll::Ready(io::ErrorKind::ConnectionReset.into())
            }
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let data = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => data(std::mem::take(bytes)),
            Self::Stream(script) => match ready!(script.poll(cx)) {
                Some(Ok(bytes)) => data(bytes),
                Some(Err(error)) => Poll::Ready(Some(Err(error))),
                None => Poll::Ready(None),
            },
            Self::Faulty { part, .. } if !part.is_empty() => data(std::mem::take(part)),
            Self::Faulty { fault, call, .. } => {
                let error = ready!(fault.poll(call, cx));
                Poll::Ready(Some(Err(error)))
            }
            Self::Line { left: 0, call } => {
                call.finish();
                Poll::Ready(None)
            }
            Self::Line { left, .. } => {
                let piece = if *left == LINE_BYTES {
                    Bytes::from_static(b"data: {\"id\":\"")
                } else {
                    Bytes::from_static(LINE_PIECE)
                };
                *left = left.saturating_sub(piece.len());
                data(piece)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

/// An event stream being told: role, content, finish, usage, `[DONE]`.
pub(super) struct Script {
    how: Behaviour,
    /// The content chunks in order; None: made up from their number.
    words: Option<Vec<String>>,
    total: u32,
    /// Everything of a chunk before and after its delta, for content chunks.
    head: String,
    tail: &'static str,
    finish_reason: &'static str,
    usage: Option<Bytes>,
    step: Step,
    due: Instant,
    pause: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    pieces: VecDeque<Bytes>,
    fault: Option<Fault>,
    reset: Arc<AtomicBool>,
    call: Call,
}

#[derive(Clone, Copy)]
enum Step {
    Role,
    /// The next content chunk, from 1.
    Content(u32),
    Finish,
    Usage,
    Done,
    End,
}

/// What a stream is made of, besides its behaviour.
pub(super) struct Answer {
    pub model_json: String,
    pub words: Option<Vec<String>>,
    pub include_usage: bool,
    pub usage_json: String,
    pub finish_reason: &'static str,
}

impl Script {
    pub fn new(how: Behaviour, answer: Answer, call: Call, reset: Arc<AtomicBool>) -> Self {
        let model = answer.model_json;
        let event = format!(
            "data: {{\"id\":\"chatcmpl-fake\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":{model},\"system_fingerprint\":null"
        );
        let usage = answer
            .include_usage
            .then(|| Bytes::from(format!("{event},\"choices\":[],\"usage\":{}}}\n\n", answer.usage_json)));
        let total = match &answer.words {
            Some(words) => u32::try_from(words.len()).unwrap_or(u32::MAX),
            None => how.tokens,
        };
        Self {
            head: format!("{event},\"choices\":[{{\"index\":0,\"delta\":"),
            tail: if usage.is_some() { "}],\"usage\":null}\n\n" } else { "}]}\n\n" },
            words: answer.words,
            total,
            finish_reason: answer.finish_reason,
            usage,
            step: Step::Role,
            due: Instant::now(),
            pause: None,
            waiting: false,
            pieces: VecDeque::new(),
            fault: None,
            how,
            reset,
            call,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(fault) = &mut self.fault {
            let error = ready!(fault.poll(&mut self.call, cx));
            return Poll::Ready(Some(Err(error)));
        }
        if self.waiting {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
            }
            self.waiting = false;
        } else if let Some(at) = self.pause_before() {
            self.wait_until(at);
            return self.poll(cx);
        }
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(piece)));
        }
        match self.step {
            Step::Role => {
                self.step = Step::Content(1);
                self.chunk("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null")
            }
            Step::Content(number) => self.content(number, cx),
            Step::Finish => {
                self.step = Step::Usage;
                let reason = format!("\"{}\"", self.finish_reason);
                self.chunk("{}", &reason)
            }
            Step::Usage => {
                self.step = Step::Done;
                match self.usage.take() {
                    Some(line) => Poll::Ready(Some(Ok(line))),
                    None => self.poll(cx),
                }
            }
            Step::Done => {
                self.step = Step::End;
                self.call.finish();
                Poll::Ready(Some(Ok(Bytes::from_static(b"data: [DONE]\n\n"))))
            }
            Step::End => {
                self.call.finish();
                Poll::Ready(None)
            }
        }
    }

    /// When the next bytes are due, if not now.
    fn pause_before(&mut self) -> Option<Instant> {
        if !self.pieces.is_empty() {
            // Apart in time, the pieces stay apart on the wire.
            return Some(Instant::now() + Duration::from_millis(1));
        }
        match self.step {
            Step::Content(number) if number > 1 && number <= self.total => {
                if self.how.delay.is_zero() {
                    return None;
                }
                self.due += self.how.delay;
                Some(self.due)
            }
            _ => None,
        }
    }

    fn wait_until(&mut self, at: Instant) {
        self.waiting = true;
        match &mut self.pause {
            Some(pause) => pause.as_mut().reset(at),
            None => self.pause = Some(Box::pin(sleep_until(at))),
        }
    }

    fn content(&mut self, number: u32, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let sent = Some(number - 1);
        if self.how.cut == sent {
            self.fault = Some(Fault::Reset(Arc::clone(&self.reset), None));
            return self.poll(cx);
        }
        if self.how.stall == sent {
            self.fault = Some(Fault::Silence);
            return self.poll(cx);
        }
        if self.how.error_object == sent {
            self.step = Step::End;
            let line = Bytes::from_static(
                b"data: {\"error\":{\"message\":\"The server had an error while processing your request\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
            );
            return Poll::Ready(Some(Ok(line)));
        }
        if number > self.total {
            self.step = if self.how.no_done { Step::End } else { Step::Finish };
            return self.poll(cx);
        }
        self.step = Step::Content(number + 1);
        let line = self.content_line(number);
        if self.how.bad_json == Some(number) {
            let mut half = line.slice(..line.len() / 2).to_vec();
            half.extend_from_slice(b"\n\n");
            return Poll::Ready(Some(Ok(half.into())));
        }
        if self.how.utf8 {
            self.pieces = inside_characters(&line);
            if let Some(first) = self.pieces.pop_front() {
                return Poll::Ready(Some(Ok(first)));
            }
        }
        Poll::Ready(Some(Ok(line)))
    }

    fn content_line(&self, number: u32) -> Bytes {
        let mut line = String::with_capacity(self.head.len() + self.tail.len() + 96);
        line.push_str(&self.head);
        line.push_str("{\"content\":\"");
        match self.words.as_ref().and_then(|w| w.get(number as usize - 1)) {
            Some(word) => {
                let quoted = serde_json::Value::from(word.as_str()).to_string();
                line.push_str(&quoted[1..quoted.len() - 1]);
            }
            None => push_word(&mut line, &self.how, number),
        }
        line.push_str("\"},\"logprobs\":null,\"finish_reason\":null");
        line.push_str(self.tail);
        line.into()
    }

    fn chunk(&self, delta: &str, finish_reason: &str) -> Poll<Option<io::Result<Bytes>>> {
        let line = format!("{}{delta},\"logprobs\":null,\"finish_reason\":{finish_reason}{}", self.head, self.tail);
        Poll::Ready(Some(Ok(line.into())))
    }
}

/// Content chunk `number` (from 1) of an answer that nobody dictated; safe inside a JSON string.
pub(super) fn push_word(text: &mut String, how: &Behaviour, number: u32) {
    use std::fmt::Write as _;
    let space = if number > 1 { " " } else { "" };
    let _ = if how.stamps {
        write!(text, "@{}@ ", monotonic_ns())
    } else if how.utf8 {
        write!(text, "{space}żółć漢字🦀{number}")
    } else {
        write!(text, "{space}word{number}")
    };
}

/// Cuts a line after the first byte of each of its multi-byte characters.
fn inside_characters(line: &Bytes) -> VecDeque<Bytes> {
    let mut pieces = VecDeque::new();
    let mut from = 0;
    for (at, byte) in line.iter().enumerate() {
        if *byte >= 0b1100_0000 {
            pieces.push_back(line.slice(from..=at));
            from = at + 1;
        }
    }
    pieces.push_back(line.slice(from..));
    pieces
}
