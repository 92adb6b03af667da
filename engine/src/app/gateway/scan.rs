//! What metering has to know of a stream of OpenAI's chunks, found in its bytes without reading them all as JSON.
//!
//! A stream is handed on in whole events, as they came. Of each event only what tells its kind is looked for; one that seems to hold usage or
//! an error is parsed, which are one or two in a stream.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;
use memchr::{memchr2, memrchr_iter};

use crate::domain::TokenUsage;
use crate::providers::sse::MAX_LINE;
use crate::providers::{ProviderError, Tally};

/// What a piece of the stream brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// These whole events, perhaps none, to hand on.
    More(Bytes),
    /// The last events before the mark of the end, which is kept back.
    Done(Bytes),
    /// What may be handed on before an error that the provider reports, or an event without end.
    Broken(Bytes),
}

/// Reads along.
pub(super) struct Scanner {
    finders: Arc<Finders>,
    /// The beginning of an event whose end has not come.
    partial: BytesMut,
    /// Whether the chunk that holds nothing but the usage is taken out: its reader has not asked for it.
    hide_usage: bool,
    usage: Option<TokenUsage>,
    cost_micros: Option<u64>,
    /// What the provider reported in the midst of its answer.
    failure: Option<ProviderError>,
    is_finished: bool,
    /// Bytes of text and arguments that came, as they are written in JSON.
    said: u64,
}

/// What is looked for; made once.
pub(super) struct Finders {
    usage: Finder<'static>,
    error: Finder<'static>,
    finish: Finder<'static>,
    content: Finder<'static>,
    arguments: Finder<'static>,
}

/// What is done with an event.
enum Verdict {
    Keep,
    Drop,
    Done,
    Broken,
}

impl Default for Finders {
    fn default() -> Self {
        Self {
            usage: Finder::new("\"usage\""),
            error: Finder::new("\"error\""),
            finish: Finder::new("\"finish_reason\""),
            // Of `reasoning_content` too.
            content: Finder::new("content\""),
            arguments: Finder::new("\"arguments\""),
        }
    }
}

impl Scanner {
    pub(super) fn new(finders: Arc<Finders>, hide_usage: bool) -> Self {
        Self {
            finders,
            partial: BytesMut::new(),
            hide_usage,
            usage: None,
            cost_micros: None,
            failure: None,
            is_finished: false,
            said: 0,
        }
    }

    /// The last count that the provider gave.
    pub(super) fn usage(&self) -> Option<TokenUsage> {
        self.usage
    }

    /// What the provider says that it cost, in millionths of a US dollar.
    pub(super) fn cost_micros(&self) -> Option<u64> {
        self.cost_micros
    }

    /// Why the answer is broken.
    pub(super) fn failure(&mut self) -> ProviderError {
        self.failure.take().unwrap_or(ProviderError::Protocol("an event is too long"))
    }

    /// Whether some choice has told why it ended.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Bytes of text and arguments that have come.
    pub(super) fn said_bytes(&self) -> u64 {
        self.said
    }

    /// Takes the next piece of the body.
    pub(super) fn feed(&mut self, piece: Bytes) -> Scanned {
        let piece = if self.partial.is_empty() {
            piece
        } else {
            self.partial.extend_from_slice(&piece);
            self.partial.split().freeze()
        };
        let end = end_of_events(&piece);
        self.partial.extend_from_slice(piece.get(end..).unwrap_or_default());
        let scanned = self.events(piece.slice(..end));
        match scanned {
            Scanned::More(events) if self.partial.len() > MAX_LINE => Scanned::Broken(events),
            scanned => scanned,
        }
    }

    /// The body is over: an event that lacks only its blank line is taken as whole.
    pub(super) fn end(&mut self) -> Scanned {
        let rest = self.partial.split();
        if rest.is_empty() {
            return Scanned::More(Bytes::new());
        }
        let ends = if rest.ends_with(b"\n") { 1 } else { 2 };
        let mut whole = rest;
        whole.extend_from_slice(b"\n\n".get(..ends).unwrap_or_default());
        self.events(whole.freeze())
    }

