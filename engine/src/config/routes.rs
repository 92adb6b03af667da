//! `[routes.NAME]`: names under which callers ask for models, and which targets answer to each.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::reader::Reader;
use super::sections::{Check, Entry, Section, Shape};

/// A route: its name in the file is the model's name that callers use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSettings {
    /// Other names for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Who answers, in the order in which they are asked.
    pub targets: Vec<TargetSettings>,
}

/// A provider and its model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSettings {
    /// A provider of `[providers]` (`openai`, `openrouter`, …) or the name of one of `[[upstreams]]`.
    pub provider: String,
    /// Its name for the model.
    pub model: String,
}

impl Entry for RouteSettings {
    const SECTION: Section = Section {
        name: "routes",
        shape: Shape::Named,
        about: "Names under which callers ask for models, each with the targets that answer, in order: when one fails\n\
                before it has begun, the next is asked. A name without a route is asked of every provider in turn.",
        example: r#"
[routes.fast]
aliases = ["gpt-4o-mini"]
targets = [
{ provider = "openai", model = "gpt-4o-mini" },
{ provider = "groq", model = "llama-3.3-70b-versatile" },
]
"#,
    };

    fn check(&mut self, check: &mut Check<'_>) {
        if self.targets.is_empty() {
            check.problem("targets", "expected one target or more");
        }
        for (index, target) in self.targets.iter().enumerate() {
            if target.model.trim().is_empty() {
                check.problem(&format!("targets[{index}].model"), "expected a model's name");
            }
        }
    }
}

/// Reports names that two routes answer to, and targets at providers that are not `known`.
pub(super) fn check_all(routes: &BTreeMap<String, RouteSettings>, known: &BTreeSet<&str>, reader: &mut Reader) {
    let mut taken: BTreeSet<&str> = routes.keys().map(String::as_str).collect();
    for (name, route) in routes {
        for (index, alias) in route.aliases.iter().enumerate().filter(|(_, alias)| !taken.insert(alias)) {
            reader.section_problem(&format!("routes.{name}.aliases[{index}]"), &format!("{alias:?} is taken"));
        }
        for (index, target) in route.targets.iter().enumerate() {
            if !known.contains(target.provider.as_str()) {
                let known: Vec<&str> = known.iter().copied().collect();
                reader.section_problem(
                    &format!("routes.{name}.targets[{index}].provider"),
                    &format!("no provider {:?} is configured; there are: {}", target.provider, known.join(", ")),
                );
            }
        }
    }
}
