//! The tools of MCP servers: <https://modelcontextprotocol.io/specification>.
//!
//! A server is connected to when its tools are first offered, and again when the connection has ended. One that cannot be reached is left
//! alone for a while, so that turns do not wait for it one after another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::ToolOutcome;
use crate::config::{McpServerSettings, ToolSchema};
use crate::outbound::Outbound;
use crate::providers::Tool;

/// How long a server that could not be reached is left alone.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// How long a list of tools is believed.
const LIST_AGE: Duration = Duration::from_secs(300);
/// Tools of one server, at most.
const TOOLS_MAX: usize = 100;
/// What an offered tool's description and schema may hold, in bytes.
const OFFER_MAX: usize = 16 * 1024;
/// What a child finds its programs with.
const CHILD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) struct McpServer {
    settings: McpServerSettings,
    outbound: Outbound,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    /// When reaching it failed last.
    failed_at: Option<Instant>,
}

/// A connection and what it offers.
struct Session {
    service: RunningService<RoleClient, ()>,
    tools: HashMap<String, (Tool, ToolSchema)>,
    listed_at: Instant,
}

impl McpServer {
    pub(super) fn new(settings: McpServerSettings, outbound: Outbound) -> Self {
        Self { settings, outbound, state: Mutex::default() }
    }

    /// Its tools, under the names that models know them by.
    pub(super) async fn offered(&self) -> Vec<Tool> {
        let Some(session) = self.session().await else { return Vec::new() };
        let mut tools: Vec<Tool> = session.tools.values().map(|(tool, _)| tool.clone()).collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        tools
    }

    /// The server's own name for the tool that models know by this one, if it could be one of its tools.
    pub(super) fn tool_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.settings.name.0.as_str())?.strip_prefix('_')
    }

    /// Calls one of its tools, within its time.
    pub(super) async fn call(&self, tool: &str, arguments: Map<String, Value>) -> ToolOutcome {
        let Some(session) = self.session().await else {
            return ToolOutcome::failed("The tool cannot be reached.");
        };
        let Some((_, schema)) = session.tools.get(tool) else { return ToolOutcome::failed("There is no such tool.") };
        let arguments = Value::Object(arguments);
        if let Some(problems) = schema.problems(&arguments) {
            return ToolOutcome::failed(format!("The arguments do not fit the tool's parameters: {problems}"));
        }
        let mut params = CallToolRequestParams::new(tool.to_owned());
        if let Value::Object(arguments) = arguments {
            params.arguments = Some(arguments);
        }
        match tokio::time::timeout(self.settings.timeout_seconds.0, session.service.call_tool(params)).await {
            Ok(Ok(result)) => self.outcome(result),
            Ok(Err(_)) => ToolOutcome::failed("The tool failed."),
            Err(_) => ToolOutcome::failed("The tool did not answer in time."),
        }
    }

    /// Its texts; of what is no text, a word of what it was.
    fn outcome(&self, result: CallToolResult) -> ToolOutcome {
        let ok = result.is_error != Some(true);
        let texts = result.content.iter().map(|block| match block {
            ContentBlock::Text(text) => text.text.clone(),
            ContentBlock::Image(_) => "[an image]".to_owned(),
            ContentBlock::Audio(_) => "[a sound]".to_owned(),
            ContentBlock::Resource(_) | ContentBlock::ResourceLink(_) => "[a resource]".to_owned(),
            _ => "[something else]".to_owned(),
        });
        let mut content = texts.collect::<Vec<_>>().join("\n");
        if content.is_empty()
            && let Some(structured) = &result.structured_content
        {
            content = structured.to_string();
        }
        if content.len() > self.settings.max_response_bytes {
            let most = self.settings.max_response_bytes;
            return ToolOutcome::failed(format!("The tool's answer is longer than {most} bytes."));
        }
        ToolOutcome { ok, content }
    }

    /// Ends the connection, and the child where it is one.
    pub(super) async fn close(&self) {
        let session = self.state.lock().await.session.take();
        if let Some(session) = session {
            session.service.cancellation_token().cancel();
        }
    }

    /// The connection, made anew where it has ended.
    async fn session(&self) -> Option<Arc<Session>> {
        let mut state = self.state.lock().await;
        if let Some(session) = &state.session
            && !session.service.is_closed()
            && !session.service.peer().is_transport_closed()
            && session.listed_at.elapsed() < LIST_AGE
        {
            return Some(Arc::clone(session));
        }
        if state.failed_at.is_some_and(|at| at.elapsed() < COOL_DOWN) {
            return None;
        }
        state.session = None;
        match tokio::time::timeout(self.settings.timeout_seconds.0, self.connect()).await {
            Ok(Ok(session)) => {
                let session = Arc::new(session);
                (state.session, state.failed_at) = (Some(Arc::clone(&session)), None);
                Some(session)
            }
            outcome => {
                let why = if outcome.is_err() { "timeout" } else { "failed" };
                tracing::warn!(server = %self.settings.name.0, why, "an MCP server cannot be reached: its tools are not offered");
                state.failed_at = Some(Instant::now());
                None
            }
        }
    }

    /// # Errors
    /// Whatever keeps it from being used.
    async fn connect(&self) -> Result<Session, ()> {
        let service = match &self.settings.url {
            Some(url) => {
                let headers = super::headers(self.settings.bearer.as_ref(), &self.settings.headers).ok_or(())?;
                let headers = headers.into_iter().filter_map(|(name, value)| Some((name?, value))).collect();
                let config = StreamableHttpClientTransportConfig::with_uri(url.0.as_str())
                    .custom_headers(headers)
                    .max_sse_event_size(self.settings.max_response_bytes.saturating_mul(2).max(OFFER_MAX * TOOLS_MAX));
                let transport = StreamableHttpClientTransport::with_client(self.outbound.client(), config);
                ().serve(transport).await.map_err(drop)?
            }
            None => ().serve(self.child()?).await.map_err(drop)?,
        };
        let listed = service.list_all_tools().await.map_err(drop)?;
        let allowed = &self.settings.tools;
        let mut tools = HashMap::new();
        for tool in
            listed.into_iter().filter(|tool| allowed.is_empty() || allowed.iter().any(|name| *name == tool.name))
        {
            let own_name = tool.name.to_string();
            let parameters = Value::Object(tool.input_schema.as_ref().clone());
            let offer = Tool {
                name: format!("{}_{own_name}", self.settings.name.0),
                description: tool.description.unwrap_or_default().into_owned(),
                parameters,
            };
            match ToolSchema::compile(&offer.parameters) {
                Some(schema) if tools.len() < TOOLS_MAX && can_be_offered(&offer) => {
                    tools.insert(own_name, (offer, schema));
                }
                _ => tracing::warn!(server = %self.settings.name.0, "a tool of an MCP server cannot be offered"),
            }
        }
        Ok(Session { service, tools, listed_at: Instant::now() })
    }

    /// Starts it as a child, which ends with its connection. It inherits nothing of the environment.
    fn child(&self) -> Result<TokioChildProcess, ()> {
        let (program, arguments) = self.settings.command.split_first().ok_or(())?;
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).env_clear().env("PATH", CHILD_PATH).kill_on_drop(true);
        for (name, value) in &self.settings.env {
            command.env(name, value.secret().expose_secret());
        }
        TokioChildProcess::new(command).map_err(drop)
    }
}

fn can_be_offered(tool: &Tool) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let size = tool.description.len() + tool.parameters.to_string().len();
    tool.name.len() <= 64 && tool.name.bytes().all(plain) && size <= OFFER_MAX
}
