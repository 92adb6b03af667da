//! Gives back what calls held of quotas that nobody settled.

use futures_util::future::{BoxFuture, FutureExt as _};

use super::{BATCH, Job, JobError, Payload};
use crate::app::App;

pub(super) struct ReleaseReservations;

impl Job for ReleaseReservations {
    fn kind(&self) -> &'static str {
        "release_reservations"
    }

    fn run<'a>(&'a self, app: &'a App, _: &'a Payload) -> BoxFuture<'a, Result<(), JobError>> {
        async move {
            while app.db().release_expired_reservations(app.clock().now(), BATCH).await? > 0 {}
            Ok(())
        }
        .boxed()
    }
}
