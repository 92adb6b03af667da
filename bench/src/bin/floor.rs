//! The floor: what a bare axum + reqwest + rusqlite chat server reaches on this machine. No
//! accounts, no limits, no retries; the same three commits a chat turn as the document's flow.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Parser;
use futures_util::{Stream, StreamExt, stream};
use rusqlite::{Connection, params};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS conversations (
        id INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation_id INTEGER REFERENCES conversations(id),
        role TEXT NOT NULL, content TEXT NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
    CREATE INDEX IF NOT EXISTS messages_by_conversation ON messages(conversation_id, id);";
const QUEUE: usize = 1024;
const MAX_LINE: usize = 1 << 20;

/// A bare chat server to compare with.
#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = 9200)]
    port: u16,
    /// The SQLite file.
    #[arg(long)]
    db: PathBuf,
    /// The provider's base URL.
    #[arg(long, default_value = "http://127.0.0.1:9100/v1")]
    upstream: String,
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

type Job = Box<dyn FnOnce(&Connection) + Send>;

struct App {
    http: reqwest::Client,
    completions: String,
    writer: mpsc::SyncSender<Job>,
}

struct Failure(String);

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"detail": self.0}))).into_response()
    }
}

#[derive(Deserialize)]
struct ChatRequest {
    message: String,
    conversation_id: Option<i64>,
    #[serde(default = "default_user")]
    user_id: String,
    #[serde(default = "default_model")]
    model: String,
}

fn default_user() -> String {
    "default_user".to_owned()
}

fn default_model() -> String {
    "mock-0ms-20tok".to_owned()
}

impl App {
    /// Runs a job on the one thread that owns the connection; each job commits for itself.
    async fn db<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = reply.send(job(connection));
        });
        self.writer.try_send(job)?;
        Ok(answer.await??)
    }

    async fn save(&self, conversation: i64, role: &'static str, content: String) -> Result<(), Failure> {
        self.db(move |c| {
            let sql = "INSERT INTO messages (conversation_id, role, content) VALUES (?1, ?2, ?3)";
            c.prepare_cached(sql)?.execute(params![conversation, role, content])
        })
        .await?;
        Ok(())
    }

    /// The first two commits of a turn, and the messages for the provider.
    async fn begin(&self, request: ChatRequest) -> Result<(i64, Vec<Value>), Failure> {
        let conversation = match request.conversation_id {
            Some(id) => id,
            None => {
                self.db(move |c| {
                    let sql = "INSERT INTO conversations (user_id) VALUES (?1)";
                    c.prepare_cached(sql)?.execute([request.user_id])?;
                    Ok(c.last_insert_rowid())
                })
                .await?
            }
        };
        self.save(conversation, "user", request.message).await?;
        let history = self.db(move |c| {
            let sql = "SELECT role, content FROM messages WHERE conversation_id = ?1 ORDER BY id";
            let mut statement = c.prepare_cached(sql)?;
            let message =
                |r: &rusqlite::Row<'_>| Ok(json!({"role": r.get::<_, String>(0)?, "content": r.get::<_, String>(1)?}));
            statement.query_map([conversation], message)?.collect::<rusqlite::Result<Vec<Value>>>()
        });
        let mut messages = vec![json!({"role": "system", "content": "You are a helpful assistant chatbot."})];
        messages.extend(history.await?);
        Ok((conversation, messages))
    }

    async fn ask(&self, body: &Value) -> Result<reqwest::Response, Failure> {
        Ok(self.http.post(&self.completions).json(body).send().await?.error_for_status()?)
    }
}

async fn chat(State(app): State<Arc<App>>, Json(request): Json<ChatRequest>) -> Result<Json<Value>, Failure> {
    let model = request.model.clone();
    let (conversation, messages) = app.begin(request).await?;
    let body = json!({"model": model, "messages": messages, "temperature": 0.7, "max_tokens": 500});
    let answer: Value = app.ask(&body).await?.json().await?;
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
    app.save(conversation, "assistant", text.clone()).await?;
    Ok(Json(json!({"response": text, "conversation_id": conversation})))
}

async fn chat_stream(State(app): State<Arc<App>>, Json(request): Json<ChatRequest>) -> Result<Response, Failure> {
    let model = request.model.clone();
    let (conversation, messages) = app.begin(request).await?;
    let answer = app.ask(&json!({"model": model, "messages": messages, "stream": true})).await?;
    let body = Body::from_stream(relay(app, conversation, answer.bytes_stream().boxed()));
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
}

type Upstream = stream::BoxStream<'static, reqwest::Result<Bytes>>;

/// The provider's chunks as the server's own events; the whole text is stored before the last one.
fn relay(app: Arc<App>, conversation: i64, upstream: Upstream) -> impl Stream<Item = Result<String, Infallible>> {
    let state = (app, upstream, Vec::new(), String::new());
    stream::unfold(Some(state), move |state| async move {
        let (app, mut upstream, mut pending, mut whole) = state?;
        loop {
            let Some(Ok(bytes)) = upstream.next().await else { return None };
            pending.extend_from_slice(&bytes);
            let (mut events, mut from, mut done) = (String::new(), 0, false);
            while let Some(end) = pending[from..].iter().position(|b| *b == b'\n') {
                let line = &pending[from..from + end];
                from += end + 1;
                let Some(data) = line.strip_prefix(b"data: ") else { continue };
                done |= data == b"[DONE]";
                let chunk: Value = serde_json::from_slice(data).unwrap_or_default();
                let text = chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
                if !text.is_empty() {
                    whole.push_str(text);
                    events.push_str(&format!("event: chunk\ndata: {}\n\n", json!({"content": text})));
                }
            }
            pending.drain(..from);
            if done {
                let saved = app.save(conversation, "assistant", whole).await;
                events.push_str(if saved.is_ok() { "event: done\ndata: {}\n\n" } else { "event: error\ndata: {}\n\n" });
                return Some((Ok(events), None));
            }
            if pending.len() > MAX_LINE {
                return None;
            }
            if !events.is_empty() {
                return Some((Ok(events), Some((app, upstream, pending, whole))));
            }
        }
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a TLS provider is installed already")?;
    parlor_bench::clock::raise_open_files_limit();
    let connection = Connection::open(&options.db)?;
    connection.execute_batch(SCHEMA)?;
    let (writer, jobs) = mpsc::sync_channel::<Job>(QUEUE);
    std::thread::spawn(move || jobs.into_iter().for_each(|job| job(&connection)));
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1024).build()?;
    let app = App { http, completions: format!("{}/chat/completions", options.upstream), writer };
    let router = Router::new()
        .route("/health", get(|| async { "ok" }))
        .route("/chat", post(chat))
        .route("/api/chat/stream", post(chat_stream))
        .with_state(Arc::new(app));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads.clamp(1, 64))
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        let listener = tokio::net::TcpListener::bind(address).await?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |socket| {
            let _ = socket.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        Ok(())
    })
}
