//! Takes each setting from the strongest source that gives it, and collects what is wrong on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::time::Duration;

use super::file::{self, File};
use super::sections::Tables;
use super::setting::{Setting, unit_of};
use super::sources::Sources;
use super::table::{TABLE, find};
use super::value::{Raw, Value, parse};
use super::{dotenv, show};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File(String),
    Dotenv { file: String, name: String },
    Environment(String),
    Flag,
    Generated(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => f.write_str(path),
            Self::Dotenv { file, name } => write!(f, "{file} {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
            Self::Generated(from) => write!(f, "generated: {from}"),
        }
    }
}

/// One setting's value. Not `Debug`: it may be a secret.
pub(super) struct Entry {
    pub(super) setting: &'static Setting,
    pub(super) value: Option<Value>,
    pub(super) source: Source,
    /// What to show instead of the value.
    pub(super) shown: Option<String>,
    /// A source gave a value that was refused.
    pub(super) refused: bool,
}

/// Every setting's value, and what is wrong so far.
pub(super) struct Resolved {
    pub(super) entries: BTreeMap<&'static str, Entry>,
    pub(super) tables: Tables,
    pub(super) problems: Vec<String>,
    /// What is no problem, but worth a word.
    pub(super) notes: Vec<String>,
    /// A file could not be understood, so a setting that seems missing may stand there.
    pub(super) incomplete: bool,
}

/// What one name in one source says about a setting.
struct Candidate {
    source: Source,
    /// The name that tells a duration's unit.
    name: String,
    raw: Raw,
}

pub(super) fn resolve(sources: &Sources) -> Resolved {
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    let mut incomplete = false;

    for key in sources.flags.keys().filter(|key| find(key).is_none()) {
        problems.push(format!("flag: unknown setting {key:?}"));
    }
    let (file_name, mut file) = match &sources.file {
        Some(source) => (source.path.display().to_string(), file::parse(&source.text)),
        None => (String::new(), File::default()),
    };
    problems.extend(file.problems.iter().map(|problem| format!("{file_name}: {problem}")));
    incomplete |= file.unreadable;
    let (dotenv_name, dotenv) = match &sources.dotenv {
        Some(source) => (source.path.display().to_string(), dotenv::parse(&source.text)),
        None => (String::new(), dotenv::Dotenv::default()),
    };
    for line in &dotenv.bad_lines {
        problems.push(format!("{dotenv_name}: line {line} is not NAME=value"));
        incomplete = true;
    }
    let tables = Tables {
        values: std::mem::take(&mut file.tables),
        file: file_name.clone(),
        variables: dotenv
            .pairs
            .iter()
            .chain(&sources.env)
            .filter(|(_, text)| !text.trim().is_empty())
            .cloned()
            .collect(),
        ..Tables::default()
    };
    let env = Variables::new(&sources.env);
    let dotenv = Variables::new(&dotenv.pairs);
    notes.extend(env.mistyped().map(|name| format!("environment variable {name}: {MISTYPED}")));
    notes.extend(dotenv.mistyped().map(|name| format!("{dotenv_name}: {name}: {MISTYPED}")));

    let mut entries = BTreeMap::new();
    for setting in TABLE {
        let flag = sources.flags.get(setting.key).map(|text| Candidate {
            source: Source::Flag,
            name: setting.key.to_owned(),
            raw: Raw::One(text.clone()),
        });
        let from_file = file.values.remove(setting.key).map(|raw| Candidate {
            source: Source::File(file_name.clone()),
            name: setting.key.to_owned(),
            raw,
        });
        let layers = [
            flag.into_iter().collect(),
            env.candidates(setting, |name| Source::Environment(name.to_owned())),
            dotenv.candidates(setting, |name| Source::Dotenv { file: dotenv_name.clone(), name: name.to_owned() }),
            from_file.into_iter().collect(),
        ];
        let before = problems.len();
        // Weaker layers are checked too, so that their mistakes do not wait until they matter.
        let chosen = layers
            .into_iter()
            .map(|candidates| pick(setting, candidates, &mut problems, &mut notes))
            .fold(None, |stronger, weaker| stronger.or(weaker));
        let refused = problems.len() > before;
        let (value, source) = match chosen {
            Some((value, source)) => (Some(value), source),
            None => (default_of(setting, &mut problems), Source::Default),
        };
        entries.insert(setting.key, Entry { setting, value, source, shown: None, refused });
    }
    Resolved { entries, tables, problems, notes, incomplete }
}

