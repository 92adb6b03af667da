//! A worker's keep-alive connection.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::LoadError;
use super::target::Prepared;

/// Opened at the first request, again after a failure.
#[derive(Debug, Default)]
pub(super) struct Connection {
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Sends the request; returns when the response's head is there.
    pub async fn send(&mut self, request: &Prepared) -> Result<Response<Incoming>, LoadError> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => open(&request.authority).await?,
        };
        sender.ready().await?;
        let response = sender.send_request(request.request()).await?;
        self.sender = Some(sender);
        Ok(response)
    }

    /// Lets the connection go; what runs on it is aborted.
    pub fn close(&mut self) {
        self.sender = None;
    }
}

async fn open(authority: &str) -> Result<SendRequest<Full<Bytes>>, LoadError> {
    let socket = TcpStream::connect(authority).await?;
    socket.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(socket)).await?;
    // Its error reaches the request that runs on it.
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(sender)
}
