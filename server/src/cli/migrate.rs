//! `parlor migrate`

use parlor_engine::domain::Clock;

use super::{CliError, Options, open_database, say};

/// Brings the schema up to date and says what it did.
pub(super) async fn run(options: &Options) -> Result<(), CliError> {
    let (_, db) = open_database(options)?;
    let states = db.migrate(Clock::System.now()).await?;
    db.close().await;
    for state in states {
        let done = if state.applied_now { "applied" } else { "was there" };
        say(&format!("{:04} {}: {done}", state.version, state.name));
    }
    Ok(())
}