    /// Looks at a run of whole events.
    fn events(&mut self, events: Bytes) -> Scanned {
        // Copied only when something in their midst is left out.
        let mut kept: Option<BytesMut> = None;
        let mut at = 0;
        while at < events.len() {
            let rest = events.get(at..).unwrap_or_default();
            let length = first_event(rest);
            let event = rest.get(..length).unwrap_or(rest);
            match self.look(event) {
                Verdict::Keep => {
                    if let Some(kept) = &mut kept {
                        kept.extend_from_slice(event);
                    }
                }
                Verdict::Drop => {
                    kept.get_or_insert_with(|| BytesMut::from(events.get(..at).unwrap_or_default()));
                }
                Verdict::Done => return Scanned::Done(kept.map_or_else(|| events.slice(..at), BytesMut::freeze)),
                Verdict::Broken => return Scanned::Broken(kept.map_or_else(|| events.slice(..at), BytesMut::freeze)),
            }
            at += event.len();
        }
        Scanned::More(kept.map_or(events, BytesMut::freeze))
    }

    fn look(&mut self, event: &[u8]) -> Verdict {
        let Some(data) = data_of(event) else { return Verdict::Keep };
        if data == b"[DONE]" {
            return Verdict::Done;
        }
        self.said += said(&self.finders.content, data) + said(&self.finders.arguments, data);
        self.is_finished |= holds(&self.finders.finish, data);
        if !holds(&self.finders.usage, data) && !holds(&self.finders.error, data) {
            return Verdict::Keep;
        }
        match Tally::read(data) {
            Ok(tally) => {
                self.usage = tally.usage.or(self.usage);
                self.cost_micros = tally.cost_micros.or(self.cost_micros);
                if tally.usage.is_some() && tally.is_bare && self.hide_usage { Verdict::Drop } else { Verdict::Keep }
            }
            // What cannot be read is the reader's own to judge.
            Err(ProviderError::Protocol(_)) => Verdict::Keep,
            Err(error) => {
                self.failure = Some(error);
                Verdict::Broken
            }
        }
    }
}

/// Whether a member of that name is there and is not null. A name cannot occur inside of a text: the quotes around it would be escaped.
pub(super) fn holds(finder: &Finder<'_>, data: &[u8]) -> bool {
    finder.find_iter(data).any(|at| {
        let value = value_after(data, at + finder.needle().len());
        value.is_some_and(|value| !value.starts_with(b"null"))
    })
}

/// The bytes of all texts that members of that name hold.
pub(super) fn said(finder: &Finder<'_>, data: &[u8]) -> u64 {
    let lengths = finder.find_iter(data).filter_map(|at| {
        let text = value_after(data, at + finder.needle().len())?.strip_prefix(b"\"")?;
        Some(length_of_text(text) as u64)
    });
    lengths.sum()
}

/// What stands after a member's name: behind its colon.
fn value_after(data: &[u8], at: usize) -> Option<&[u8]> {
    let value = data.get(at..)?.trim_ascii_start().strip_prefix(b":")?;
    Some(value.trim_ascii_start())
}

/// Up to the quote that ends it.
fn length_of_text(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    text.len()
}

/// The data of an event that has one line of it; of any other, nothing is looked at.
fn data_of(event: &[u8]) -> Option<&[u8]> {
    Some(event.trim_ascii_start().strip_prefix(b"data:")?.trim_ascii())
}

/// Behind the last blank line.
pub(super) fn end_of_events(piece: &[u8]) -> usize {
    memrchr_iter(b'\n', piece).find(|at| is_blank_line(piece, *at)).map_or(0, |at| at + 1)
}

/// Behind the first blank line.
pub(super) fn first_event(events: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', events).find(|at| is_blank_line(events, *at)).map_or(events.len(), |at| at + 1)
}