/// The value of one layer. Of two names that disagree the one that the table names first holds: backends whose documents list both kept
/// two values under them.
fn pick(
    setting: &Setting,
    candidates: Vec<Candidate>,
    problems: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Option<(Value, Source)> {
    let mut chosen: Option<(Value, Source)> = None;
    for Candidate { source, name, raw } in candidates {
        let got = got(setting, &raw);
        match parse(setting.kind, unit(&name), raw) {
            Ok(None) => {}
            Ok(Some(value)) => match &chosen {
                None => chosen = Some((value, source)),
                Some((first, _)) if *first == value => {}
                Some((_, first)) => {
                    notes.push(format!(
                        "{}: {first} and {source} say different things; the first of them holds",
                        setting.key
                    ));
                }
            },
            Err(expected) => {
                problems.push(format!("{} ({source}): expected {}{got}", setting.key, expected.0));
            }
        }
    }
    chosen
}

/// `, got "…"`, unless that could tell a secret.
fn got(setting: &Setting, raw: &Raw) -> String {
    let (Raw::One(text) | Raw::Bare(text)) = raw else {
        return String::new();
    };
    if setting.kind.may_hold_secret() || text.contains('@') || text.contains("://") {
        return String::new();
    }
    format!(", got {:?}", text.chars().take(40).collect::<String>())
}

fn default_of(setting: &Setting, problems: &mut Vec<String>) -> Option<Value> {
    let raw = Raw::One(setting.default.to_owned());
    parse(setting.kind, unit(setting.key), raw).unwrap_or_else(|expected| {
        problems.push(format!("{} (default): expected {}", setting.key, expected.0));
        None
    })
}

fn unit(name: &str) -> Duration {
    unit_of(name).unwrap_or(Duration::from_secs(1))
}

/// What is said of a variable that names a known section and no setting.
const MISTYPED: &str = "no setting has this name, so it is ignored";

/// Environment variables by name; of two with one name the last counts.
struct Variables<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Variables<'a> {
    fn new(pairs: &'a [(String, String)]) -> Self {
        Self(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }

    /// The names that begin as settings do, with a section and `__`, and are none.
    fn mistyped(&self) -> impl Iterator<Item = &'a str> {
        let known: BTreeSet<String> = TABLE.iter().flat_map(Setting::env_names).collect();
        let section = |name: &str| name.split_once("__").map(|(section, _)| section.to_owned());
        let sections: BTreeSet<String> = known.iter().filter_map(|name| section(name)).collect();
        let is_numbered = {
            let known = known.clone();
            move |name: &str| {
                let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
                stem.len() < name.len() && known.contains(&format!("{stem}#"))
            }
        };
        let names: Vec<&'a str> = self.0.keys().copied().collect();
        names.into_iter().filter(move |name| {
            section(name).is_some_and(|section| sections.contains(&section))
                && !known.contains(*name)
                && !is_numbered(name)
        })
    }

    fn candidates(&self, setting: &Setting, source: impl Fn(&str) -> Source) -> Vec<Candidate> {
        let mut found = Vec::new();
        for name in setting.env_names() {
            if let Some(stem) = name.strip_suffix('#') {
                let numbered = self.numbered(stem);
                if let Some((first, _)) = numbered.first() {
                    found.push(Candidate {
                        source: source(first),
                        name: name.clone(),
                        raw: Raw::Many(numbered.into_iter().map(|(_, text)| text.to_owned()).collect()),
                    });
                }
            } else if let Some(text) = self.0.get(name.as_str()) {
                found.push(Candidate { source: source(&name), raw: Raw::One((*text).to_owned()), name });
            }
        }
        found
    }

    /// The variables `stem1`, `stem2` and so on that are not empty, in the order of their numbers; before them the
    /// one without a number.
    fn numbered(&self, stem: &str) -> Vec<(&'a str, &'a str)> {
        let bare = stem.trim_end_matches('_');
        let mut found: Vec<_> = self
            .0
            .range::<str, _>((Bound::Included(bare), Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(bare))
            .filter(|(_, text)| !text.trim().is_empty())
            .filter_map(|(&name, &text)| {
                let digits = match name.strip_prefix(stem) {
                    Some("") => return None,
                    Some(digits) => digits,
                    None if name == bare => "",
                    None => return None,
                };
                let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
                let digits = digits.trim_start_matches('0');
                is_number.then_some(((digits.len(), digits), name, text))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, name, text)| (name, text)).collect()
    }
}

impl Resolved {
    /// What each setting is and where that came from, for people.
    pub(super) fn provenance(&self) -> show::Provenance {
        let entries = TABLE.iter().filter_map(|setting| self.entries.get(setting.key));
        show::Provenance::new(entries, &self.tables.shown, self.notes.clone())
    }
}
