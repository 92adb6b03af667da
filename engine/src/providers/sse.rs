//! A bounded, incremental parser of server-sent events, over the pieces that the network delivers.
//!
//! The format: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.
//! Only `data` counts here: event names, ids and comments carry nothing in the providers' protocols.
//! An event that lies within one piece is handed out without copying.

use bytes::{Bytes, BytesMut};

use super::error::ProviderError;

/// The longest line, and the most data of one event, in bytes.
pub const MAX_LINE: usize = 1024 * 1024;

const TOO_LONG: ProviderError = ProviderError::Protocol("an event is too long");
const NOT_UTF8: ProviderError = ProviderError::Protocol("an event is not UTF-8");
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What a stream consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The data of an event, its lines joined by newlines; valid UTF-8.
    Data(Bytes),
    /// `[DONE]`: OpenAI's mark of the end. Nothing follows.
    Done,
}

/// The parser's state between two pieces.
#[derive(Debug, Default)]
pub struct Parser {
    /// What is left of the piece at hand.
    piece: Bytes,
    /// The beginning of a line whose end has not come yet.
    partial: BytesMut,
    data: Data,
    /// The last line ended in CR: an LF right after it belongs to that end.
    after_cr: bool,
    past_first_line: bool,
    done: bool,
}

/// The data lines of the event at hand.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Parser {
    /// Takes the next piece. Call it when [`Self::next_event`] has nothing more to give.
    pub fn feed(&mut self, piece: Bytes) {
        if self.piece.is_empty() {
            self.piece = piece;
        } else {
            let mut joined = BytesMut::from(std::mem::take(&mut self.piece));
            joined.extend_from_slice(&piece);
            self.piece = joined.freeze();
        }
    }

    /// The next event of what was fed; `None` when more is needed, or after [`Event::Done`].
    ///
    /// # Errors
    /// [`ProviderError::Protocol`] for a line or an event over [`MAX_LINE`], and for data that is
    /// not UTF-8. The parser is of no use afterwards.
    pub fn next_event(&mut self) -> Result<Option<Event>, ProviderError> {
        while !self.done {
            let Some(line) = self.next_line()? else { return Ok(None) };
            if let Some(event) = self.take_line(line)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// The stream is over: the event that lacks only its blank line, if there is one. The format
    /// drops it, but services have been seen to end their last event with the connection.
    ///
    /// # Errors
    /// As [`Self::next_event`].
    pub fn end(&mut self) -> Result<Option<Event>, ProviderError> {
        if self.done {
            return Ok(None);
        }
        let rest = self.partial.split().freeze();
        if !rest.is_empty() {
            self.take_line(rest)?;
        }
        self.take_line(Bytes::new())
    }

    /// The next whole line, without its end.
    fn next_line(&mut self) -> Result<Option<Bytes>, ProviderError> {
        if self.after_cr && !self.piece.is_empty() {
            self.after_cr = false;
            if self.piece.first() == Some(&b'\n') {
                drop(self.piece.split_to(1));
            }
        }
        let end = line_end(&self.piece);
        if self.partial.len() + end.unwrap_or(self.piece.len()) > MAX_LINE {
            return Err(TOO_LONG);
        }
        let Some(end) = end else {
            self.partial.extend_from_slice(&self.piece);
            self.piece = Bytes::new();
            return Ok(None);
        };
        let mut line = self.piece.split_to(end + 1);
        self.after_cr = line.last() == Some(&b'\r');
        line.truncate(end);
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(&line);
            line = self.partial.split().freeze();
        }
        Ok(Some(line))
    }

    fn take_line(&mut self, mut line: Bytes) -> Result<Option<Event>, ProviderError> {
        if !self.past_first_line {
            self.past_first_line = true;
            if line.starts_with(BYTE_ORDER_MARK) {
                drop(line.split_to(BYTE_ORDER_MARK.len()));
            }
        }
        if line.is_empty() {
            return Ok(self.take_event());
        }
        if let Some(value) = data_of(line) {
            self.add_data(value)?;
        }
        Ok(None)
    }

    fn add_data(&mut self, value: Bytes) -> Result<(), ProviderError> {
        if std::str::from_utf8(&value).is_err() {
            return Err(NOT_UTF8);
        }
        self.data = match std::mem::take(&mut self.data) {
            Data::None => Data::One(value),
            Data::One(first) => join(BytesMut::from(first), &value)?,
            Data::Many(lines) => join(lines, &value)?,
        };
        Ok(())
    }

    fn take_event(&mut self) -> Option<Event> {
        let data = match std::mem::take(&mut self.data) {
            Data::None => return None,
            Data::One(data) => data,
            Data::Many(data) => data.freeze(),
        };
        if data == b"[DONE]".as_slice() {
            self.done = true;
            self.piece = Bytes::new();
            return Some(Event::Done);
        }
        Some(Event::Data(data))
    }
}

