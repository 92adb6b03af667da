//! `parlor worker`

use super::settings::{Secret, load};
use super::{CliError, Options};
use crate::{telemetry, worker};

pub(super) async fn run(options: &Options) -> Result<(), CliError> {
    let (settings, provenance) = load(options, Secret::NotNeeded)?;
    telemetry::start(&settings.telemetry);
    for note in provenance.notes() {
        tracing::warn!("{note}");
    }
    Ok(worker::run(settings).await?)
}
