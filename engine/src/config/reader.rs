//! Hands the sections their values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::resolve::{Entry, Resolved, Source};
use super::sections::Entry as SectionEntry;
use super::setting::Choose;
use super::value::Value;

/// Reads typed values out of what was resolved. Asking for a key that the table lacks, or as another type, is
/// reported like any other problem: the first load in any test shows it.
pub(super) struct Reader {
    resolved: Resolved,
    asked: BTreeSet<&'static str>,
}

impl Reader {
    pub(super) fn new(resolved: Resolved) -> Self {
        Self { resolved, asked: BTreeSet::new() }
    }

    /// What was resolved, and the keys that were asked for.
    pub(super) fn finish(mut self) -> (Resolved, BTreeSet<&'static str>) {
        let problems = std::mem::take(&mut self.resolved.tables.problems);
        self.resolved.problems.extend(problems);
        (self.resolved, self.asked)
    }

    /// Reports what is wrong with the value of `key`.
    pub(super) fn problem(&mut self, key: &'static str, what: &str) {
        let source = match self.resolved.entries.get(key).map(|entry| &entry.source) {
            None | Some(Source::Default) => String::new(),
            Some(source) => format!(" ({source})"),
        };
        self.resolved.problems.push(format!("{key}{source}: {what}"));
    }

    /// Whether a value of `key` was refused, or could stand in a file that was not understood.
    pub(super) fn is_uncertain(&self, key: &str) -> bool {
        self.resolved.incomplete || self.resolved.entries.get(key).is_some_and(|entry| entry.refused)
    }

    /// Where the value of `key` came from; `None` for a default.
    pub(super) fn source(&self, key: &str) -> Option<Source> {
        let source = &self.resolved.entries.get(key)?.source;
        (*source != Source::Default).then(|| source.clone())
    }

    /// Shows `shown` for `key`, from `source` if it is given.
    pub(super) fn show_as(&mut self, key: &str, shown: String, source: Option<Source>) {
        if let Some(entry) = self.resolved.entries.get_mut(key) {
            entry.shown = Some(shown);
            if let Some(source) = source {
                entry.source = source;
            }
        }
    }

    /// The entries of a section that is a list of tables.
    pub(super) fn list_of<T: SectionEntry>(&mut self) -> Vec<T> {
        self.resolved.tables.list()
    }

    /// The entries of a section that is tables by name.
    pub(super) fn named<T: SectionEntry>(&mut self) -> BTreeMap<String, T> {
        self.resolved.tables.named()
    }

    /// Reports what is wrong with sections of several entries, taken together: a path and what is wrong there.
    pub(super) fn section_problem(&mut self, path: &str, what: &str) {
        let file = &self.resolved.tables.file;
        self.resolved.tables.problems.push(format!("{path} ({file}): {what}"));
    }

    fn get<T>(&mut self, key: &'static str, take: impl Fn(&Value) -> Option<T>) -> Option<T> {
        self.asked.insert(key);
        let entry: Option<&Entry> = self.resolved.entries.get(key);
        let taken = entry.map(|entry| entry.value.as_ref().map(take));
        match taken {
            Some(None) => None,
            Some(Some(Some(value))) => Some(value),
            None | Some(Some(None)) => {
                self.problem(key, "is not in the table of settings with this type");
                None
            }
        }
    }

    pub(super) fn opt_text(&mut self, key: &'static str) -> Option<String> {
        self.get(key, |value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    pub(super) fn text(&mut self, key: &'static str) -> String {
        self.opt_text(key).unwrap_or_default()
    }

    pub(super) fn opt_secret(&mut self, key: &'static str) -> Option<SecretString> {
        self.opt_text(key).map(SecretString::from)
    }

    pub(super) fn opt_path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.opt_text(key).map(PathBuf::from)
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> bool {
        self.get(key, |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// A number whose bounds in the table fit `T`.
    pub(super) fn integer<T: TryFrom<u64> + Default>(&mut self, key: &'static str) -> T {
        self.get(key, |value| match value {
            Value::Integer(number) => T::try_from(*number).ok(),
            _ => None,
        })
        .unwrap_or_default()
    }

    pub(super) fn number(&mut self, key: &'static str) -> f64 {
        self.get(key, |value| match value {
            Value::Number(number) => Some(*number),
            _ => None,
        })
        .unwrap_or_default()
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Duration {
        self.get(key, |value| match value {
            Value::Duration(duration) => Some(*duration),
            _ => None,
        })
        .unwrap_or_default()
    }

    pub(super) fn list(&mut self, key: &'static str) -> Vec<String> {
        self.get(key, |value| match value {
            Value::List(items) => Some(items.clone()),
            _ => None,
        })
        .unwrap_or_default()
    }

    pub(super) fn secrets(&mut self, key: &'static str) -> Vec<SecretString> {
        self.list(key).into_iter().map(SecretString::from).collect()
    }

    pub(super) fn choice<T: Choose + Default>(&mut self, key: &'static str) -> T {
        self.get(key, |value| match value {
            Value::Text(text) => {
                let at = T::NAMES.iter().position(|name| name == text)?;
                T::ALL.get(at).copied()
            }
            _ => None,
        })
        .unwrap_or_default()
    }
}
