//! Measures the queue, whoever works on it.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::app::App;

/// How often it is measured.
const EVERY: Duration = Duration::from_secs(15);

/// Puts the queue's length and the age of what waits longest into the metrics, until dropped.
pub async fn watch_queue(app: App) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let now = app.clock().now();
        let Ok(queue) = app.db().queue_state(now).await else { continue };
        let states = [("due", queue.due), ("later", queue.later), ("running", queue.running), ("dead", queue.dead)];
        for (state, jobs) in states {
            let jobs = f64::from(u32::try_from(jobs).unwrap_or(u32::MAX));
            metrics::gauge!("parlor_jobs_queue", "state" => state).set(jobs);
        }
        if let Some(mongo) = app.mongo() {
            // What it says is kept for `/health`.
            let _ = mongo.ping().await;
            watch_outbox(&app).await;
        }
        let age = queue.oldest_due.map_or(Duration::ZERO, |since| now.since(since));
        metrics::gauge!("parlor_jobs_oldest_due_seconds").set(age.as_secs_f64());
    }
}

async fn watch_outbox(app: &App) {
    let now = app.clock().now();
    let Ok(outbox) = app.db().outbox_state(now).await else { return };
    let rows = f64::from(u32::try_from(outbox.rows).unwrap_or(u32::MAX));
    metrics::gauge!("parlor_outbox_rows").set(rows);
    let lag = outbox.oldest.map_or(Duration::ZERO, |since| now.since(since));
    metrics::gauge!("parlor_outbox_lag_seconds").set(lag.as_secs_f64());
}