/// Where the first line ends. Whole blocks are searched first, without a branch for each byte: that
/// halves the cost of an event.
fn line_end(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let has_end = |block: &[u8; BLOCK]| block.iter().fold(false, |found, byte| found | is_end(byte));
    let start = blocks.iter().take_while(|block| !has_end(block)).count() * BLOCK;
    bytes.get(start..)?.iter().position(is_end).map(|at| start + at)
}

fn join(mut lines: BytesMut, line: &[u8]) -> Result<Data, ProviderError> {
    if lines.len() + 1 + line.len() > MAX_LINE {
        return Err(TOO_LONG);
    }
    lines.extend_from_slice(b"\n");
    lines.extend_from_slice(line);
    Ok(Data::Many(lines))
}

/// The value of a `data` line; `None` for a comment or another field.
fn data_of(mut line: Bytes) -> Option<Bytes> {
    let skip = match line.strip_prefix(b"data")? {
        [] => 4,
        [b':', b' ', ..] => 6,
        [b':', ..] => 5,
        _ => return None,
    };
    Some(line.split_off(skip))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// All events of the pieces, and what ended them.
    fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Option<ProviderError>) {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        let run = || {
            for piece in pieces {
                parser.feed(Bytes::copy_from_slice(piece));
                while let Some(event) = parser.next_event()? {
                    events.push(event);
                }
            }
            events.extend(parser.end()?);
            Ok(())
        };
        let error = run().err();
        (events, error)
    }

    fn data(text: &str) -> Event {
        Event::Data(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn whole(text: &str) -> Vec<Event> {
        let (events, error) = events([text.as_bytes()]);
        assert_eq!(error, None);
        events
    }

    #[test]
    fn lines_end_in_lf_crlf_or_cr() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["data: one", "data: more", "", "data: two", "", ""].join(end);
            assert_eq!(whole(&text), [data("one\nmore"), data("two")]);
        }
    }

    #[test]
    fn data_lines_are_joined_by_newlines() {
        assert_eq!(whole("data: a\ndata:b\ndata\ndata:  c\n\n"), [data("a\nb\n\n c")]);
    }

    #[test]
    fn comments_other_fields_and_empty_events_are_passed_over() {
        assert_eq!(whole(": hello\nevent: x\nid: 7\nretry: 3\ndatax: no\n\n\n\ndata: yes\n\n"), [data("yes")]);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_at_the_beginning_only() {
        assert_eq!(whole("\u{feff}data: a\n\n\u{feff}data: b\n\n"), [data("a")]);
    }

    #[test]
    fn nothing_follows_done() {
        assert_eq!(whole("data: a\n\ndata: [DONE]\n\ndata: b\n\n"), [data("a"), Event::Done]);
    }

    #[test]
    fn an_event_without_its_blank_line_counts_at_the_end() {
        assert_eq!(whole("data: a\n\ndata: [DONE]"), [data("a"), Event::Done]);
    }

    #[test]
    fn an_event_within_one_piece_is_not_copied() {
        let piece = Bytes::from_static(b"data: hello\n\n");
        let mut parser = Parser::default();
        parser.feed(piece.clone());
        let Some(Event::Data(data)) = parser.next_event().unwrap() else { unreachable!() };
        assert_eq!(data.as_ptr(), piece.slice(6..).as_ptr());
    }

    #[test]
    fn a_line_over_the_limit_is_refused_whether_it_ends_or_not() {
        let long = vec![b'x'; MAX_LINE + 1];
        assert_eq!(events([long.as_slice()]).1, Some(TOO_LONG));
        assert_eq!(events([long.as_slice(), b"\n"]).1, Some(TOO_LONG));
        assert_eq!(events(long.chunks(1000)).1, Some(TOO_LONG));
        let mut longest = b"data: ".to_vec();
        longest.resize(MAX_LINE, b'x');
        longest.extend_from_slice(b"\n\n");
        assert_eq!(events(longest.chunks(1000)).1, None);
    }

    #[test]
    fn an_event_over_the_limit_is_refused() {
        let line = [b"data: ".as_slice(), &vec![b'x'; 600_000], b"\n"].concat();
        assert_eq!(events([line.as_slice(), line.as_slice()]).1, Some(TOO_LONG));
    }

    #[test]
    fn data_that_is_not_utf8_is_refused() {
        assert_eq!(events([b"data: \xff\n\n".as_slice()]).1, Some(NOT_UTF8));
    }

    proptest! {
        #[test]
        fn any_split_of_the_same_bytes_gives_the_same_events(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "data: ", "data:", "data", ":", " ", "\n", "\r", "\r\n", "\n\n", "äöü", "🦜", "event: x", "\u{feff}",
                    "data: [DONE]\n\n", "{\"a\":1}", "x",
                ]),
                0..40,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let text = parts.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).filter_map(|cut| text.get(*cut.first()?..*cut.last()?));
            let expected = events([text.as_slice()]);
            prop_assert_eq!(events(pieces), expected.clone());
            prop_assert_eq!(events(text.chunks(1)), expected);
        }

        #[test]
        fn any_bytes_split_anywhere_fail_alike(text in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..50) {
            prop_assert_eq!(events(text.chunks(size)), events([text.as_slice()]));
        }
    }
}
