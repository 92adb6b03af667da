//! Removes jobs that ended long ago.

use futures_util::future::{BoxFuture, FutureExt as _};

use super::{BATCH, Job, JobError, Payload};
use crate::app::App;

pub(super) struct RemoveEndedJobs;

impl Job for RemoveEndedJobs {
    fn kind(&self) -> &'static str {
        "remove_ended_jobs"
    }

    fn run<'a>(&'a self, app: &'a App, _: &'a Payload) -> BoxFuture<'a, Result<(), JobError>> {
        async move {
            let until = app.clock().now().minus(app.settings().jobs.keep);
            while app.db().delete_ended_jobs(until, BATCH).await? > 0 {}
            Ok(())
        }
        .boxed()
    }
}