/// Whether the newline at that place ends an empty line.
fn is_blank_line(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    before.ends_with(b"\n") || before.ends_with(b"\n\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: &str = r#"data: {"id":"x","choices":[{"index":0,"delta":{"content":"a \"usage\": \\"},"finish_reason":null}],"usage":null}"#;
    const FINISH: &str = r#"data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    const USAGE: &str =
        r#"data: {"id":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8,"more":{}}}"#;

    fn scanner(hide_usage: bool) -> Scanner {
        Scanner::new(Arc::default(), hide_usage)
    }

    fn stream(events: &[&str], blank: &str) -> String {
        events.iter().map(|event| format!("{event}{blank}")).collect()
    }

    /// Everything that is handed on, and how it ends, when the body comes in pieces of that size.
    fn run(scanner: &mut Scanner, body: &str, size: usize) -> (String, &'static str) {
        let mut out = Vec::new();
        for piece in body.as_bytes().chunks(size) {
            match scanner.feed(Bytes::copy_from_slice(piece)) {
                Scanned::More(events) => out.extend_from_slice(&events),
                Scanned::Done(events) => {
                    out.extend_from_slice(&events);
                    return (String::from_utf8_lossy(&out).into_owned(), "done");
                }
                Scanned::Broken(events) => {
                    out.extend_from_slice(&events);
                    return (String::from_utf8_lossy(&out).into_owned(), "broken");
                }
            }
        }
        (String::from_utf8_lossy(&out).into_owned(), "open")
    }

    #[test]
    fn a_stream_goes_through_as_it_came_however_it_is_cut_into_pieces() {
        for blank in ["\n\n", "\r\n\r\n"] {
            let events = stream(&[": hello", CHUNK, FINISH, USAGE], blank);
            let body = format!("{events}data: [DONE]{blank}");
            for size in [1, 2, 3, 7, 64, 100_000] {
                let mut scanner = scanner(false);
                assert_eq!(run(&mut scanner, &body, size), (events.clone(), "done"), "{size}");
                assert_eq!(scanner.usage(), Some(TokenUsage::new(3, 5)));
                assert!(scanner.is_finished());
            }
        }
    }

    #[test]
    fn the_usage_that_nobody_asked_for_is_taken_out_and_counted() {
        let body = stream(&[CHUNK, FINISH, USAGE, "data: [DONE]"], "\n\n");
        for size in [1, 50, 100_000] {
            let mut scanner = scanner(true);
            let (out, end) = run(&mut scanner, &body, size);
            assert_eq!((out, end), (stream(&[CHUNK, FINISH], "\n\n"), "done"), "{size}");
            assert_eq!(scanner.usage().map(TokenUsage::total), Some(8));
        }
    }

    #[test]
    fn usage_beside_choices_stays() {
        let both = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
        let mut scanner = scanner(true);
        assert_eq!(run(&mut scanner, &stream(&[both], "\n\n"), 9), (stream(&[both], "\n\n"), "open"));
        assert!(scanner.usage().is_some());
    }

    #[test]
    fn an_error_that_the_provider_reports_is_kept_back() {
        let error = r#"data: {"error":{"message":"secret words"}}"#;
        let mut scanner = scanner(false);
        assert_eq!(run(&mut scanner, &stream(&[CHUNK, error], "\n\n"), 30), (stream(&[CHUNK], "\n\n"), "broken"));
        let harmless = r#"data: {"choices":[{"delta":{"content":"x"}}],"error":null}"#;
        assert_eq!(run(&mut Scanner::new(Arc::default(), false), &stream(&[harmless], "\n\n"), 30).1, "open");
    }

    #[test]
    fn an_event_that_lacks_its_blank_line_is_whole_at_the_end() {
        for (body, finished) in [(FINISH.to_owned(), true), (format!("{FINISH}\n"), true), (CHUNK.to_owned(), false)] {
            let mut scanner = scanner(false);
            run(&mut scanner, &body, 10);
            assert_eq!(scanner.end(), Scanned::More(Bytes::from(format!("{}\n\n", body.trim_end()))));
            assert_eq!(scanner.is_finished(), finished);
        }
    }

    #[test]
    fn what_was_said_is_measured_without_its_envelope() {
        let mut scanner = scanner(false);
        let call = r#"data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments": "12345678"}}]}}]}"#;
        let thought = r#"data: {"choices":[{"delta":{"reasoning_content":"1234"}}]}"#;
        run(&mut scanner, &stream(&[CHUNK, call, thought, FINISH], "\n\n"), 11);
        assert_eq!(scanner.said, r#"a \"usage\": \\"#.len() as u64 + 8 + 4);
    }

    #[test]
    fn an_event_without_end_is_not_collected_for_ever() {
        let mut scanner = scanner(false);
        let piece = Bytes::from(vec![b'x'; MAX_LINE / 2]);
        assert_eq!(scanner.feed(piece.clone()), Scanned::More(Bytes::new()));
        scanner.feed(piece.clone());
        assert_eq!(scanner.feed(piece), Scanned::Broken(Bytes::new()));
    }
}
