//! Enqueues what recurs, once however many workers there are.

use super::{Payload, Registry, new_job};
use crate::app::App;
use crate::domain::Schedule;
use crate::store::{NewSchedule, StoreError};

/// Brings the database's schedules up to what the settings say.
pub(super) async fn set_schedules(app: &App) -> Result<(), StoreError> {
    let now = app.clock().now();
    let schedules = app.settings().jobs.schedules.iter().map(|(name, schedule)| NewSchedule {
        name,
        expression: schedule.as_str().to_owned(),
        next_at: schedule.after(now),
    });
    app.db().set_schedules(schedules.collect()).await
}

/// Enqueues the jobs of these schedules, whose time has come. Those that are known to a newer Parlor alone are left to it.
pub(super) async fn fire(app: &App, registry: &Registry, due: &[String]) -> Result<(), StoreError> {
    for name in due {
        let known = app.settings().jobs.schedules.iter().find(|(known, _)| known == name);
        let Some(((name, schedule), job)) = known.zip(registry.find(name)) else { continue };
        let now = app.clock().now();
        let (next, job) = (Schedule::after(schedule, now), new_job(job.as_ref(), &Payload::none(), now));
        if app.db().fire_schedule(name, next, job).await? {
            tracing::debug!(schedule = name, "enqueued");
        }
    }
    Ok(())
}
