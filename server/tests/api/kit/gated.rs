//! A fake OpenAI-compatible provider that says what the test tells it to, when the test tells it to.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::post;
use futures_util::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// The provider. Each call for an answer comes out of [`GatedUpstream::call`].
pub struct GatedUpstream {
    address: SocketAddr,
    calls: UnboundedReceiver<GatedCall>,
}

/// One answer in the making; dropped, it breaks off.
pub struct GatedCall {
    sender: UnboundedSender<Bytes>,
}

impl GatedUpstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (announce, calls) = mpsc::unbounded_channel();
        let answer = move || {
            let (sender, receiver) = mpsc::unbounded_channel::<Bytes>();
            let _ = announce.send(GatedCall { sender });
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
        let _ = self.sender.send(Bytes::from_static(b"data: [DONE]\n\n"));
    }

    fn event(&self, data: &serde_json::Value) {
        let _ = self.sender.send(Bytes::from(format!("data: {data}\n\n")));
    }
}
