//! A model's name, read as instructions.

use std::time::Duration;

/// What a model's name asks of the fake provider. The parts of a name are divided by `-`, `/`, `:`
/// or `_`; parts that say nothing here are ignored, and of a repeated part the first counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Behaviour {
    /// `<D>ms`: pause before every content chunk but the first.
    pub delay: Duration,
    /// `<N>tok`: content chunks in the answer.
    pub tokens: u32,
    /// `<T>ttft`: pause in milliseconds before the response's head.
    pub time_to_first: Duration,
    /// `ts`: content is the time of sending.
    pub stamps: bool,
    /// `err<NNN>`: that status instead of an answer.
    pub error: Option<u16>,
    /// `retryafter<S>`: the `Retry-After` header of an error, in seconds.
    pub retry_after: Option<u32>,
    /// `flaky<K>`: the first K calls for this very name answer 500.
    pub flaky: Option<u64>,
    /// `hang`: no response at all.
    pub hang: bool,
    /// `html`: a web page with status 200.
    pub html: bool,
    /// `hugeline`: one line that does not end.
    pub huge_line: bool,
    /// `nousage`: never any usage.
    pub no_usage: bool,
    /// `utf8`: multi-byte content, sent in pieces that end inside characters.
    pub utf8: bool,
    /// `echo`: the last user message is the answer.
    pub echo: bool,
    /// `full`: answers to what goes beyond text.
    pub full: bool,
    /// `length`: `finish_reason` is `length`.
    pub length: bool,
    /// `tool`: calls the first tool, until it has a result.
    pub tool: bool,
    /// `cached`: a third of the prompt's tokens came from the cache.
    pub cached: bool,
    /// `filtered`: the answer ends because of what it says.
    pub filtered: bool,
    /// `blocked`: Gemini does not answer to such a prompt.
    pub blocked: bool,
    /// `drip<D>`: a byte at a time, D milliseconds apart.
    pub drip: Option<Duration>,
    /// `badutf8<K>`: content chunk K (from 1) is not UTF-8.
    pub bad_utf8: Option<u32>,
    /// `cut<K>`: the connection is reset after K content chunks.
    pub cut: Option<u32>,
    /// `stall<K>`: silence after K content chunks, the connection stays.
    pub stall: Option<u32>,
    /// `badjson<K>`: content chunk K (from 1) ends in the middle of its JSON.
    pub bad_json: Option<u32>,
    /// `errobj<K>`: an error object after K content chunks, then the end.
    pub error_object: Option<u32>,
    /// `nodone`: the stream ends after its last content chunk.
    pub no_done: bool,
}

impl Behaviour {
    /// Reads a model's name; any name is a valid one.
    pub fn of(model: &str) -> Self {
        let parts: Vec<&str> = model.split(['-', '/', ':', '_']).collect();
        let flag = |name: &str| parts.contains(&name);
        Self {
            delay: Duration::from_millis(ending(&parts, "ms").unwrap_or(0)),
            tokens: ending(&parts, "tok").unwrap_or(20),
            time_to_first: Duration::from_millis(ending(&parts, "ttft").unwrap_or(0)),
            stamps: flag("ts"),
            error: beginning(&parts, "err").filter(|s| (400..600).contains(s)),
            retry_after: beginning(&parts, "retryafter"),
            flaky: beginning(&parts, "flaky"),
            hang: flag("hang"),
            html: flag("html"),
            huge_line: flag("hugeline"),
            no_usage: flag("nousage"),
            utf8: flag("utf8"),
            echo: flag("echo"),
            full: flag("full"),
            length: flag("length"),
            tool: flag("tool"),
            cached: flag("cached"),
            filtered: flag("filtered"),
            blocked: flag("blocked"),
            drip: beginning(&parts, "drip").map(Duration::from_millis),
            bad_utf8: beginning(&parts, "badutf8"),
            cut: beginning(&parts, "cut"),
            stall: beginning(&parts, "stall"),
            bad_json: beginning(&parts, "badjson"),
            error_object: beginning(&parts, "errobj"),
            no_done: flag("nodone"),
        }
    }
}

fn ending<T: std::str::FromStr>(parts: &[&str], suffix: &str) -> Option<T> {
    parts.iter().find_map(|part| part.strip_suffix(suffix)?.parse().ok())
}

fn beginning<T: std::str::FromStr>(parts: &[&str], prefix: &str) -> Option<T> {
    parts.iter().find_map(|part| part.strip_prefix(prefix)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_name_is_read() {
        let b = Behaviour::of("openai/mock-5ms-7tok-30ttft-ts-err429-retryafter9-cut3-flaky2");
        assert_eq!(b.delay, Duration::from_millis(5));
        assert_eq!(b.tokens, 7);
        assert_eq!(b.time_to_first, Duration::from_millis(30));
        assert!(b.stamps);
        assert_eq!(b.error, Some(429));
        assert_eq!(b.retry_after, Some(9));
        assert_eq!(b.cut, Some(3));
        assert_eq!(b.flaky, Some(2));
    }

    #[test]
    fn an_ordinary_name_means_twenty_tokens_at_once() {
        let b = Behaviour::of("gpt-4o-mini");
        assert_eq!(b, Behaviour::of(""));
        assert_eq!((b.tokens, b.delay), (20, Duration::ZERO));
        assert_eq!(b.error, None);
    }

    #[test]
    fn an_error_object_is_not_an_error_status() {
        let b = Behaviour::of("mock-errobj2");
        assert_eq!((b.error, b.error_object), (None, Some(2)));
    }
}
