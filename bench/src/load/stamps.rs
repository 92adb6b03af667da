//! Finding tokens in a stream of any framing.

/// Longest run of digits that is taken for a stamp; 2^64 has twenty.
const MAX_DIGITS: usize = 20;
/// A machine up for ten seconds already shows eleven digits; shorter runs are other text.
const MIN_DIGITS: usize = 10;

/// Finds `@<digits>@` in bytes that come in arbitrary pieces, so SSE, JSON strings and plain text
/// need no parser of their own.
#[derive(Debug, Default)]
pub struct Stamps {
    /// Some while between an `@` and what follows it: the digits so far.
    open: Option<Digits>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Digits {
    value: u64,
    count: usize,
}

impl Stamps {
    /// Takes the next bytes; calls `found` with each stamp, in nanoseconds.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(u64)) {
        for byte in bytes {
            self.open = match (self.open, byte) {
                (Some(digits), b'@') if digits.count >= MIN_DIGITS => {
                    found(digits.value);
                    None
                }
                (_, b'@') => Some(Digits::default()),
                (Some(digits), b'0'..=b'9') if digits.count < MAX_DIGITS => Some(Digits {
                    value: digits.value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
                    count: digits.count + 1,
                }),
                _ => None,
            };
        }
    }
}

/// Whether a marker has gone by in bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Marker {
    tail: Vec<u8>,
    seen: bool,
}

impl Marker {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8], marker: &[u8]) {
        if self.seen || marker.is_empty() {
            return;
        }
        self.tail.extend_from_slice(bytes);
        self.seen = self.tail.windows(marker.len()).any(|w| w == marker);
        let old = self.tail.len().saturating_sub(marker.len() - 1);
        self.tail.drain(..old);
    }

    /// True from the marker's last byte on.
    #[must_use]
    pub fn seen(&self) -> bool {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_found_however_the_bytes_are_cut() {
        let text = b"data: {\"c\":\"@12345678901@ @23456789012@ a@b @5@\"}@34567890123@";
        for size in 1..text.len() {
            let (mut stamps, mut seen) = (Stamps::default(), Vec::new());
            text.chunks(size).for_each(|piece| stamps.feed(piece, |s| seen.push(s)));
            assert_eq!(seen, [12_345_678_901, 23_456_789_012, 34_567_890_123], "pieces of {size}");
        }
    }

    #[test]
    fn a_marker_is_seen_across_pieces() {
        for size in 1..20 {
            let mut marker = Marker::default();
            b"data: x\n\nevent: done\n".chunks(size).for_each(|piece| marker.feed(piece, b"event: done"));
            assert!(marker.seen());
        }
        let mut marker = Marker::default();
        marker.feed(b"event: don", b"event: done");
        assert!(!marker.seen());
    }
}
