//! `parlor worker`

use clap::Args;

use super::settings::{Secret, load};
use super::{CliError, Options};
use crate::{telemetry, worker};

/// Do jobs, and serve nobody.
#[derive(Args)]
pub(super) struct Worker {
    /// Answer /health and /metrics, and nothing else, at this port of SERVER__HOST
    #[arg(long)]
    port: Option<u16>,
}

impl Worker {
    pub(super) async fn run(self, options: &Options) -> Result<(), CliError> {
        let (settings, provenance) = load(options, Secret::NotNeeded)?;
        telemetry::start(&settings.telemetry);
        for note in provenance.notes() {
            tracing::warn!("{note}");
        }
        Ok(worker::run(settings, self.port).await?)
    }
}
