//! Clients that look closely: streams read event by event, WebSockets, bare sockets; and what a sound database looks like.

use std::future::Future;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Response, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::support::{PATIENCE, SseEvent, TestServer, events};

/// Waits for what must come.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("what the test waits for never came")
}

/// A stream of server-sent events, read one by one.
pub struct Stream {
    response: Response,
    unread: String,
}

impl Stream {
    /// Sends a message to `/api/chat/stream`.
    pub async fn open(server: &TestServer, token: &str, body: &Value) -> Self {
        let response = server.post("/api/chat/stream", body).bearer_auth(token).send().await.unwrap();
        Self::of(response)
    }

    pub fn of(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        Self { response, unread: String::new() }
    }

    /// The next event; `None` when the stream ends, in order or not.
    pub async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(end) = self.unread.find("\n\n") {
                let block = self.unread.drain(..end + 2).collect::<String>();
                match events(&block).pop() {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let more = soon(self.response.chunk()).await.ok()??;
            self.unread.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    /// Reads up to the next event of that name.
    pub async fn until(&mut self, name: &str) -> SseEvent {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name:?}"));
            if event.name == name {
                return event;
            }
        }
    }

    /// Everything that is left.
    pub async fn rest(mut self) -> Vec<SseEvent> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

/// A WebSocket.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn open(server: &TestServer, token: &str) -> Self {
        Self::open_at(server, token, "/api/chat/ws").await
    }

    pub async fn open_at(server: &TestServer, token: &str, path: &str) -> Self {
        let mut request = format!("ws://{}{path}", server.authority()).into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        Self(tokio_tungstenite::connect_async(request).await.unwrap().0)
    }

    pub async fn send(&mut self, body: &Value) {
        self.0.send(Message::text(body.to_string())).await.unwrap();
    }

    /// The next frame's JSON, or the code with which the server closes.
    pub async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match soon(self.0.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("the socket broke off: {other:?}"),
            }
        }
    }

    /// Reads up to the next frame of that type.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap_or_else(|code| panic!("closed with {code} before {kind:?}"));
            if frame["type"] == kind {
                return frame;
            }
        }
    }
}

/// A bare connection.
pub async fn connect(server: &TestServer) -> TcpStream {
    TcpStream::connect(server.authority()).await.unwrap()
}

pub async fn write(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
}

/// All that comes until the server closes the connection.
pub async fn read_to_the_end(socket: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset is an end as well.
    let _ = soon(socket.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// What comes up to that text, which must come.
pub async fn read_until(socket: &mut TcpStream, text: &str) -> String {
    let mut all = Vec::new();
    while !all.windows(text.len()).rev().take(65_536 + text.len()).any(|window| window == text.as_bytes()) {
        let mut more = vec![0; 65_536];
        let length = soon(socket.read(&mut more)).await.unwrap();
        assert!(length > 0, "closed before {text:?}, after {} bytes", all.len());
        all.extend_from_slice(&more[..length]);
    }
    String::from_utf8(all).unwrap()
}

/// Asks something without a token until the answer is as wished.
pub async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    soon(async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// Sends a message as a guest of `classic`.
pub async fn chat(server: &TestServer, message: &str) -> reqwest::Result<(StatusCode, Value)> {
    let answer = server.post("/chat", &json!({"message": message})).send().await?;
    Ok((answer.status(), answer.json().await?))
}

/// Checks what holds of every database at rest: nothing torn, nothing open, nothing without what it belongs to, every bill written once.
pub fn check(database: &Connection) {
    let column = |sql: &str| -> Vec<String> {
        let mut query = database.prepare(sql).unwrap();
        let rows = query.query_map([], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
        rows.map(|value| format!("{:?}", value.unwrap())).collect()
    };
    assert_eq!(column("PRAGMA integrity_check"), ["Text(\"ok\")"]);
    for (what, sql) in [
        ("a broken reference", "SELECT \"table\" FROM pragma_foreign_key_check"),
        ("an open turn", "SELECT id FROM turns WHERE state IN ('pending', 'streaming')"),
        (
            "an answer without its question",
            "SELECT a.id FROM messages a LEFT JOIN messages q ON q.id = a.parent_id AND q.role = 'user' \
             AND q.conversation_id = a.conversation_id WHERE a.role = 'assistant' AND q.id IS NULL",
        ),
        (
            "a question without its turn",
            "SELECT q.id FROM messages q LEFT JOIN turns t ON t.user_message_id = q.id WHERE q.role = 'user' AND t.id IS NULL",
        ),
        (
            "an answer without its turn",
            "SELECT a.id FROM messages a LEFT JOIN turns t ON t.answer_message_id = a.id AND t.user_message_id = a.parent_id \
             WHERE a.role = 'assistant' AND t.id IS NULL",
        ),
        (
            "a complete turn without an answer",
            "SELECT t.id FROM turns t JOIN messages a ON a.id = t.answer_message_id WHERE t.state = 'complete' AND a.content = ''",
        ),
        (
            "a complete turn without exactly one bill",
            "SELECT t.id FROM turns t LEFT JOIN usage_ledger l ON l.turn_id = t.id WHERE t.state = 'complete' \
             GROUP BY t.id HAVING COUNT(l.id) <> 1",
        ),
        (
            "a reservation that nobody settled",
            "SELECT id FROM quota_reservations UNION ALL SELECT subject_id FROM quota_counters WHERE reserved_requests <> 0",
        ),
        ("two bills for one turn", "SELECT turn_id FROM usage_ledger GROUP BY turn_id HAVING COUNT(*) > 1"),
        (
            "an interrupted answer without an estimated bill",
            "SELECT t.id FROM turns t JOIN messages a ON a.id = t.answer_message_id \
             LEFT JOIN usage_ledger l ON l.turn_id = t.id AND l.is_estimated = 1 \
             WHERE t.state = 'interrupted' AND a.content <> '' AND l.id IS NULL",
        ),
        (
            "a wrong count of messages",
            "SELECT c.id FROM conversations c LEFT JOIN messages m ON m.conversation_id = c.id AND m.content <> '' \
             GROUP BY c.id HAVING c.message_count <> COUNT(m.id)",
        ),
        (
            "a head that is no message of its conversation",
            "SELECT c.id FROM conversations c LEFT JOIN messages m ON m.id = c.head_message_id AND m.conversation_id = c.id \
             WHERE c.head_message_id IS NOT NULL AND m.id IS NULL",
        ),
    ] {
        let found = column(sql);
        assert!(found.is_empty(), "{what}: {} times, {:?}", found.len(), &found[..found.len().min(5)]);
    }
}
