//! Removes contents that no file has any longer.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use super::{Job, JobError, Payload};
use crate::app::App;

/// How long a content has been without a file before another process than the one that took it in removes it: it may be on its way in there.
const SETTLED_AFTER: Duration = Duration::from_secs(3_600);

pub(super) struct ReleaseFiles;

impl Job for ReleaseFiles {
    fn kind(&self) -> &'static str {
        "release_files"
    }

    fn run<'a>(&'a self, app: &'a App, _: &'a Payload) -> BoxFuture<'a, Result<(), JobError>> {
        async move {
            app.release_leftovers_of(app.clock().now().minus(SETTLED_AFTER)).await;
            Ok(())
        }
        .boxed()
    }
}
