//! The life of a process that does jobs and serves nobody.

use std::net::SocketAddr;

use parlor_engine::app::App;
use parlor_engine::config::{DatabaseUrl, Settings};
use parlor_engine::domain::Clock;
use parlor_engine::jobs::{Pace, Registry, Worker};
use parlor_engine::providers::Providers;
use parlor_engine::store::{Db, OpenAs, StoreError};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::kit::metrics::Metrics;
use crate::kit::{Context, Parts, listener};
use crate::router;
use crate::server::{ServerError, signals};

/// Connections that may ask how a worker is at once.
const CONNECTIONS: usize = 64;

/// Does jobs until a signal says stop; at `port`, if there is one, it answers how it is. The first SIGTERM or SIGINT lets jobs that run finish within
/// the settings' grace period; what does not is put back. A second one ends the process at once.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(settings: Settings, port: Option<u16>) -> Result<(), ServerError> {
    let metrics = Metrics::install()?;
    let app = open(settings).await?;
    let upkeep = tokio::spawn(metrics.clone().keep_up());
    let stopping = CancellationToken::new();
    if let Some(port) = port {
        let bound = answer(&app, port, metrics, stopping.clone()).await?;
        tracing::info!(address = %bound, "answering /health and /metrics on http://{bound}");
    }
    let grace = app.settings().server.shutdown_grace;
    let (mut terminate, mut interrupt) = signals().map_err(ServerError::Signals)?;
    let worker = Worker::start(app.clone(), Registry::default(), Pace::default());
    let (version, concurrency) = (env!("CARGO_PKG_VERSION"), app.settings().jobs.concurrency);
    tracing::info!(version, concurrency, "doing jobs");

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: jobs that run have {} s; a second signal stops at once", grace.as_secs());
    app.begin_shutdown();
    let drain = async {
        worker.drain(grace).await;
        app.close().await;
    };
    tokio::select! {
        () = drain => tracing::info!("stopped"),
        _ = terminate.recv() => tracing::warn!("stopped at once"),
        _ = interrupt.recv() => tracing::warn!("stopped at once"),
    }
    stopping.cancel();
    upkeep.abort();
    Ok(())
}

/// Says how the worker is to whoever asks, until it is stopped. Returns where.
async fn answer(
    app: &App,
    port: u16,
    metrics: Metrics,
    stopping: CancellationToken,
) -> Result<SocketAddr, ServerError> {
    let host = app.settings().server.host.clone();
    let listen = |reason| ServerError::Listen { address: format!("{host}:{port}"), reason };
    let socket = TcpListener::bind((host.as_str(), port)).await.map_err(listen)?;
    let bound = socket.local_addr().map_err(listen)?;
    let draining = stopping.clone();
    let context = Context::from(Parts { app: app.clone(), draining, sockets: TaskTracker::new(), metrics });
    tokio::spawn(listener::serve(socket, router::of_worker(context), CONNECTIONS, stopping));
    Ok(bound)
}

/// Opens the database, beside its servers. A file is one process' alone: its server does the jobs itself.
async fn open(settings: Settings) -> Result<App, ServerError> {
    let is_file = matches!(settings.database.url, DatabaseUrl::Sqlite(_));
    let db = Db::connect(&settings.database, OpenAs::Server).await.map_err(|error| match error {
        StoreError::InUse(path) if is_file => ServerError::WorkerBesideServer(path),
        other => ServerError::Store(other),
    })?;
    let clock = Clock::System;
    db.migrate(clock.now()).await?;
    let providers = Providers::from_settings(&settings.providers, &settings.chat.model)?;
    let app = App::new(settings, db, clock, providers)?;
    app.shared().try_redis();
    Ok(app)
}
