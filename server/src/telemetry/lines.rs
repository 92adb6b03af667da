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
        // There is no place left to say that it failed.
        let _ = out.write_all(&bytes).and_then(|()| out.flush());
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
        let written = kept.0.lock().unwrap().clone();
        assert_eq!(written.concat(), said.concat());
        assert!(written.len() < said.len() / 2, "{} writes", written.len());
    }

    #[test]
    fn a_line_does_not_wait_for_another_and_what_is_wrong_does_not_wait() {
        let kept = Kept::default();
        let lines = Lines::new(kept.clone());
        say(&lines, "a\n");
        while kept.0.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        let urgent = Line { shared: &lines.shared, is_urgent: true }.write_all(b"b\n");
        urgent.unwrap();
        assert_eq!(kept.0.lock().unwrap().concat(), "a\nb\n");
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
