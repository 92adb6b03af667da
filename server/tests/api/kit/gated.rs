//! A fake OpenAI-compatible provider that says what the test tells it to, when the test tells it to.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::post;
use futures_util::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Calls that may wait for the test at once.
const CALLS: usize = 64;
/// Pieces that may wait for the server at once.
const PIECES: usize = 256;

/// The provider. Each call for an answer comes out of [`GatedUpstream::call`].
pub struct GatedUpstream {
    address: SocketAddr,
    calls: Receiver<GatedCall>,
}

/// One answer in the making; dropped, it breaks off.
pub struct GatedCall {
    sender: Sender<Bytes>,
}

impl GatedUpstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (announce, calls) = mpsc::channel(CALLS);
        let answer = move || {
            let (sender, receiver) = mpsc::channel::<Bytes>(PIECES);
            let _ = announce.try_send(GatedCall { sender });
            async move {
                let pieces = stream::unfold(receiver, |mut receiver| async move {
                    let piece = receiver.recv().await?;
                    Some((Ok::<_, Infallible>(piece), receiver))
                });
                Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(pieces)).unwrap()
            }
        };
        let router = axum::Router::new().route("/v1/chat/completions", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, calls }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The next call.
    pub async fn call(&mut self) -> GatedCall {
        self.calls.recv().await.unwrap()
    }
}

impl GatedCall {
    /// Says something.
    pub fn say(&self, content: &str) {
        self.event(&json!({"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": null}]}));
    }

    /// Ends the answer as it should end.
    pub fn finish(self) {
        self.event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
        self.put(Bytes::from_static(b"data: [DONE]\n\n"));
    }

    fn event(&self, data: &serde_json::Value) {
        self.put(Bytes::from(format!("data: {data}\n\n")));
    }

    /// A server that has gone hears no more.
    fn put(&self, piece: Bytes) {
        assert!(!matches!(self.sender.try_send(piece), Err(TrySendError::Full(_))), "more than the test allows for");
    }
}
