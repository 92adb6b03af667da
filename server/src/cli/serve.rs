//! `parlor serve`

use clap::Args;

use super::settings::{Secret, load};
use super::{CliError, Options};
use crate::{server, telemetry};

/// Start the server.
#[derive(Args)]
pub(super) struct Serve {
    /// The address to listen on
    #[arg(long)]
    host: Option<String>,
    /// The port to listen on
    #[arg(long)]
    port: Option<u16>,
    /// Where no secret key is configured, make one and keep it in the data directory
    #[arg(long)]
    generate_secret: bool,
}

impl Serve {
    pub(super) async fn run(self, options: &Options) -> Result<(), CliError> {
        let mut set = options.set.clone();
        set.extend(self.host.map(|host| format!("server.host={host}")));
        set.extend(self.port.map(|port| format!("server.port={port}")));
        let options = Options { config: options.config.clone(), data_dir: options.data_dir.clone(), set };
        let secret = if self.generate_secret { Secret::Generated } else { Secret::Required };
        let (settings, provenance) = load(&options, secret)?;
        telemetry::start(&settings.telemetry);
        for note in provenance.notes() {
            tracing::warn!("{note}");
        }
        Ok(server::run(settings).await?)
    }
}
