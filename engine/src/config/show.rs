//! Shows a configuration to people, without its secrets.

use super::resolve::Entry;
use super::setting::unit_of;
use super::value::Value;

const REDACTED: &str = "[redacted]";
/// Wider values push their own line only.
const MAX_COLUMN: usize = 48;

/// Each setting as it stands and where it came from. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    lines: Vec<ShownSetting>,
    notes: Vec<String>,
}

/// One setting of a [`Provenance`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSetting {
    /// The key in `parlor.toml`, or the path of a value in a section of several.
    pub key: String,
    /// The value in one line; `[redacted]` for a secret, `(unset)` for none.
    pub value: String,
    /// `default`, `flag`, the file's name, or `environment` and the variable's name.
    pub source: String,
}

impl ShownSetting {
    pub(super) fn new(key: String, value: &str, source: String) -> Self {
        Self { key: one_line(&key), value: one_line(value), source }
    }
}

impl Provenance {
    pub(super) fn new<'a>(
        entries: impl Iterator<Item = &'a Entry>,
        sections: &[ShownSetting],
        notes: Vec<String>,
    ) -> Self {
        let lines = entries
            .map(|entry| ShownSetting::new(entry.setting.key.to_owned(), &show(entry), entry.source.to_string()));
        Self { lines: lines.chain(sections.iter().cloned()).collect(), notes }
    }

    /// The settings, in the order of the table, then what the sections of several entries hold.
    #[must_use]
    pub fn settings(&self) -> &[ShownSetting] {
        &self.lines
    }

    /// What is no mistake, but worth a word at start-up; names only, no values.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn show(entry: &Entry) -> String {
    if let Some(shown) = &entry.shown {
        return shown.clone();
    }
    let kind = entry.setting.kind;
    match &entry.value {
        None => "(unset)".to_owned(),
        Some(Value::Text(_)) if kind.is_secret() => REDACTED.to_owned(),
        Some(Value::Text(url)) if kind.is_url_with_password() => redact_url(url),
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Integer(number)) => number.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Duration(time)) => {
            let unit = unit_of(entry.setting.key).map_or(1.0, |unit| unit.as_secs_f64());
            (time.as_secs_f64() / unit).to_string()
        }
        Some(Value::List(items)) if items.is_empty() => "(none)".to_owned(),
        Some(Value::List(items)) if kind.is_secret() => vec![REDACTED; items.len()].join(", "),
        Some(Value::List(items)) => items.join(", "),
    }
}

/// The URL without user, password and parameters. A path stays as it is.
pub(super) fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.contains(['@', '?']) { REDACTED.to_owned() } else { url.to_owned() };
    };
    // Up to the last `@`: a password may hold one, and a `?` or `/`, though it should not.
    let rest = match rest.rsplit_once('@') {
        Some((_, host)) => format!("{REDACTED}@{host}"),
        None => rest.to_owned(),
    };
    match rest.split_once('?') {
        Some((place, _)) => format!("{scheme}://{place}?{REDACTED}"),
        None => format!("{scheme}://{rest}"),
    }
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// The table that `parlor config show` prints.
#[must_use]
pub fn render(provenance: &Provenance) -> String {
    let width = |column: fn(&ShownSetting) -> &str| {
        let widths = provenance.lines.iter().map(|line| column(line).chars().count());
        widths.filter(|&width| width <= MAX_COLUMN).max().unwrap_or(0)
    };
    let (keys, values) = (width(|line| &line.key), width(|line| &line.value));
    let mut text = format!("  {:keys$}  {:values$}  SOURCE\n", "SETTING", "VALUE");
    for line in &provenance.lines {
        let ShownSetting { key, value, source } = line;
        text.push_str(&format!("  {key:keys$}  {value:values$}  {source}\n"));
    }
    if !provenance.notes.is_empty() {
        text.push('\n');
    }
    for note in &provenance.notes {
        text.push_str(&format!("! {note}\n"));
    }
    text
}
