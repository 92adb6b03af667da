//! Reads `.env` text.
//!
//! The ready-made readers put the process environment into values (`$NAME`) and quote the offending
//! line in their errors. Here a `$` is a `$`, so that a password with one stays what it is, and an
//! error names the line's number only.

/// The assignments of a `.env` text, and the numbers of the lines that are none.
#[derive(Default)]
pub(super) struct Dotenv {
    pub(super) pairs: Vec<(String, String)>,
    pub(super) bad_lines: Vec<usize>,
}

/// Reads `NAME=value` lines, with `export` before, `#` comments, `'as it is'`, `"with \n escapes"` (both
/// may span lines) or bare values that end at ` #`.
pub(super) fn parse(text: &str) -> Dotenv {
    let mut read = Dotenv::default();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line_number = 1;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let (taken, assignment) = match assignment(line, rest) {
            Ok((Some(value), taken)) => (taken, Ok(Some(value))),
            Ok((None, _)) => (rest.len() - after.len(), Ok(None)),
            Err(()) => (rest.len() - after.len(), Err(())),
        };
        match assignment {
            Ok(Some(pair)) => read.pairs.push(pair),
            Ok(None) => {}
            Err(()) => read.bad_lines.push(line_number),
        }
        let (done, left) = rest.split_at(taken);
        line_number += done.matches('\n').count();
        rest = left;
    }
    read
}

type Pair = (String, String);

/// The assignment that `line`, the first of `rest`, begins, and how many bytes of `rest` it takes.
fn assignment(line: &str, rest: &str) -> Result<(Option<Pair>, usize), ()> {
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Ok((None, 0));
    }
    let Some((left, _)) = line.split_once('=') else {
        // A bare name, which other readers take for "unset".
        let name = trimmed.strip_prefix("export ").unwrap_or(trimmed).trim();
        return if is_name(name) { Ok((None, 0)) } else { Err(()) };
    };
    let name = left.trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    if !is_name(name) {
        return Err(());
    }
    let from = left.len() + 1;
    let value_text = rest.get(from..).unwrap_or_default();
    let blank = value_text.len() - value_text.trim_start_matches([' ', '\t']).len();
    let value_text = value_text.get(blank..).unwrap_or_default();
    let (value, taken) = match value_text.chars().next() {
        Some(quote @ ('\'' | '"')) => quoted(value_text, quote)?,
        _ => bare(value_text),
    };
    Ok((Some((name.to_owned(), value)), from + blank + taken))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// A quoted value, and the bytes up to the end of its last line.
fn quoted(text: &str, quote: char) -> Result<(String, usize), ()> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            let after = text.get(at + 1..).unwrap_or_default();
            let (line, _) = after.split_once('\n').unwrap_or((after, ""));
            let comment = line.trim();
            if !(comment.is_empty() || comment.starts_with('#')) {
                return Err(());
            }
            return Ok((value, (at + 1 + line.len() + 1).min(text.len())));
        }
        if c == '\\' && quote == '"' {
            let (_, escaped) = chars.next().ok_or(())?;
            match escaped {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                '\\' | '"' | '\'' | '$' => value.push(escaped),
                other => value.extend(['\\', other]),
            }
        } else {
            value.push(c);
        }
    }
    Err(())
}

fn bare(text: &str) -> (String, usize) {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let comment = line
        .char_indices()
        .find(|&(at, c)| c == '#' && line.get(..at).is_some_and(|left| left.is_empty() || left.ends_with([' ', '\t'])))
        .map_or(line.len(), |(at, _)| at);
    let value = line.get(..comment).unwrap_or(line).trim().to_owned();
    (value, text.len() - after.len())
}
