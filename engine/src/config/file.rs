//! Reads `parlor.toml` and finds what in it is no setting.

use std::collections::BTreeMap;

use toml::Value as Toml;

use super::sections;
use super::table::{SECTIONS, TABLE};
use super::value::Raw;

/// The settings that a file gives, by key, and its problems (without the file's name).
#[derive(Default)]
pub(super) struct File {
    pub(super) values: BTreeMap<&'static str, Raw>,
    /// The sections that are more than values, by name.
    pub(super) tables: BTreeMap<&'static str, Toml>,
    pub(super) problems: Vec<String>,
    /// The text is no TOML, so what it would have set is not known.
    pub(super) unreadable: bool,
}

pub(super) fn parse(text: &str) -> File {
    let mut file = File::default();
    match text.parse::<toml::Table>() {
        Ok(table) => walk(&mut file, "", table),
        Err(error) => {
            // The error's own display quotes the line, which may hold a secret.
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1;
            file.problems.push(format!("line {line} is not TOML (are texts in quotes?)"));
            file.unreadable = true;
        }
    }
    file
}

fn walk(file: &mut File, prefix: &str, table: toml::Table) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        if let Some(setting) = TABLE.iter().find(|setting| setting.key == key) {
            file.values.insert(setting.key, raw(value));
            continue;
        }
        if let Some(section) = sections::find(&key) {
            file.tables.insert(section.name, value);
            continue;
        }
        let is_section = SECTIONS.iter().any(|&(section, _)| section == key);
        match value {
            Toml::Table(inner) if is_section => walk(file, &key, inner),
            _ if is_section => file.problems.push(format!("{key:?} is a section: write [{key}]")),
            _ => file.problems.push(match nearest(&key) {
                Some(known) => format!("unknown key {key:?}; did you mean {known:?}?"),
                None => format!("unknown key {key:?}"),
            }),
        }
    }
}

fn raw(value: Toml) -> Raw {
    match value {
        Toml::String(text) => Raw::One(text),
        Toml::Integer(number) => Raw::Bare(number.to_string()),
        Toml::Float(number) => Raw::Bare(number.to_string()),
        Toml::Boolean(value) => Raw::Bare(value.to_string()),
        Toml::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Toml::String(text) => Some(text),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map_or(Raw::Other, Raw::Many),
        Toml::Datetime(_) | Toml::Table(_) => Raw::Other,
    }
}

/// The key or section that `key` most likely stands for: by its environment name, by its last word, or by few
/// letters' difference.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    let by_env = TABLE.iter().find(|setting| setting.env_names().iter().any(|name| name.eq_ignore_ascii_case(key)));
    if let Some(setting) = by_env {
        return Some(setting.key);
    }
    let last = key.rsplit('.').next().unwrap_or(key);
    let keys = TABLE.iter().map(|setting| (setting.key, setting.section_and_name().1));
    let sections = SECTIONS.iter().map(|&(section, _)| (section, section));
    let more = sections::SECTIONS.iter().map(|section| (section.name, section.name));
    keys.chain(sections)
        .chain(more)
        .map(|(known, name)| {
            let by_name = if key == last { distance(last, name) } else { distance(last, name) + 1 };
            (distance(key, known).min(by_name), known)
        })
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= (key.chars().count() / 4).clamp(1, 4))
        .map(|(_, known)| known)
}

/// Levenshtein's distance. The first 64 characters decide.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (j, (b, above)) in right.iter().zip(row.windows(2)).enumerate() {
            let left = next.get(j).copied().unwrap_or_default();
            if let [diagonal, above] = *above {
                next.push((diagonal + usize::from(a != *b)).min(above + 1).min(left + 1));
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
