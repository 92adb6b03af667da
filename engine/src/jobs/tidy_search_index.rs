//! Takes the words of deleted messages out of SQLite's index for good, when there are any, by making one part of its many.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::time::Instant;

use super::{Bounds, Job, JobError, Payload};
use crate::app::App;

/// After a step it rests so many times as long as the step took, so that turns keep their pace.
const RESTS: u32 = 4;

pub(super) struct TidySearchIndex;

impl Job for TidySearchIndex {
    fn kind(&self) -> &'static str {
        "tidy_search_index"
    }

    fn bounds(&self) -> Bounds {
        Bounds { timeout: Duration::from_secs(4 * 3_600), ..Bounds::DEFAULT }
    }

    fn run<'a>(&'a self, app: &'a App, _: &'a Payload) -> BoxFuture<'a, Result<(), JobError>> {
        async move {
            let Some(leftovers) = app.db().search_leftovers().await? else { return Ok(()) };
            let mut begun = Instant::now();
            let mut goes_on = app.db().tidy_index(true).await?;
            while goes_on {
                tokio::time::sleep(begun.elapsed().saturating_mul(RESTS)).await;
                begun = Instant::now();
                goes_on = app.db().tidy_index(false).await?;
            }
            app.db().note_tidied(leftovers).await?;
            Ok(())
        }
        .boxed()
    }
}
