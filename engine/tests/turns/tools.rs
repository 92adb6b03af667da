//! Tools: what a model calls while it answers, over real sockets.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::post;
use parlor_engine::app::chat::{Event, TurnHandle};
use parlor_engine::config::Settings;
use parlor_engine::domain::{FinishReason, Role, TokenUsage, TurnState};
use parlor_engine::providers::{ChatRequest, Delta};
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};

use crate::kit::{Call, Fixture, end_of, events, soon, text_of};

/// What the endpoints were asked: path with query, the authorization, the body.
type Asked = Arc<Mutex<Vec<(String, String, String)>>>;

/// A server of HTTP tools and, under `/mcp`, of MCP's.
struct Tools {
    base: String,
    asked: Asked,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Tools {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Tools {
    async fn start() -> Self {
        let asked = Asked::default();
        let log = Arc::clone(&asked);
        let note = move |uri: &Uri, headers: &HeaderMap, body: &[u8]| {
            let authorization = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
            let body = String::from_utf8_lossy(body).into_owned();
            log.lock().unwrap().push((uri.to_string(), authorization.to_owned(), body));
        };
        let noted = note.clone();
        let weather = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
            noted(&uri, &headers, &body);
            "rain"
        };
        let mcp = StreamableHttpService::new(
            || Ok(Adder),
            Arc::new(rmcp::transport::streamable_http_server::session::local::LocalSessionManager::default()),
            StreamableHttpServerConfig::default().with_sse_keep_alive(None),
        );
        let routes = Router::new()
            .route("/weather", post(weather.clone()).get(weather))
            .route("/broken", post(async || (StatusCode::INTERNAL_SERVER_ERROR, "secret reasons")))
            .route("/rubbish", post(async || vec![0xff_u8, 0xfe]))
            .route("/long", post(async || "x".repeat(100_000)))
            .route("/moved", post(async || (StatusCode::TEMPORARY_REDIRECT, [("location", "/weather")])))
            .route("/hang", post(async || std::future::pending::<()>().await))
            .nest_service("/mcp", mcp);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { base, asked, server }
    }

    fn asked(&self) -> Vec<(String, String, String)> {
        self.asked.lock().unwrap().clone()
    }

    /// The settings of a server with these sections.
    fn settings(&self, sections: &str) -> Settings {
        let text = sections.replace("BASE", &self.base);
        let mut sources = parlor_engine::config::Sources::default();
        sources.flags.insert("security.secret_key".into(), "t3st-0nly/Vq8ZrK1mWc5YpXh9LsD2uFgB7".into());
        sources.env = vec![("TOKEN".to_owned(), "hunter2".to_owned())];
        sources.file = Some(parlor_engine::config::SourceText { path: Path::new("parlor.toml").to_owned(), text });
        Settings::load(&sources).unwrap().0
    }

    async fn fixture(&self, sections: &str) -> Fixture {
        self.fixture_with(sections, |_| {}).await
    }

    async fn fixture_with(&self, sections: &str, change: impl FnOnce(&mut Settings)) -> Fixture {
        let tools = self.settings(sections).tools;
        Fixture::with(|settings| {
            settings.tools = tools;
            change(settings);
        })
        .await
    }
}

/// An MCP server with a tool that adds, and one that fails.
#[derive(Clone)]
struct Adder;

impl ServerHandler for Adder {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, rmcp::ErrorData> {
        let number = json!({"type": "number"});
        let schema = json!({"type": "object", "required": ["a", "b"], "properties": {"a": number, "b": number}});
        let Value::Object(schema) = schema else { unreachable!() };
        let tool = |name: &'static str| Tool::new(name, "Adds two numbers", Arc::new(schema.clone()));
        Ok(ListToolsResult::with_all_items(vec![tool("add"), tool("fail"), tool("hidden")]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, rmcp::ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let sum = arguments["a"].as_f64().unwrap() + arguments["b"].as_f64().unwrap();
        Ok(match &*request.name {
            "add" => CallToolResult::success(vec![ContentBlock::text(sum.to_string())]).into(),
            _ => CallToolResult::error(vec![ContentBlock::text("out of numbers")]).into(),
        })
    }
}

const WEATHER: &str = r#"
[[tools]]
name = "weather"
description = "The weather in a city"
url = "BASE/weather"
bearer = "env:TOKEN"
[tools.parameters]
type = "object"
required = ["city"]
properties = { city = { type = "string" } }
"#;

/// A tool without parameters at that path.
fn plain(path: &str) -> String {
    let bounds = "timeout_seconds = 600\nmax_response_bytes = 1000";
    format!("[[tools]]\nname = \"{path}\"\ndescription = \"…\"\nurl = \"BASE/{path}\"\n{bounds}\n")
}

const ADDER: &str = "[[mcp_servers]]\nname = \"sums\"\nurl = \"BASE/mcp\"\ntools = [\"add\", \"fail\"]\n";

/// Lets the model call these tools, each with an id, and end its answer.
fn calls(call: Call, tools: &[(&str, &str, &str)]) {
    for (index, (id, name, arguments)) in tools.iter().enumerate() {
        let (id, name) = (Some((*id).to_owned()), Some((*name).to_owned()));
        // Arguments come in pieces.
        let (head, tail) = arguments.split_at(arguments.len() / 2);
        call.tell(Delta::ToolCall { index, id, name, arguments: head.to_owned() });
        call.tell(Delta::ToolCall { index, id: None, name: None, arguments: tail.to_owned() });
    }
    call.tell(Delta::Usage(TokenUsage::new(10, 5)));
    call.tell(Delta::Finish(FinishReason::ToolCalls));
}

fn answer(call: Call, text: &str) {
    call.say(text);
    call.finish();
}

/// What the model is told of its calls in a request: the results that end it.
fn results(request: &ChatRequest) -> Vec<(String, String)> {
    let told = request.messages.iter().rev().take_while(|message| message.role == Role::Tool);
    let mut told: Vec<_> =
        told.map(|message| (message.tool_call_id.clone().unwrap(), message.content.clone())).collect();
    told.reverse();
    told
}

/// Names and numbers of the events, and their tool's word.
fn shape(events: &[(u64, Event)]) -> Vec<(u64, String)> {
    let word = |event: &Event| match event {
        Event::Start { .. } => "start".to_owned(),
        Event::Chunk { content } => content.clone(),
        Event::ToolCall { id, name, arguments } => format!("{id} {name} {arguments}"),
        Event::ToolResult { id, name, ok, content } => format!("{id} {name} {ok} {content}"),
        Event::End(_) => "end".to_owned(),
    };
    events.iter().map(|(number, event)| (*number, word(event))).collect()
}

/// Calls one tool and gives the result that the model is told.
async fn told(fixture: &Fixture, name: &str, arguments: &str) -> String {
    let turn = fixture.send("go").await;
    calls(fixture.call().await, &[("c1", name, arguments)]);
    let next = fixture.call().await;
    let told = results(&next.request).remove(0).1;
    answer(next, "done");
    assert_eq!(soon(turn.ending()).await.state, TurnState::Complete, "the turn goes on");
    told
}

#[tokio::test]
async fn a_tool_is_called_and_the_model_answers_with_what_it_says() {
    let tools = Tools::start().await;
    let fixture = tools.fixture(WEATHER).await;
    let turn = fixture.send("What is the weather in Ulm?").await;
    let first = fixture.call().await;
    let offered: Vec<&str> = first.request.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(offered, ["weather"]);
    first.say("Let me see. ");
    calls(first, &[("c1", "weather", r#"{"city":"Ulm"}"#)]);
    let second = fixture.call().await;
    assert_eq!(results(&second.request), [("c1".to_owned(), "rain".to_owned())]);
    let asking = &second.request.messages[second.request.messages.len() - 2];
    assert_eq!((asking.role, asking.tool_calls[0].arguments.as_str()), (Role::Assistant, r#"{"city":"Ulm"}"#));
    answer(second, "It rains.");
    let events = events(&turn, 0).await;
    let expected = [
        (1, "start"),
        (2, "Let me see. "),
        (3, r#"c1 weather {"city":"Ulm"}"#),
        (4, "c1 weather true rain"),
        (5, "It rains."),
        (6, "end"),
    ];
    assert_eq!(shape(&events), expected.map(|(number, word)| (number, word.to_owned())));
    assert_eq!(text_of(&events), "Let me see. It rains.");
    assert_eq!(end_of(&events).usage.prompt_tokens, 21, "both rounds are billed");
    let asked = tools.asked();
    assert_eq!(asked, [("/weather".into(), "Bearer hunter2".into(), r#"{"city":"Ulm"}"#.into())]);
}

#[tokio::test]
async fn a_reader_resumes_among_the_calls_and_after_a_restart_too() {
    let tools = Tools::start().await;
    let fixture = tools.fixture(WEATHER).await;
    let turn = fixture.send("hello").await;
    calls(fixture.call().await, &[("c1", "weather", r#"{"city":"Ulm"}"#), ("c2", "weather", r#"{"city":"Bonn"}"#)]);
    answer(fixture.call().await, "Rain in both.");
    let all = events(&turn, 0).await;
    assert_eq!(all.len(), 7);
    let again = fixture.after_a_crash().await;
    let stored: TurnHandle = again.app.follow_turn(&again.caller, turn.message_id).await.unwrap();
    for after in 0..7_u64 {
        let rest = &all[usize::try_from(after).unwrap()..];
        assert_eq!(events(&turn, after).await, rest, "while it is held");
        assert_eq!(events(&stored, after).await, rest, "from the database");
    }
}

#[tokio::test]
async fn calls_are_part_of_the_history_and_of_the_next_context() {
    let tools = Tools::start().await;
    let fixture = tools.fixture(WEATHER).await;
    let turn = fixture.send("hello").await;
    calls(fixture.call().await, &[("c1", "weather", r#"{"city":"Ulm"}"#)]);
    answer(fixture.call().await, "Rain.");
    soon(turn.ending()).await;
    let page = fixture.app.list_messages(&fixture.caller, turn.conversation_id, None, 20).await.unwrap();
    assert_eq!(page.items.len(), 2, "a question and an answer");
    let call = &page.items[1].tool_calls[0];
    assert_eq!((call.name.as_str(), call.is_ok, call.content.as_str()), ("weather", true, "rain"));
    let next = fixture.send_to(turn.conversation_id, "Sure?").await;
    let asked = fixture.call().await;
    let roles: Vec<Role> = asked.request.messages.iter().map(|message| message.role).collect();
    let expected = [Role::System, Role::User, Role::Assistant, Role::Tool, Role::Assistant, Role::User];
    assert_eq!(roles, expected);
    assert_eq!(asked.request.messages[2].tool_calls[0].id, "c1");
    assert_eq!(asked.request.messages[3].tool_call_id.as_deref(), Some("c1"));
    answer(asked, "Yes.");
    soon(next.ending()).await;
}

#[tokio::test]
async fn whatever_is_wrong_with_a_tool_is_told_to_the_model() {
    let tools = Tools::start().await;
    let all: String = ["broken", "rubbish", "long", "moved"].map(plain).concat();
    let fixture = tools.fixture(&(WEATHER.to_owned() + &all)).await;
    for (name, arguments, expected) in [
        ("broken", "{}", "The tool failed with status 500."),
        ("rubbish", "{}", "The tool's answer is no text."),
        ("long", "", "The tool's answer is longer than 1000 bytes."),
        ("moved", "{}", "The tool failed with status 307."),
        ("nowhere", "{}", "There is no such tool."),
        ("weather", "{\"city\":", "The arguments are no JSON object."),
        ("weather", "[1]", "The arguments are no JSON object."),
    ] {
        assert_eq!(told(&fixture, name, arguments).await, expected, "{name}");
    }
    let unfit = told(&fixture, "weather", r#"{"city":7}"#).await;
    assert!(unfit.starts_with("The arguments do not fit the tool's parameters: /city: "), "{unfit}");
    assert!(tools.asked().is_empty(), "what does not fit is not sent");
}

#[tokio::test]
async fn a_tool_that_hangs_is_given_up_on() {
    let tools = Tools::start().await;
    let hasty = plain("hang").replace("600", "0.05");
    assert_eq!(told(&tools.fixture(&hasty).await, "hang", "{}").await, "The tool did not answer in time.");
    let fixture = tools
        .fixture_with(&plain("hang"), |settings| {
            settings.tools.turn_timeout = std::time::Duration::from_millis(50);
        })
        .await;
    assert_eq!(told(&fixture, "hang", "{}").await, "The tools of this turn took too long.");
}

#[tokio::test]
async fn a_get_tool_takes_its_arguments_in_the_query() {
    let tools = Tools::start().await;
    let fixture = tools.fixture(&WEATHER.replace("bearer = ", "method = \"GET\"\nbearer = ")).await;
    assert_eq!(told(&fixture, "weather", r#"{"city":"New York & more"}"#).await, "rain");
    assert_eq!(tools.asked()[0].0, "/weather?city=New+York+%26+more");
}

#[tokio::test]
async fn a_turn_makes_only_so_many_calls() {
    let tools = Tools::start().await;
    let limit = |settings: &mut Settings| {
        settings.tools.calls_per_turn = 2;
        settings.tools.rounds_per_turn = 2;
    };
    let fixture = tools.fixture_with(WEATHER, limit).await;
    let turn = fixture.send("hello").await;
    let one = |id| (id, "weather", r#"{"city":"Ulm"}"#);
    calls(fixture.call().await, &[one("c1"), one("c2"), one("c3")]);
    let second = fixture.call().await;
    let told: Vec<String> = results(&second.request).into_iter().map(|(_, content)| content).collect();
    assert_eq!(told, ["rain", "rain", "This turn has called as many tools as it may."]);
    calls(second, &[one("c4")]);
    calls(fixture.call().await, &[one("c5")]);
    let last = fixture.call().await;
    let told = results(&last.request).remove(0).1;
    assert_eq!(told, "No more tools can be called in this turn: answer with what you have.");
    last.say("Well.");
    calls(last, &[one("c6")]);
    let end = soon(turn.ending()).await;
    assert_eq!((end.state, end.finish_reason), (TurnState::Complete, FinishReason::Length));
    assert_eq!((end.content.as_str(), tools.asked().len()), ("Well.", 2));
}

#[tokio::test]
async fn stopping_gives_up_on_a_call_and_keeps_what_was_said() {
    let tools = Tools::start().await;
    let fixture = tools.fixture(&(plain("hang") + WEATHER)).await;
    let turn = fixture.send("hello").await;
    let first = fixture.call().await;
    first.say("Let me see.");
    calls(first, &[("c1", "hang", "{}"), ("c2", "weather", r#"{"city":"Ulm"}"#)]);
    let mut follower = turn.follow(0);
    while !matches!(soon(follower.next()).await, Some((_, Event::ToolResult { .. }))) {}
    turn.stop();
    let end = soon(turn.ending()).await;
    assert_eq!((end.state, end.content.as_str()), (TurnState::Cancelled, "Let me see."));
    assert_eq!(end.usage.prompt_tokens, 10, "the round before is billed");
    let page = fixture.app.list_messages(&fixture.caller, turn.conversation_id, None, 20).await.unwrap();
    let kept: Vec<(bool, &str)> =
        page.items[1].tool_calls.iter().map(|call| (call.is_ok, call.content.as_str())).collect();
    assert_eq!(kept, [(false, "The call was stopped."), (true, "rain")]);
}

#[tokio::test]
async fn the_tools_of_an_mcp_server_are_offered_and_called() {
    let tools = Tools::start().await;
    let fixture = tools.fixture(ADDER).await;
    let turn = fixture.send("What is 2 and 3?").await;
    let first = fixture.call().await;
    let offered: Vec<&str> = first.request.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(offered, ["sums_add", "sums_fail"], "those that are allowed");
    let both = r#"{"a":2,"b":3}"#;
    let many =
        [("c1", "sums_add", both), ("c2", "sums_fail", both), ("c3", "sums_hidden", both), ("c4", "sums_add", "{}")];
    calls(first, &many);
    let next = fixture.call().await;
    let told: Vec<String> = results(&next.request).into_iter().map(|(_, content)| content).collect();
    assert_eq!(told[..3], ["5", "out of numbers", "There is no such tool."]);
    assert!(told[3].starts_with("The arguments do not fit"), "{}", told[3]);
    answer(next, "Five.");
    soon(turn.ending()).await;
}

#[tokio::test]
async fn an_mcp_server_that_cannot_be_reached_offers_nothing_and_turns_go_on() {
    let tools = Tools::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let gone = ADDER.replace("BASE/mcp", &format!("http://127.0.0.1:{port}/mcp"));
    let missing = "[[mcp_servers]]\nname = \"child\"\ncommand = [\"/no/such/program\"]\n";
    let fixture = tools.fixture(&(gone + missing + WEATHER)).await;
    let turn = fixture.send("hello").await;
    let call = fixture.call().await;
    assert_eq!(call.request.tools.len(), 1);
    answer(call, "Hi.");
    assert_eq!(soon(turn.ending()).await.content, "Hi.");
}

#[tokio::test]
async fn without_tools_a_model_is_offered_none_and_its_calls_are_not_made() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("hello").await;
    let call = fixture.call().await;
    assert!(call.request.tools.is_empty());
    call.say("Hm.");
    calls(call, &[("c1", "weather", "{}")]);
    assert_eq!(soon(turn.ending()).await.content, "Hm.");
}

/// An MCP server over standard input and output whose tool tells its number as a process and its environment.
const CHILD: &str = r#"
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    known = {
        "initialize": {
            "protocolVersion": asked.get("params", {}).get("protocolVersion"),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "child", "version": "1"},
        },
        "tools/list": {"tools": [{"name": "self", "description": "…", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": json.dumps([os.getpid(), sorted(os.environ)])}]},
    }
    answer = {"jsonrpc": "2.0", "id": asked["id"]}
    if asked["method"] in known:
        answer["result"] = known[asked["method"]]
    else:
        answer["error"] = {"code": -32601, "message": "Method not found"}
    print(json.dumps(answer), flush=True)
"#;

#[tokio::test]
async fn an_mcp_server_can_be_a_child_that_inherits_nothing_and_ends_with_the_application() {
    let tools = Tools::start().await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("child.py");
    std::fs::write(&script, CHILD).unwrap();
    let section = format!(
        "[[mcp_servers]]\nname = \"child\"\ncommand = [\"python3\", {script:?}]\nenv = {{ SECRET = \"env:TOKEN\" }}\n"
    );
    let fixture = tools.fixture(&section).await;
    let said: (u32, Vec<String>) = serde_json::from_str(&told(&fixture, "child_self", "{}").await).unwrap();
    let environment: Vec<&str> = said.1.iter().map(String::as_str).filter(|name| *name != "LC_CTYPE").collect();
    assert_eq!(environment, ["PATH", "SECRET"]);
    let process = format!("/proc/{}", said.0);
    assert!(Path::new(&process).exists());
    fixture.app.close().await;
    soon(async {
        while Path::new(&process).exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}
