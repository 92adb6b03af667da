//! What models call: HTTP endpoints and the tools of MCP servers, each within its bounds. Whatever goes wrong is told to the model in
//! words: a call has a result, never an error.

mod http;
mod mcp;

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::config::{ApiKey, Settings};
use crate::outbound::Outbound;
use crate::providers::{ProviderError, Tool, ToolCall};
use http::HttpTool;
use mcp::McpServer;

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutcome {
    /// Whether the tool did what it was asked.
    pub ok: bool,
    /// What it says, or what went wrong, for the model.
    pub content: String,
}

impl ToolOutcome {
    /// Something went wrong.
    #[must_use]
    pub fn failed(why: impl Into<String>) -> Self {
        Self { ok: false, content: why.into() }
    }
}

/// The configured tools.
pub struct Toolbox {
    http: BTreeMap<String, HttpTool>,
    mcp: Vec<McpServer>,
    /// For calls of all turns.
    places: Semaphore,
}

impl Toolbox {
    /// # Errors
    /// [`ProviderError::Settings`] when TLS cannot be set up, or a schema is none.
    pub fn from_settings(settings: &Settings) -> Result<Self, ProviderError> {
        let tools = &settings.tools;
        let named = tools.http.iter().map(|tool| tool.url.0.as_str());
        let servers = tools.mcp.iter().filter_map(|server| server.url.as_ref()).map(|url| url.0.as_str());
        let outbound = Outbound::new(&settings.providers, &settings.server.outbound_hosts, named.chain(servers))?;
        let http = tools.http.iter().map(|tool| Ok((tool.name.0.clone(), HttpTool::new(tool, outbound.clone())?)));
        Ok(Self {
            http: http.collect::<Result<_, ProviderError>>()?,
            mcp: tools.mcp.iter().map(|server| McpServer::new(server.clone(), outbound.clone())).collect(),
            places: Semaphore::new(tools.at_once),
        })
    }

    /// Whether there is nothing to call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.http.is_empty() && self.mcp.is_empty()
    }

    /// What models are told that they may call. An MCP server that cannot be reached offers nothing for a while.
    pub async fn offered(&self) -> Vec<Tool> {
        let mut tools: Vec<Tool> = self.http.values().map(HttpTool::offer).collect();
        let servers = futures_util::future::join_all(self.mcp.iter().map(McpServer::offered)).await;
        for tool in servers.into_iter().flatten() {
            if !tools.iter().any(|known| known.name == tool.name) {
                tools.push(tool);
            }
        }
        tools
    }

    /// Makes a call. Dropping it gives up on it.
    pub async fn call(&self, call: &ToolCall) -> ToolOutcome {
        let Some(arguments) = parse(&call.arguments) else {
            return ToolOutcome::failed("The arguments are no JSON object.");
        };
        let Ok(_place) = self.places.acquire().await else {
            return ToolOutcome::failed("The server is stopping.");
        };
        if let Some(tool) = self.http.get(&call.name) {
            return tool.call(arguments).await;
        }
        for server in &self.mcp {
            if let Some(tool) = server.tool_of(&call.name) {
                return server.call(tool, arguments).await;
            }
        }
        ToolOutcome::failed("There is no such tool.")
    }

    /// Ends the MCP servers that are child processes, and leaves the others.
    pub async fn close(&self) {
        for server in &self.mcp {
            server.close().await;
        }
    }
}

/// What requests carry; `None` where the settings hold what is no header.
fn headers(bearer: Option<&ApiKey>, others: &BTreeMap<String, ApiKey>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    let bearer = bearer.map(|token| ("authorization", format!("Bearer {}", token.secret().expose_secret())));
    let others = others.iter().map(|(name, value)| (name.as_str(), value.secret().expose_secret().to_owned()));
    for (name, value) in others.chain(bearer) {
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name).ok()?, value);
    }
    Some(headers)
}

/// A call's arguments; a model that has none to give may give nothing.
fn parse(arguments: &str) -> Option<Map<String, Value>> {
    if arguments.trim().is_empty() {
        return Some(Map::new());
    }
    serde_json::from_str(arguments).ok()
}
