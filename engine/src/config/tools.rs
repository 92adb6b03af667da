//! What models may call: HTTP endpoints and the tools of MCP servers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{ApiKey, Name, Seconds, WebUrl};
use super::reader::Reader;
use super::sections::{Check, Entry, Section, Shape};

/// Characters of a tool's name: what OpenAI takes.
const NAME_MAX: usize = 64;
/// The most that a tool's answer may be set to hold, in bytes.
const RESPONSE_MAX: usize = 1024 * 1024;

/// What models may call, and how often.
#[derive(Debug, Clone)]
pub struct ToolSettings {
    /// HTTP endpoints.
    pub http: Vec<HttpToolSettings>,
    /// MCP servers.
    pub mcp: Vec<McpServerSettings>,
    /// Calls in one turn.
    pub calls_per_turn: usize,
    /// How often a model may call in one turn before it has to answer.
    pub rounds_per_turn: usize,
    /// How long all calls of one turn may take.
    pub turn_timeout: Duration,
    /// Calls under way at once, of all turns.
    pub at_once: usize,
}

impl ToolSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let settings = Self {
            http: reader.list_of(),
            mcp: reader.list_of(),
            calls_per_turn: reader.integer("chat.tool_calls"),
            rounds_per_turn: reader.integer("chat.tool_rounds"),
            turn_timeout: reader.duration("chat.tools_timeout_seconds"),
            at_once: reader.integer("chat.tools_at_once"),
        };
        let mut seen = BTreeSet::new();
        for name in settings.http.iter().map(|tool| &tool.name).filter(|name| !seen.insert(*name)) {
            reader.section_problem("tools", &format!("two are named {:?}", name.0));
        }
        let mut seen = BTreeSet::new();
        for name in settings.mcp.iter().map(|server| &server.name).filter(|name| !seen.insert(*name)) {
            reader.section_problem("mcp_servers", &format!("two are named {:?}", name.0));
        }
        settings
    }
}

/// A tool that is an HTTP endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpToolSettings {
    /// What the model calls it: letters, digits, `_` and `-`.
    pub name: Name,
    /// What it does, for the model.
    pub description: String,
    /// Where it is.
    pub url: WebUrl,
    /// How it takes its arguments.
    #[serde(default)]
    pub method: ToolMethod,
    /// The JSON schema of its arguments.
    #[serde(default = "no_parameters")]
    pub parameters: Value,
    /// The token that every request carries.
    #[serde(default)]
    pub bearer: Option<ApiKey>,
    /// What else every request carries, by header.
    #[serde(default)]
    pub headers: BTreeMap<String, ApiKey>,
    /// How long a call may take.
    #[serde(default = "usual_timeout")]
    pub timeout_seconds: Seconds,
    /// The longest answer.
    #[serde(default = "usual_response")]
    pub max_response_bytes: usize,
}

/// How an endpoint takes its arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ToolMethod {
    /// As a JSON object in the body.
    #[default]
    Post,
    /// As query parameters.
    Get,
}

/// A server of tools that speaks the Model Context Protocol.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpServerSettings {
    /// What stands before the `_` in its tools' names.
    pub name: Name,
    /// Where it is, for one that is reached over streamable HTTP.
    #[serde(default)]
    pub url: Option<WebUrl>,
    /// What starts it and its arguments, for one that is a child process and speaks over its standard input and output.
    #[serde(default)]
    pub command: Vec<String>,
    /// The child's environment, besides a usual `PATH`.
    #[serde(default)]
    pub env: BTreeMap<String, ApiKey>,
    /// The token that every request over HTTP carries.
    #[serde(default)]
    pub bearer: Option<ApiKey>,
    /// What else every request over HTTP carries, by header.
    #[serde(default)]
    pub headers: BTreeMap<String, ApiKey>,
    /// Those of its tools that models may call; empty: all.
    #[serde(default)]
    pub tools: Vec<String>,
    /// How long a call may take, and connecting.
    #[serde(default = "usual_timeout")]
    pub timeout_seconds: Seconds,
    /// The longest answer.
    #[serde(default = "usual_response")]
    pub max_response_bytes: usize,
}

fn no_parameters() -> Value {
    serde_json::json!({"type": "object", "properties": {}})
}

const fn usual_timeout() -> Seconds {
    Seconds(Duration::from_secs(20))
}

const fn usual_response() -> usize {
    16 * 1024
}

/// Whether OpenAI takes it as a tool's name.
fn is_tool_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn check_headers(bearer: Option<&mut ApiKey>, headers: &mut BTreeMap<String, ApiKey>, check: &mut Check<'_>) {
    if let Some(token) = bearer {
        token.find("bearer", check);
    }
    for (name, value) in headers {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            check.problem(&format!("headers.{name}"), "expected a header's name");
        }
        value.find(&format!("headers.{name}"), check);
    }
}

fn check_response_bytes(bytes: usize, check: &mut Check<'_>) {
    if !(1..=RESPONSE_MAX).contains(&bytes) {
        check.problem("max_response_bytes", format!("expected 1 to {RESPONSE_MAX}"));
    }
}

impl Entry for HttpToolSettings {
    const SECTION: Section = Section {
        name: "tools",
        shape: Shape::List,
        about: "What models may call: HTTP endpoints that take the arguments as JSON (POST) or as query parameters (GET).\n\
                A token (bearer) or header is a text or env:NAME. See docs/tools.md.",
        example: r#"
[[tools]]
name = "weather"
description = "The weather in a city"
url = "https://tools.example.com/weather"
method = "POST"
timeout_seconds = 20
max_response_bytes = 16384
bearer = "env:WEATHER_TOKEN"
headers = { X-Tenant = "parlor" }
[tools.parameters]
type = "object"
required = ["city"]
properties = { city = { type = "string" } }
"#,
    };

    fn check(&mut self, check: &mut Check<'_>) {
        if !is_tool_name(&self.name.0) {
            check.problem("name", "expected 1 to 64 letters, digits, _ or -");
        }
        let is_object = self.parameters.get("type").and_then(Value::as_str) == Some("object");
        if !is_object || super::tool_schema::ToolSchema::compile(&self.parameters).is_none() {
            check.problem("parameters", "expected the JSON schema of an object");
        }
        check_headers(self.bearer.as_mut(), &mut self.headers, check);
        check_response_bytes(self.max_response_bytes, check);
    }
}

impl Entry for McpServerSettings {
    const SECTION: Section = Section {
        name: "mcp_servers",
        shape: Shape::List,
        about: "Servers whose tools models may call, by the Model Context Protocol: with a url (streamable HTTP) or a command\n\
                (a child process). Their tools are called NAME_TOOL; without a list of tools, all of them may be.",
        example: r#"
[[mcp_servers]]
name = "wiki"
url = "https://mcp.example.com/mcp"
tools = ["search", "read"]

[[mcp_servers]]
name = "files"
command = ["mcp-server-filesystem", "/srv/shared"]
"#,
    };

    fn check(&mut self, check: &mut Check<'_>) {
        if !is_tool_name(&self.name.0) {
            check.problem("name", "expected 1 to 64 letters, digits, _ or -");
        }
        if self.url.is_some() != self.command.is_empty() {
            check.problem("", "expected a url or a command");
        }
        if self.command.first().is_some_and(|program| program.trim().is_empty()) {
            check.problem("command", "expected a program");
        }
        for (name, value) in &mut self.env {
            value.find(&format!("env.{name}"), check);
        }
        check_headers(self.bearer.as_mut(), &mut self.headers, check);
        check_response_bytes(self.max_response_bytes, check);
    }
}
