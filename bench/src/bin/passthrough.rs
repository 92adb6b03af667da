//! The bare pass-through: what axum and reqwest cost when a gateway does nothing but hand bytes on. No accounts, no metering, no
//! limits, no retries; the body is not looked at.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::Parser;

/// A gateway that does nothing, to compare with.
#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = 9200)]
    port: u16,
    /// The provider's base URL.
    #[arg(long, default_value = "http://127.0.0.1:9100/v1")]
    upstream: String,
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

struct App {
    http: reqwest::Client,
    completions: String,
}

async fn pass(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut request = app.http.post(&app.completions).header(header::CONTENT_TYPE, "application/json").body(body);
    if let Some(key) = headers.get(header::AUTHORIZATION) {
        request = request.header(header::AUTHORIZATION, key);
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    let mut response = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get(header::CONTENT_TYPE) {
        response = response.header(header::CONTENT_TYPE, kind);
    }
    response
        .body(Body::from_stream(answer.bytes_stream()))
        .unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a TLS provider is installed already")?;
    parlor_bench::clock::raise_open_files_limit();
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1024).build()?;
    let app = App { http, completions: format!("{}/chat/completions", options.upstream) };
    let router = Router::new()
        .route("/health", get(|| async { "ok" }))
        .route("/v1/chat/completions", post(pass))
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
