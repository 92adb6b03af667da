//! Lines on their way to standard error. A server that is busy writes a line for every request: those of two milliseconds share a write.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line may wait for others.
const GATHER: Duration = Duration::from_millis(2);
/// Bytes that wait at most: whoever logs more writes them out itself, and so waits for a reader that is slow.
const MOST: usize = 256 * 1024;
/// Bytes that Linux writes to a pipe without anything in between: <https://man7.org/linux/man-pages/man7/pipe.7.html>.
const ATOMIC: usize = 4096;

/// What is written, and what waits to be. Cheap to clone.
pub(super) struct Lines<W = io::Stderr> {
    shared: Arc<Shared<W>>,
}

impl<W> Clone for Lines<W> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<W> {
    waiting: Mutex<Waiting>,
    came: Condvar,
    /// Held while lines are taken and written, so that they stay in order.
    out: Mutex<W>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Whether somebody will write what waits without being asked.
    is_served: bool,
}

impl<W: Write + Send + 'static> Lines<W> {
    /// Lines that go to `out`. Without a thread each is written as it comes.
    pub(super) fn new(out: W) -> Self {
        let shared = Arc::new(Shared { waiting: Mutex::default(), came: Condvar::new(), out: Mutex::new(out) });
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("parlor-log".to_owned()).spawn(move || serving.serve());
        shared.waiting().is_served = thread.is_ok();
        Self { shared }
    }

    /// Writes what waits.
    pub(super) fn flush(&self) {
        self.shared.flush();
    }
}

impl<W: Write> Shared<W> {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        loop {
            let mut waiting = self.waiting();
            while waiting.bytes.is_empty() {
                waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            drop(waiting);
            gather();
            self.flush();
        }
    }

    fn flush(&self) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = std::mem::take(&mut self.waiting().bytes);
        for piece in pieces(&bytes) {
            // There is no place left to say that it failed.
            let _ = out.write_all(piece);
        }
        let _ = out.flush();
        bytes.clear();
        let mut waiting = self.waiting();
        if waiting.bytes.is_empty() {
            // The next lines need no new memory.
            waiting.bytes = bytes;
        }
    }

    fn push(&self, line: &[u8], is_urgent: bool) {
        let mut waiting = self.waiting();
        let was_empty = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        let must_flush = is_urgent || !waiting.is_served || waiting.bytes.len() >= MOST;
        drop(waiting);
        if must_flush {
            self.flush();
        } else if was_empty {
            self.came.notify_one();
        }
    }
}

/// Whole lines, in pieces that a pipe takes at once: what others write to it stands between them then, and never inside of one. A longer line is a
/// piece by itself.
fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let room = bytes.get(..ATOMIC).unwrap_or(bytes);
        let newline = |&byte: &u8| byte == b'\n';
        let end = room.iter().rposition(newline).or_else(|| bytes.iter().position(newline));
        let (piece, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[allow(clippy::disallowed_methods, reason = "on a thread of its own, which nobody else needs")]
fn gather() {
    std::thread::sleep(GATHER);
}

/// Takes one line.
pub(super) struct Line<'a, W> {
    shared: &'a Shared<W>,
    /// Whether it says that something is wrong, and so may be the last.
    is_urgent: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.push(line, self.is_urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, W: Write + Send + 'static> MakeWriter<'a> for Lines<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { shared: &self.shared, is_urgent: false }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        Line { shared: &self.shared, is_urgent: *meta.level() <= Level::WARN }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Keeps what is written, one entry a write.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !bytes.is_empty() {
                self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn say(lines: &Lines<Kept>, line: &str) {
        lines.make_writer().write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn every_line_is_written_once_in_its_order() {
        let kept = Kept::default();
        let lines = Lines::new(kept.clone());
        let said: Vec<String> = (0..20_000).map(|number| format!("{number}\n")).collect();
        for line in &said {
            say(&lines, line);
        }
        lines.flush();
        assert_eq!(kept.0.lock().unwrap().concat(), said.concat());
    }

    #[test]
    fn lines_that_wait_share_a_write() {
        let kept = Kept::default();
        // Nobody serves here.
        let waiting = Mutex::new(Waiting { is_served: true, ..Waiting::default() });
        let shared = Shared { waiting, came: Condvar::new(), out: Mutex::new(kept.clone()) };
        shared.push(b"a\n", false);
        shared.push(b"b\n", false);
        assert_eq!(*kept.0.lock().unwrap(), [""; 0]);
        shared.flush();
        assert_eq!(*kept.0.lock().unwrap(), ["a\nb\n"]);
        let much = vec![b'c'; MOST];
        shared.push(&much, false);
        assert_eq!(kept.0.lock().unwrap().len(), 2, "more than may wait does not");
    }

    #[test]
    fn a_piece_is_made_of_whole_lines() {
        let line = |length: usize| format!("{}\n", "x".repeat(length - 1));
        let text = [line(3000), line(1000), line(200), line(9000), line(10)].concat();
        let lengths: Vec<usize> = pieces(text.as_bytes()).map(<[u8]>::len).collect();
        assert_eq!(lengths, [4000, 200, 9000, 10]);
        assert_eq!(pieces(b"no end").collect::<Vec<_>>(), [b"no end"]);
        assert_eq!(pieces(b"").count(), 0);
    }

    #[test]
    fn a_line_does_not_wait_for_another_and_what_is_wrong_does_not_wait() {
        let kept = Kept::default();
        let lines = Lines::new(kept.clone());
        say(&lines, "a\n");
        while kept.0.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        let logging = tracing_subscriber::fmt().with_writer(lines).with_ansi(false).without_time().finish();
        tracing::subscriber::with_default(logging, || {
            for wrong in [true, false] {
                match wrong {
                    true => tracing::warn!("beware"),
                    false => tracing::error!("broken"),
                }
                let told = if wrong { "beware" } else { "broken" };
                assert!(kept.0.lock().unwrap().concat().contains(told), "it is there when the call returns");
            }
        });
    }

    #[test]
    fn without_a_thread_lines_are_written_as_they_come() {
        let kept = Kept::default();
        let shared = Shared { waiting: Mutex::default(), came: Condvar::new(), out: Mutex::new(kept.clone()) };
        shared.push(b"a\n", false);
        shared.push(b"b\n", false);
        assert_eq!(*kept.0.lock().unwrap(), ["a\n", "b\n"]);
    }
}
