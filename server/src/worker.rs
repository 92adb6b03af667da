//! The life of a process that does jobs and serves nobody.

use parlor_engine::app::App;
use parlor_engine::config::{DatabaseUrl, Settings};
use parlor_engine::domain::Clock;
use parlor_engine::jobs::{Pace, Registry, Worker};
use parlor_engine::providers::Providers;
use parlor_engine::store::{Db, OpenAs, StoreError};

use crate::server::{ServerError, signals};

/// Does jobs until a signal says stop. The first SIGTERM or SIGINT lets those that run finish within the settings' grace period; what does not is
/// put back. A second one ends the process at once.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(settings: Settings) -> Result<(), ServerError> {
    let app = open(settings).await?;
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
    let drain = async {
        worker.drain(grace).await;
        app.close().await;
    };
    tokio::select! {
        () = drain => tracing::info!("stopped"),
        _ = terminate.recv() => tracing::warn!("stopped at once"),
        _ = interrupt.recv() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// Opens the database, beside its servers. A file is one process' alone: its server does the jobs itself.
async fn open(settings: Settings) -> Result<App, ServerError> {
    let is_file = matches!(settings.database.url, DatabaseUrl::Sqlite(_));
    let db = Db::open(&settings.database, OpenAs::Server).map_err(|error| match error {
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
