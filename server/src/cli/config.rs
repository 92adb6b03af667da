//! `parlor config show`

use clap::Subcommand;
use parlor_engine::config::render;

use super::settings::{Secret, load};
use super::{CliError, Options, say};

/// The configuration.
#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Show every setting, its value and where that came from; secrets are redacted
    Show,
}

impl ConfigCommand {
    pub(super) fn run(self, options: &Options) -> Result<(), CliError> {
        let Self::Show = self;
        let (_, provenance) = load(options, Secret::NotNeeded)?;
        say(&render(&provenance))
    }
}
