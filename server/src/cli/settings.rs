//! Loading the settings for a command.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use parlor_engine::config::{Provenance, Settings, Sources};
use rand::Rng;

use super::{CliError, Options};

/// The file in the data directory that holds a generated secret.
const SECRET_FILE: &str = "secret_key";

/// What a command needs of the secret key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    /// It must be configured.
    Required,
    /// Where none is configured, one is kept in the data directory.
    Generated,
    /// The command signs nothing.
    NotNeeded,
}

/// Loads and checks everything.
///
/// # Errors
/// Every problem at once.
pub(super) fn load(options: &Options, secret: Secret) -> Result<(Settings, Provenance), CliError> {
    let mut sources = sources(options)?;
    let peek = Settings::peek(&sources);
    if !peek.secret_is_set {
        sources.generated_secret = match secret {
            Secret::Required => None,
            Secret::Generated => Some(kept_secret(&peek.data_dir)?),
            Secret::NotNeeded => Some((random_secret(), "not needed by this command".to_owned())),
        };
    }
    Ok(Settings::load(&sources)?)
}

fn sources(options: &Options) -> Result<Sources, CliError> {
    let mut sources = Sources::ambient(options.config.as_deref())?;
    if let Some(folder) = &options.data_dir {
        sources.flags.insert("server.data_dir".to_owned(), folder.clone());
    }
    for pair in &options.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            CliError::Usage(format!("--set takes KEY=VALUE, for example --set server.port=8080, not {pair:?}"))
        })?;
        sources.flags.insert(key.to_owned(), value.to_owned());
    }
    Ok(sources)
}

/// The secret kept in the data directory, made when there is none, readable by its owner alone.
fn kept_secret(data_dir: &Path) -> Result<(String, String), CliError> {
    let path = data_dir.join(SECRET_FILE);
    let failed = |error: std::io::Error| CliError::Failed(format!("{}: {error}", path.display()));
    match std::fs::read_to_string(&path) {
        Ok(text) => return Ok((text.trim().to_owned(), path.display().to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    std::fs::create_dir_all(data_dir).map_err(failed)?;
    let secret = random_secret();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    writeln!(file, "{secret}").and_then(|()| file.sync_all()).map_err(failed)?;
    // A server starts whether or not anybody reads this.
    let _ =
        super::say(&format!("No secret key is configured: made one and keep it in {} (mode 0600).", path.display()));
    Ok((secret, path.display().to_string()))
}

fn random_secret() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
