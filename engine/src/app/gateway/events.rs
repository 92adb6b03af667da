//! What metering has to know of a response's stream. Its grammar: <https://platform.openai.com/docs/api-reference/responses-streaming>.
//!
//! Handed on in whole events, as they came. Only events that hold a response or an error are parsed: two at the beginning, one at the end. That
//! one is kept back until the bill has been stored.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::scan::{Scanned, end_of_events, first_event, holds, said};
use crate::domain::TokenUsage;
use crate::providers::sse::MAX_LINE;
use crate::providers::{Outcome, ProviderError};

/// Reads along.
pub(super) struct EventScanner {
    finders: Finders,
    /// The beginning of an event whose end has not come.
    partial: BytesMut,
    usage: Option<TokenUsage>,
    failure: Option<ProviderError>,
    /// The event that ends the response.
    last: Option<Bytes>,
    /// How many events have been handed on.
    told: u64,
    /// Bytes of text and arguments that came, as they are written in JSON.
    said: u64,
}

/// What is looked for.
struct Finders {
    response: Finder<'static>,
    error: Finder<'static>,
    delta: Finder<'static>,
}

enum Verdict {
    Keep,
    Done,
    Broken,
}

impl EventScanner {
    pub(super) fn new() -> Self {
        Self {
            finders: Finders {
                response: Finder::new("\"response\""),
                error: Finder::new("\"error\""),
                delta: Finder::new("\"delta\""),
            },
            partial: BytesMut::new(),
            usage: None,
            failure: None,
            last: None,
            told: 0,
            said: 0,
        }
    }

    pub(super) fn usage(&self) -> Option<TokenUsage> {
        self.usage
    }

    pub(super) fn failure(&mut self) -> ProviderError {
        self.failure.take().unwrap_or(ProviderError::Protocol("an event is too long"))
    }

    /// Whether the response has come to its end.
    pub(super) fn is_finished(&self) -> bool {
        self.last.is_some()
    }

    pub(super) fn said_bytes(&self) -> u64 {
        self.said
    }

    pub(super) fn take_last(&mut self) -> Option<Bytes> {
        self.last.take()
    }

    pub(super) fn told(&self) -> u64 {
        self.told
    }

    pub(super) fn feed(&mut self, piece: Bytes) -> Scanned {
        let piece = if self.partial.is_empty() {
            piece
        } else {
            self.partial.extend_from_slice(&piece);
            self.partial.split().freeze()
        };
        let end = end_of_events(&piece);
        self.partial.extend_from_slice(piece.get(end..).unwrap_or_default());
        match self.events(piece.slice(..end)) {
            Scanned::More(events) if self.partial.len() > MAX_EVENT => Scanned::Broken(events),
            scanned => scanned,
        }
    }

    /// The body is over: an event that lacks only its blank line is taken as whole.
    pub(super) fn end(&mut self) -> Scanned {
        let mut whole = self.partial.split();
        if whole.is_empty() {
            return Scanned::More(Bytes::new());
        }
        let ends = if whole.ends_with(b"\n") { 1 } else { 2 };
        whole.extend_from_slice(b"\n\n".get(..ends).unwrap_or_default());
        self.events(whole.freeze())
    }

    /// Looks at a run of whole events.
    fn events(&mut self, events: Bytes) -> Scanned {
        let mut at = 0;
        while at < events.len() {
            let rest = events.get(at..).unwrap_or_default();
            let length = first_event(rest);
            match self.look(rest.get(..length).unwrap_or(rest)) {
                Verdict::Keep => {}
                Verdict::Done => {
                    self.last = Some(events.slice(at..at + length));
                    return Scanned::Done(events.slice(..at));
                }
                Verdict::Broken => return Scanned::Broken(events.slice(..at)),
            }
            at += length;
        }
        Scanned::More(events)
    }

    fn look(&mut self, event: &[u8]) -> Verdict {
        let data = event.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"data:"));
        let Some(data) = data.map(<[u8]>::trim_ascii) else { return Verdict::Keep };
        let may_end = holds(&self.finders.response, data) || self.finders.error.find(data).is_some();
        // What cannot be read is the reader's own to judge.
        let outcome = if may_end { Outcome::of_event(data).unwrap_or_default() } else { Outcome::default() };
        self.usage = outcome.usage.or(self.usage);
        if outcome.failure.is_some() {
            self.failure = outcome.failure;
            return Verdict::Broken;
        }
        if outcome.is_over {
            return Verdict::Done;
        }
        self.told += 1;
        self.said += said(&self.finders.delta, data);
        Verdict::Keep
    }
}

/// The last event repeats all that was said, and the request's instructions and tools.
const MAX_EVENT: usize = 16 * MAX_LINE;

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"error\":null,\"usage\":null}}";
    const DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"say \\\"response.completed\\\"\",\"x\":[1]}";
    const COMPLETED: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":3,\"output_tokens\":5}}}";
    const ERROR: &str =
        "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"secret words\"}";

    fn run(scanner: &mut EventScanner, body: &str, size: usize) -> (String, &'static str) {
        let mut out = Vec::new();
        for piece in body.as_bytes().chunks(size) {
            let (events, end) = match scanner.feed(Bytes::copy_from_slice(piece)) {
                Scanned::More(events) => (events, None),
                Scanned::Done(events) => (events, Some("done")),
                Scanned::Broken(events) => (events, Some("broken")),
            };
            out.extend_from_slice(&events);
            if let Some(end) = end {
                return (String::from_utf8_lossy(&out).into_owned(), end);
            }
        }
        (String::from_utf8_lossy(&out).into_owned(), "open")
    }

    #[test]
    fn all_but_the_last_event_goes_through_at_once_however_it_is_cut_into_pieces() {
        for blank in ["\n\n", "\r\n\r\n"] {
            let events = format!("{CREATED}{blank}: hello{blank}{DELTA}{blank}");
            let body = format!("{events}{COMPLETED}{blank}data: [DONE]{blank}");
            for size in [1, 3, 64, 100_000] {
                let mut scanner = EventScanner::new();
                assert_eq!(run(&mut scanner, &body, size), (events.clone(), "done"), "{size}");
                assert_eq!(scanner.usage(), Some(TokenUsage::new(3, 5)));
                assert!(scanner.is_finished());
                assert_eq!(scanner.take_last(), Some(Bytes::from(format!("{COMPLETED}{blank}"))));
                assert_eq!(scanner.told(), 2);
                assert_eq!(scanner.said_bytes(), r#"say \"response.completed\""#.len() as u64);
            }
        }
    }

    #[test]
    fn what_the_provider_says_of_its_failure_is_kept_back() {
        let mut scanner = EventScanner::new();
        let body = format!("{CREATED}\n\n{ERROR}\n\n");
        assert_eq!(run(&mut scanner, &body, 30), (format!("{CREATED}\n\n"), "broken"));
        assert!(matches!(scanner.failure(), ProviderError::Unavailable { .. }));
        assert!(!scanner.is_finished());
    }

    #[test]
    fn a_stream_without_its_last_event_is_not_finished() {
        let mut scanner = EventScanner::new();
        assert_eq!(run(&mut scanner, &format!("{CREATED}\n\n{DELTA}\n\n"), 30).1, "open");
        assert!(!scanner.is_finished());
        run(&mut scanner, COMPLETED, 30);
        assert_eq!(scanner.end(), Scanned::Done(Bytes::new()));
        assert!(scanner.is_finished());
    }
}
