//! A WebSocket client.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{PATIENCE, TestServer};

pub struct Socket {
    inner: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What the server answered to the opening request.
    pub response: Response,
}

impl Socket {
    /// Opens a socket; the error is the status that it was refused with.
    pub async fn open(server: &TestServer, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{}{path}", server.authority()).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((inner, response)) => Ok(Self { inner, response }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_raw(Message::text(frame.to_string())).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.inner.send(message).await.unwrap();
    }

    /// The next text frame.
    pub async fn frame(&mut self) -> Value {
        loop {
            match self.next().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for the closing frame.
    pub async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame;
            }
        }
    }

    /// The frames of one answer, `start` to `done` or `error`.
    pub async fn answer(&mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await;
            let is_last = matches!(frame["type"].as_str(), Some("done" | "error"));
            frames.push(frame);
            if is_last {
                return frames;
            }
        }
    }

    async fn next(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.inner.next()).await.unwrap().unwrap().unwrap()
    }
}

/// The text in an answer's frames.
pub fn said(frames: &[Value]) -> String {
    let chunks = frames.iter().filter(|frame| frame["type"] == "chunk");
    chunks.map(|frame| frame["content"].as_str().unwrap()).collect()
}
