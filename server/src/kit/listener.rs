//! Accepting connections: bounded in number, with a timeout for slow headers, and drained before the server stops.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::address::Peer;

/// How long a client may take to send a request's headers, the first one's counted from when it connects.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);
/// Requests under way at once on one connection.
const HTTP2_STREAMS: u32 = 32;
/// The pause after a failed accept: mostly there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `stop` is cancelled, then returns what waits for the open ones. At most `most` are open at once; more wait in
/// the system's backlog.
pub async fn serve(listener: TcpListener, router: Router, most: usize, stop: CancellationToken) -> GracefulShutdown {
    let places = Arc::new(Semaphore::new(most));
    let connections = GracefulShutdown::new();
    let mut stopped = pin!(stop.cancelled());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Some((stream, peer, place)) => serve_connection(stream, peer, place, router.clone(), &connections),
            None => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    connections
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            None
        }
    }
}

fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    router: Router,
    connections: &GracefulShutdown,
) {
    // Tokens are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let has_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&has_asked);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        asked.store(true, Relaxed);
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_PATIENCE);
    builder
        .http2()
        .max_concurrent_streams(HTTP2_STREAMS)
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(20)));
    let watcher = connections.watcher();
    tokio::spawn(async move {
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        // hyper's own timeout begins when it knows which HTTP it is: silence, or half of HTTP/2's preface, would hold a place forever.
        let silence = async {
            tokio::time::sleep(HEADER_PATIENCE).await;
            if has_asked.load(Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            ended = watcher.watch(connection.into_owned()) => if let Err(error) = ended {
                tracing::debug!(%error, %peer, "a connection ended badly");
            },
            () = silence => tracing::debug!(%peer, "a connection asked nothing"),
        }
        drop(place);
    });
}
