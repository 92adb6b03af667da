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
/// The beginning of a character, and what cannot be its end.
const NOT_UTF8: [&[u8]; 2] = [b"\xe6\xbc", b"\xff"];
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
    /// A whole body as its model's name wants it: all of it, half of it before a fault, a byte at a time.
    pub fn whole(how: Behaviour, body: Bytes, mut call: Call, reset: Arc<AtomicBool>) -> Self {
        let part = body.slice(..body.len() / 2);
        if how.cut.is_some() {
            return Self::Faulty { part, fault: Fault::Reset(reset, None), call };
        }
        if how.stall.is_some() {
            return Self::Faulty { part, fault: Fault::Silence, call };
        }
        if how.drip.is_some() {
            let (head, tail, error) = (String::new(), String::new(), Bytes::new());
            let telling = Telling { opening: vec![body], head, tail, closing: Vec::new(), error };
            return Self::Stream(Box::new(Script::tell(how, telling, Some(Vec::new()), call, reset)));
        }
        call.finish();
        if how.bad_utf8.is_some() {
            let text = body.windows(4).position(|word| word == b"word").unwrap_or(part.len());
            return Self::Whole([&body[..text], NOT_UTF8[0], NOT_UTF8[1], &body[text..]].concat().into());
        }
        Self::Whole(if how.bad_json.is_some() { part } else { body })
    }

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

/// An event stream being told: what opens it, content, what closes it.
pub(super) struct Script {
    how: Behaviour,
    /// The content chunks in order; None: made up from their number.
    words: Option<Vec<String>>,
    total: u32,
    telling: Telling,
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
    /// The next event of the opening, from 0.
    Opening(usize),
    /// The next content chunk, from 1.
    Content(u32),
    /// The next event of the closing, from 0.
    Closing(usize),
    End,
}

/// The events of a stream in some protocol.
pub(super) struct Telling {
    pub opening: Vec<Bytes>,
    /// Everything of a content chunk's event before and after its text, which stands in a JSON string.
    pub head: String,
    pub tail: String,
    pub closing: Vec<Bytes>,
    /// An error in the middle.
    pub error: Bytes,
}

/// What a stream of chat completions is made of, besides its behaviour.
pub(super) struct Answer {
    pub model_json: String,
    pub words: Option<Vec<String>>,
    pub include_usage: bool,
    pub usage_json: String,
    pub finish_reason: &'static str,
}

impl Telling {
    /// A stream of chat completions: role, content, finish, usage, `[DONE]`.
    fn completions(answer: &Answer) -> Self {
        let event = format!(
            "data: {{\"id\":\"chatcmpl-fake\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":{},\"system_fingerprint\":null",
            answer.model_json
        );
        let tail = if answer.include_usage { "}],\"usage\":null}\n\n" } else { "}]}\n\n" };
        let head = format!("{event},\"choices\":[{{\"index\":0,\"delta\":");
        let chunk = |delta: &str, finish_reason: &str| {
            Bytes::from(format!("{head}{delta},\"logprobs\":null,\"finish_reason\":{finish_reason}{tail}"))
        };
        let opening = vec![chunk("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null")];
        let mut closing = vec![chunk("{}", &format!("\"{}\"", answer.finish_reason))];
        if answer.include_usage {
            closing.push(Bytes::from(format!("{event},\"choices\":[],\"usage\":{}}}\n\n", answer.usage_json)));
        }
        closing.push(Bytes::from_static(b"data: [DONE]\n\n"));
        Self {
            opening,
            tail: format!("\"}},\"logprobs\":null,\"finish_reason\":null{tail}"),
            head: format!("{head}{{\"content\":\""),
            closing,
            error: Bytes::from_static(
                b"data: {\"error\":{\"message\":\"The server had an error while processing your request\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
            ),
        }
    }
}

impl Script {
    pub fn new(how: Behaviour, answer: Answer, call: Call, reset: Arc<AtomicBool>) -> Self {
        Self::tell(how, Telling::completions(&answer), answer.words, call, reset)
    }

    pub fn tell(
        how: Behaviour,
        telling: Telling,
        words: Option<Vec<String>>,
        call: Call,
        reset: Arc<AtomicBool>,
    ) -> Self {
        let total = match &words {
            Some(words) => u32::try_from(words.len()).unwrap_or(u32::MAX),
            None => how.tokens,
        };
        Self {
            telling,
            words,
            total,
            step: Step::Opening(0),
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
            Step::Opening(at) => match self.telling.opening.get(at).cloned() {
                Some(event) => {
                    self.step = Step::Opening(at + 1);
                    self.say(event)
                }
                None => {
                    self.step = Step::Content(1);
                    self.poll(cx)
                }
            },
            Step::Content(number) => self.content(number, cx),
            Step::Closing(at) => match self.telling.closing.get(at).cloned() {
                Some(event) => {
                    self.step = Step::Closing(at + 1);
                    // Whoever hangs up at the last event has heard all of it.
                    if at + 1 == self.telling.closing.len() {
                        self.call.finish();
                    }
                    self.say(event)
                }
                None => {
                    self.step = Step::End;
                    self.poll(cx)
                }
            },
            Step::End => {
                self.call.finish();
                Poll::Ready(None)
            }
        }
    }

    /// Says an event at once, or a byte at a time.
    fn say(&mut self, event: Bytes) -> Poll<Option<io::Result<Bytes>>> {
        if self.how.drip.is_some() {
            self.pieces = (0..event.len()).map(|at| event.slice(at..=at)).collect();
        } else if self.how.utf8 {
            self.pieces = inside_characters(&event);
        }
        Poll::Ready(Some(Ok(self.pieces.pop_front().unwrap_or(event))))
    }

    /// When the next bytes are due, if not now.
    fn pause_before(&mut self) -> Option<Instant> {
        if !self.pieces.is_empty() {
            // Apart in time, the pieces stay apart on the wire.
            return Some(Instant::now() + self.how.drip.unwrap_or(Duration::from_millis(1)));
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
            let event = self.telling.error.clone();
            return self.say(event);
        }
        if number > self.total {
            self.step = if self.how.no_done { Step::End } else { Step::Closing(0) };
            return self.poll(cx);
        }
        self.step = Step::Content(number + 1);
        let line = self.content_line(number);
        if self.how.bad_json == Some(number) {
            let mut half = line.slice(..line.len() / 2).to_vec();
            half.extend_from_slice(b"\n\n");
            return Poll::Ready(Some(Ok(half.into())));
        }
        if self.how.bad_utf8 == Some(number) {
            let text = self.telling.head.len();
            let broken = [&line[..text], NOT_UTF8[0], NOT_UTF8[1], &line[text..]];
            self.pieces = broken.into_iter().map(Bytes::copy_from_slice).collect();
            return Poll::Ready(self.pieces.pop_front().map(Ok));
        }
        self.say(line)
    }

    fn content_line(&self, number: u32) -> Bytes {
        let Telling { head, tail, .. } = &self.telling;
        let mut line = String::with_capacity(head.len() + tail.len() + 96);
        line.push_str(head);
        match self.words.as_ref().and_then(|w| w.get(number as usize - 1)) {
            Some(word) => {
                let quoted = serde_json::Value::from(word.as_str()).to_string();
                line.push_str(&quoted[1..quoted.len() - 1]);
            }
            None => push_word(&mut line, &self.how, number),
        }
        line.push_str(tail);
        line.into()
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
