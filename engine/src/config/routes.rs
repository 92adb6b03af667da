//! `[routes.NAME]`: names under which callers ask for models, and which targets answer to each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fields::{Milliseconds, Seconds, Weight};
use super::reader::Reader;
use super::sections::{Check, Entry, Section, Shape};

/// A route: its name in the file is the model's name that callers use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSettings {
    /// Other names for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Which of the targets is asked first.
    #[serde(default)]
    pub strategy: Strategy,
    /// Who answers.
    pub targets: Vec<TargetSettings>,
    /// When the next target is asked beside one that has not begun; the slower of the two is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge_after_ms: Option<Milliseconds>,
    /// Whether the next target goes on with an answer that broke off.
    #[serde(default, rename = "continue")]
    pub continues: bool,
    /// The patience with its targets, where it is not that of `[providers]`.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// Which of a route's targets is asked first; the others follow when it fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// The first one.
    #[default]
    Ordered,
    /// Any of them, by their weights.
    Weighted,
}

/// A provider and its model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSettings {
    /// A provider of `[providers]` (`openai`, `openrouter`, …) or the name of one of `[[upstreams]]`.
    pub provider: String,
    /// Its name for the model.
    pub model: String,
    /// Its share among the weighted.
    #[serde(default)]
    pub weight: Weight,
    /// The patience with it, where it is not the route's.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// How long one is waited for, where that is not as elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// For the beginning of a streamed answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_seconds: Option<Seconds>,
    /// For the beginning of an answer that comes whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole_seconds: Option<Seconds>,
    /// For more of an answer that has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<Seconds>,
    /// For all of an answer: at a route with every attempt, at a target in one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_seconds: Option<Seconds>,
}

impl Timeouts {
    /// `seconds`, else `otherwise`.
    #[must_use]
    pub fn or(seconds: Option<Seconds>, otherwise: Duration) -> Duration {
        seconds.map_or(otherwise, |Seconds(time)| time)
    }
}

impl Entry for RouteSettings {
    const SECTION: Section = Section {
        name: "routes",
        shape: Shape::Named,
        about: "Names under which callers ask for models, each with the targets that answer: when one fails before it has\n\
                begun, the next is asked. strategy is ordered (the first one first) or weighted (any, by weight). With\n\
                hedge_after_ms the next is asked beside one that has not begun by then; with continue = true the next goes\n\
                on with a text that broke off. timeouts, of a route or of one target, go before those of [providers].\n\
                A name without a route is asked of every provider in turn. More in docs/routing.md.",
        example: r#"
[routes.fast]
aliases = ["gpt-4o-mini"]
strategy = "weighted"
hedge_after_ms = 1500
continue = true
timeouts = { first_token_seconds = 10, idle_seconds = 20, total_seconds = 120 }
targets = [
{ provider = "openai", model = "gpt-4o-mini", weight = 2 },
{ provider = "groq", model = "openai/gpt-oss-120b", timeouts = { first_token_seconds = 3 } },
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
