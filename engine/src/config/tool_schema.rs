//! A tool's JSON schema, ready to check arguments against.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Problems that a model is told of, at most.
const PROBLEMS_TOLD: usize = 5;

/// A tool's JSON schema. What it refers to stands within it: nothing is fetched. Its patterns take time linear in the text.
#[derive(Debug)]
pub struct ToolSchema(Validator);

impl ToolSchema {
    /// `None` when it is no schema.
    #[must_use]
    pub fn compile(schema: &Value) -> Option<Self> {
        jsonschema::options().with_pattern_options(PatternOptions::regex()).build(schema).ok().map(Self)
    }

    /// What is wrong with the arguments, in a few sentences for the model; `None` when nothing is.
    #[must_use]
    pub fn problems(&self, arguments: &Value) -> Option<String> {
        let told: Vec<String> = self
            .0
            .iter_errors(arguments)
            .take(PROBLEMS_TOLD)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}
