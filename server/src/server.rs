//! The server's life: open, recover, listen, drain, stop.

use std::time::Duration;

use parlor_engine::app::{App, AppError};
use parlor_engine::config::{DatabaseUrl, Settings};
use parlor_engine::domain::Clock;
use parlor_engine::jobs::{Pace, Registry, Worker, watch_queue};
use parlor_engine::providers::{ProviderError, Providers};
use parlor_engine::store::{Db, OpenAs, StoreError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::allocator::give_back_regularly;
use crate::kit::metrics::Metrics;
use crate::kit::{Context, Parts, listener};
use crate::router::router;

/// How often memory that is not needed is given back.
const REST_EVERY: Duration = Duration::from_secs(15 * 60);
/// How old what an earlier run left over must be: another server may be taking in what is newer.
const SETTLED_AFTER: Duration = Duration::from_secs(60);
/// How often the accounts behind open sockets and streams are looked at: what another process changed bites within this time.
const CHECK_DOORS_EVERY: Duration = Duration::from_secs(2);
/// What connections get, after the turns have ended, to send their last bytes.
const LAST_BYTES: Duration = Duration::from_secs(3);

/// Why the server did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The database.
    #[error("database: {0}")]
    Store(#[from] StoreError),
    /// The providers' settings.
    #[error("providers: {0}")]
    Providers(#[from] ProviderError),
    /// The database is a file that a server has.
    #[error(
        "the database {0} is a file that a Parlor server has open; that server does the jobs itself, a worker beside it needs PostgreSQL or MySQL"
    )]
    WorkerBesideServer(String),
    /// The application.
    #[error("{0}")]
    App(#[from] AppError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Host and port.
        address: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The system's signals.
    #[error("signals: {0}")]
    Signals(std::io::Error),
}

/// Serves until a signal says stop. The first SIGTERM or SIGINT drains: no new turns and connections, open streams go on for the settings'
/// grace period, what was said is stored. A second one ends the process at once.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(settings: Settings) -> Result<(), ServerError> {
    let metrics = Metrics::install()?;
    let app = open(settings).await?;
    let settings = app.settings().server.clone();
    let address = format!("{}:{}", settings.host, settings.port);
    let listen = |reason| ServerError::Listen { address: address.clone(), reason };
    let socket = TcpListener::bind((settings.host.as_str(), settings.port)).await.map_err(listen)?;
    let bound = socket.local_addr().map_err(listen)?;
    let (mut terminate, mut interrupt) = signals().map_err(ServerError::Signals)?;

    let context = Context::from(Parts {
        app: app.clone(),
        draining: CancellationToken::new(),
        sockets: TaskTracker::new(),
        metrics: metrics.clone(),
    });
    let upkeep = tokio::spawn(metrics.keep_up());
    let giving_back = tokio::spawn(give_back_regularly());
    let resting = tokio::spawn(rest_regularly(app.clone()));
    let watching = tokio::spawn(watch_queue(app.clone()));
    let worker =
        app.settings().jobs.in_server.then(|| Worker::start(app.clone(), Registry::default(), Pace::default()));
    if worker.is_none() && matches!(app.settings().database.url, DatabaseUrl::Sqlite(_)) {
        tracing::warn!("jobs.in_server is off, and a worker cannot use this server's file: no jobs are done");
    }
    let checking = tokio::spawn(check_doors_regularly(app.clone()));
    let hearing = tokio::spawn({
        let app = app.clone();
        async move { app.hear_revocations().await }
    });
    let last_beat = CancellationToken::new();
    let beating = tokio::spawn(beat_regularly(app.clone(), last_beat.clone()));
    let answering = tokio::spawn({
        let app = app.clone();
        async move { app.answer_servers().await }
    });
    let draining = context.draining.clone();
    let sockets = context.sockets.clone();
    let serving = tokio::spawn(listener::serve(socket, router(context), settings.max_connections, draining.clone()));
    tracing::info!(address = %bound, version = env!("CARGO_PKG_VERSION"), "listening on http://{bound}");

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(
        "stopping: open streams have {} s; a second signal stops at once",
        settings.shutdown_grace.as_secs()
    );
    app.begin_shutdown();
    draining.cancel();
    sockets.close();
    resting.abort();
    watching.abort();
    let jobs = async {
        if let Some(worker) = worker {
            worker.drain(settings.shutdown_grace).await;
        }
    };
    let drain = async {
        let connections = serving.await;
        let connections = async {
            if let Ok(connections) = connections {
                connections.shutdown().await;
            }
            sockets.wait().await;
        };
        let turns = async {
            app.drain(settings.shutdown_grace).await;
            tokio::time::sleep(LAST_BYTES).await;
        };
        // Connections normally end first, with their turns; the turns' own limit is the limit of all.
        let answers = async {
            tokio::select! {
                () = connections => app.drain(settings.shutdown_grace).await,
                () = turns => tracing::warn!("some connections did not end in time"),
            }
        };
        tokio::join!(answers, jobs);
        // Or it would be on the list again.
        last_beat.cancel();
        if beating.await.is_err() {
            tracing::error!("this server's signs of life ended before it did");
        }
        app.close().await;
    };
    tokio::select! {
        () = drain => tracing::info!("stopped"),
        _ = terminate.recv() => tracing::warn!("stopped at once"),
        _ = interrupt.recv() => tracing::warn!("stopped at once"),
    }
    upkeep.abort();
    giving_back.abort();
    checking.abort();
    hearing.abort();
    answering.abort();
    Ok(())
}

/// Opens the database, brings its schema up to date, puts the application together and ends what a stopped server left open.
async fn open(settings: Settings) -> Result<App, ServerError> {
    let clock = Clock::System;
    let db = Db::connect(&settings.database, OpenAs::Server).await?;
    for migration in db.migrate(clock.now()).await?.iter().filter(|migration| migration.applied_now) {
        tracing::info!(version = migration.version, name = migration.name, "migrated the database");
    }
    let providers = Providers::from_settings(&settings.providers, &settings.chat.model)?;
    let app = App::new(settings, db, clock, providers)?;
    app.shared().try_redis();
    let interrupted = app.take_up().await?;
    if interrupted > 0 {
        tracing::warn!(turns = interrupted, "turns that a stopped server left open are marked as interrupted");
    }
    app.clear_uploads().await?;
    if let Some(admin) = app.ensure_first_admin().await? {
        tracing::info!(account = %admin.id, "made the first admin");
    }
    Ok(app)
}

/// SIGTERM and SIGINT.
pub fn signals() -> std::io::Result<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

async fn check_doors_regularly(app: App) {
    let mut tick = tokio::time::interval(CHECK_DOORS_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = app.check_open_doors().await {
            tracing::warn!(%error, "looking at the accounts behind open connections failed");
        }
    }
}

async fn beat_regularly(app: App, last: CancellationToken) {
    let mut tick = tokio::time::interval(app.beat_every());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = last.cancelled() => return,
            _ = tick.tick() => {}
        }
        match app.beat().await {
            Ok(0) => {}
            Ok(turns) => tracing::warn!(turns, "turns that another server left open are marked as interrupted"),
            Err(error) => tracing::warn!(%error, "this server's sign of life did not reach the database"),
        }
    }
}

/// What each server does for itself: memory that is not needed goes, and what an earlier run of it left over.
async fn rest_regularly(app: App) {
    app.release_leftovers_of(app.clock().now().minus(SETTLED_AFTER)).await;
    let mut tick = tokio::time::interval(REST_EVERY);
    loop {
        tick.tick().await;
        app.rest();
    }
}
