//! The parts of `parlor.toml` that are more than one value: lists of tables (`[[upstreams]]`) and tables by name
//! (`[routes.fast]`).
//!
//! What is one value is a row of [`super::table`], and can be set from the environment too; what comes in any number
//! stands in the file alone. To add such a section:
//!
//! 1. Write `config/quotas.rs`: a type for one entry that derives `Debug`, `Clone`, `Deserialize` and `Serialize`, with
//!    `#[serde(deny_unknown_fields)]`, and implements [`Entry`]. `Serialize` is what `parlor config show` shows, with
//!    the defaults: a key is an [`super::ApiKey`], which shows itself redacted. The types of [`super::fields`] check
//!    what is written (bounded numbers and times, addresses, keys from `env:NAME`); [`Entry::check`] what else must hold.
//! 2. In `config/mod.rs`: `mod quotas;`, a field of `Settings` (`pub quotas: Vec<QuotaSettings>`), and in `assemble`
//!    its line: `quotas: reader.list_of()`, or `reader.named()` for tables by name.
//! 3. Add `&QuotaSettings::SECTION` to [`SECTIONS`], and run the tests once with `UPDATE_EXAMPLES=1`.
//!
//! Each entry is read by itself, so that a mistake in one hides none in the others. Problems are told with their path,
//! `routes.fast.targets[1].model`, and never with the value, which may be a secret in the wrong place.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Value as Toml;

use super::metering::{PriceSettings, QuotaSettings};
use super::moderation::ModerationRule;
use super::resolve::Source;
use super::routes::RouteSettings;
use super::show::ShownSetting;
use super::tools::{HttpToolSettings, McpServerSettings};
use super::upstreams::UpstreamSettings;

/// Every section of this kind, in the order of the example.
pub(super) static SECTIONS: &[&Section] = &[
    &UpstreamSettings::SECTION,
    &RouteSettings::SECTION,
    &PriceSettings::SECTION,
    &QuotaSettings::SECTION,
    &ModerationRule::SECTION,
    &HttpToolSettings::SECTION,
    &McpServerSettings::SECTION,
];

/// What a section is called and what it is for.
pub(super) struct Section {
    /// Its name in `parlor.toml`; none of `table::SECTIONS`.
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// One line or more for the example.
    pub(super) about: &'static str,
    /// TOML that loads as it stands; the example shows it commented out.
    pub(super) example: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `[[name]]`, in an order that counts.
    List,
    /// `[name.entry]`.
    Named,
}

/// One entry of a section.
pub(super) trait Entry: DeserializeOwned + Serialize {
    const SECTION: Section;

    /// Reports what its types do not, and looks up what stands elsewhere.
    fn check(&mut self, check: &mut Check<'_>);
}

/// Takes the problems of one entry.
pub(super) struct Check<'a> {
    path: &'a str,
    tables: &'a Tables,
    problems: Vec<String>,
}

impl Check<'_> {
    /// Reports what is wrong with `field` (`targets[1].model`) of the entry, or with the entry, where that is empty.
    pub(super) fn problem(&mut self, field: &str, what: impl Display) {
        let dot = if field.is_empty() { "" } else { "." };
        self.problems.push(format!("{}{dot}{field} ({}): {what}", self.path, self.tables.file));
    }

    /// An environment variable that is not empty; the environment wins over `.env`.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.tables.variables.get(name).map(String::as_str)
    }
}

/// What the file holds of such sections. It may hold secrets, so it does not implement `Debug`.
#[derive(Default)]
pub(super) struct Tables {
    /// By section.
    pub(super) values: BTreeMap<&'static str, Toml>,
    /// The file's name.
    pub(super) file: String,
    /// The environment and, weaker, `.env`.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) problems: Vec<String>,
    /// Every value of what was read, with its path.
    pub(super) shown: Vec<ShownSetting>,
}

/// The section of this name.
pub(super) fn find(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().copied().find(|section| section.name == name)
}

impl Section {
    /// How its entries begin.
    pub(super) fn heading(&self) -> String {
        match self.shape {
            Shape::List => format!("[[{}]]", self.name),
            Shape::Named => format!("[{}.NAME]", self.name),
        }
    }
}

impl Tables {
    /// The good entries of a list.
    pub(super) fn list<T: Entry>(&mut self) -> Vec<T> {
        let items = match self.values.remove(T::SECTION.name) {
            None => Vec::new(),
            Some(Toml::Array(items)) => items,
            Some(_) => return self.misshapen(&T::SECTION),
        };
        let read = |(index, item)| self.entry(&format!("{}[{index}]", T::SECTION.name), item);
        items.into_iter().enumerate().filter_map(read).collect()
    }

    /// The good entries of a section of named tables.
    pub(super) fn named<T: Entry>(&mut self) -> BTreeMap<String, T> {
        let items = match self.values.remove(T::SECTION.name) {
            None => toml::Table::new(),
            Some(Toml::Table(items)) => items,
            Some(_) => return self.misshapen(&T::SECTION),
        };
        let mut read = |(name, item)| {
            let entry = self.entry(&format!("{}.{name}", T::SECTION.name), item)?;
            Some((name, entry))
        };
        items.into_iter().filter_map(&mut read).collect()
    }

    fn misshapen<C: Default>(&mut self, section: &Section) -> C {
        let (name, heading) = (section.name, section.heading());
        self.problems.push(format!("{}: {name:?} has entries of its own: write {heading}", self.file));
        C::default()
    }

    fn entry<T: Entry>(&mut self, path: &str, value: Toml) -> Option<T> {
        let mut entry: T = match serde_path_to_error::deserialize(value) {
            Ok(entry) => entry,
            Err(error) => {
                let inside = error.path().to_string();
                let place = if inside == "." { path.to_owned() } else { format!("{path}.{inside}") };
                self.problems.push(format!("{place} ({}): {}", self.file, without_value(error.inner().message())));
                return None;
            }
        };
        let mut check = Check { path, tables: self, problems: Vec::new() };
        entry.check(&mut check);
        let problems = check.problems;
        self.problems.extend(problems);
        match Toml::try_from(&entry) {
            Ok(value) => self.show(path, &value),
            Err(_) => self.problems.push(format!("{path} ({}): cannot be shown", self.file)),
        }
        Some(entry)
    }

    fn show(&mut self, path: &str, value: &Toml) {
        match value {
            Toml::Table(fields) => {
                for (name, value) in fields {
                    self.show(&format!("{path}.{name}"), value);
                }
            }
            Toml::Array(items) if items.iter().any(Toml::is_table) => {
                for (index, value) in items.iter().enumerate() {
                    self.show(&format!("{path}[{index}]"), value);
                }
            }
            Toml::Array(items) if items.is_empty() => self.show_line(path, "(none)".to_owned()),
            Toml::Array(items) => {
                let texts: Vec<String> = items.iter().map(plain).collect();
                self.show_line(path, texts.join(", "));
            }
            value => self.show_line(path, plain(value)),
        }
    }

    fn show_line(&mut self, path: &str, value: String) {
        let source = Source::File(self.file.clone()).to_string();
        self.shown.push(ShownSetting::new(path.to_owned(), &value, source));
    }
}

fn plain(value: &Toml) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// serde's message without the value that it quotes: `invalid type: string "…", expected u32` is `expected u32`.
fn without_value(message: &str) -> String {
    let quotes = ["invalid type", "invalid value", "unknown variant"].iter().any(|start| message.starts_with(start));
    match message.rfind(", expected ") {
        Some(at) if quotes => message.get(at + 2..).unwrap_or_default().replace('`', ""),
        _ => message.replace('`', "\""),
    }
}
