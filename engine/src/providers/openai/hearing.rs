//! What is said in an answer that is handed on as it came.

use bytes::Bytes;

use super::stream::Reader;
use crate::domain::FinishReason;
use crate::providers::Delta;
use crate::providers::deltas::Reader as _;
use crate::providers::sse::{Event, Parser};

/// Reads along what the first choice of an answer says.
#[derive(Default)]
pub struct Hearing {
    parser: Parser,
    reader: Reader,
    /// What it has said.
    pub text: String,
    /// Why it ended, once it has.
    pub finish: Option<FinishReason>,
}

impl Hearing {
    /// Takes events of a stream. What cannot be read is not heard.
    pub fn events(&mut self, events: Bytes) {
        self.parser.feed(events);
        while let Ok(Some(Event::Data(data))) = self.parser.next_event() {
            self.whole(&data);
        }
    }

    /// Takes a completion that comes whole, or one chunk.
    pub fn whole(&mut self, json: &[u8]) {
        // An error is its reader's own to judge.
        let _ = self.reader.read(json);
        for delta in self.reader.deltas().drain(..) {
            match delta {
                Delta::Text(text) => self.text.push_str(&text),
                Delta::Finish(reason) => self.finish = Some(reason),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_choices_words_are_heard_streamed_and_whole() {
        let mut hearing = Hearing::default();
        hearing.events(Bytes::from_static(
            b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}},{\"index\":1,\"delta\":{\"content\":\"no\"}}]}\n\n\
              data: not json\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\n",
        ));
        assert_eq!((hearing.text.as_str(), hearing.finish), ("Hello", Some(FinishReason::Stop)));
        let mut hearing = Hearing::default();
        hearing.whole(br#"{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"length"}]}"#);
        assert_eq!((hearing.text.as_str(), hearing.finish), ("Hi", Some(FinishReason::Length)));
    }
}
