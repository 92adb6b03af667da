//! Removes what moderation blocked, when the time for looking at it is over.

use futures_util::future::{BoxFuture, FutureExt as _};

use super::{BATCH, Job, JobError, Payload};
use crate::app::App;

pub(super) struct RemoveModerationEvents;

impl Job for RemoveModerationEvents {
    fn kind(&self) -> &'static str {
        "remove_moderation_events"
    }

    fn run<'a>(&'a self, app: &'a App, _: &'a Payload) -> BoxFuture<'a, Result<(), JobError>> {
        async move {
            let until = app.clock().now().minus(app.settings().moderation.retention);
            while app.db().delete_moderation_events(until, BATCH).await? > 0 {}
            Ok(())
        }
        .boxed()
    }
}
