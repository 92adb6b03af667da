//! Where an answer's chunks end: what lets a reader resume at an event's number even after a restart.
//!
//! Kept as one LEB128 number per chunk, its length in bytes: about one byte a chunk. <https://en.wikipedia.org/wiki/LEB128>

/// An answer's text and where its chunks end in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ChunkedText {
    text: String,
    /// Byte offsets, ascending.
    ends: Vec<u32>,
}

impl ChunkedText {
    /// Puts a stored answer together again. What the boundaries leave over, or cut wrongly, becomes one last chunk: no text is ever lost.
    pub(super) fn from_stored(text: String, encoded: &[u8]) -> Self {
        let mut ends = Vec::new();
        let mut end = 0_u32;
        for length in decode(encoded) {
            end = end.saturating_add(length);
            if length == 0 || !text.is_char_boundary(end as usize) {
                break;
            }
            ends.push(end);
        }
        let whole = u32::try_from(text.len()).unwrap_or(u32::MAX);
        if ends.last().copied().unwrap_or(0) != whole {
            ends.push(whole);
        }
        Self { text, ends }
    }

    /// Adds a chunk; an empty one is none.
    pub(super) fn push(&mut self, chunk: &str) {
        if chunk.is_empty() {
            return;
        }
        self.text.push_str(chunk);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    /// All that was said.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How many chunks there are.
    pub(super) fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Chunk `index`, from 0.
    pub(super) fn get(&self, index: u64) -> Option<&str> {
        let index = usize::try_from(index).ok()?;
        let end = *self.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        self.text.get(start..end)
    }

    /// The boundaries as they are stored.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(self.ends.len());
        let mut start = 0;
        for end in &self.ends {
            let mut length = end - start;
            start = *end;
            while length >= 0x80 {
                encoded.push(low_bits(length) | 0x80);
                length >>= 7;
            }
            encoded.push(low_bits(length));
        }
        encoded
    }
}

fn low_bits(value: u32) -> u8 {
    (value & 0x7f) as u8
}

/// The lengths, up to the first that is no number.
fn decode(encoded: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let mut bytes = encoded.iter();
    std::iter::from_fn(move || {
        let mut value = 0_u32;
        for shift in (0..32).step_by(7) {
            let byte = *bytes.next()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chunk_is_found_by_its_number() {
        let mut answer = ChunkedText::default();
        answer.push("Hello");
        answer.push("");
        answer.push(", wörld");
        assert_eq!(
            (answer.len(), answer.get(0), answer.get(1), answer.get(2)),
            (2, Some("Hello"), Some(", wörld"), None)
        );
    }

    #[test]
    fn text_without_good_boundaries_is_kept_whole() {
        let stored = |encoded: &[u8]| ChunkedText::from_stored("aöb".to_owned(), encoded);
        assert_eq!(stored(&[]).get(0), Some("aöb"));
        assert_eq!(stored(&[2]).get(0), Some("aöb"));
        assert_eq!(stored(&[1]).get(1), Some("öb"));
        assert_eq!(stored(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).get(0), Some("aöb"));
        assert_eq!(ChunkedText::from_stored(String::new(), &[]).len(), 0);
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back_chunk_by_chunk(chunks in proptest::collection::vec(".{0,300}", 0..40)) {
            let mut answer = ChunkedText::default();
            for chunk in &chunks {
                answer.push(chunk);
            }
            let again = ChunkedText::from_stored(answer.text().to_owned(), &answer.encode());
            prop_assert_eq!(again, answer);
        }
    }
}
