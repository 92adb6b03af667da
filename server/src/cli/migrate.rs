//! `parlor migrate`

use clap::Args;
use parlor_engine::domain::Clock;
use parlor_engine::store::Db;

use super::settings::{self, Secret};
use super::{CliError, Options, open_database, say};

/// Bring the database's schema up to date. Of several that start at once one does it, and the others wait for it.
#[derive(Args, Default)]
pub(super) struct Migrate {
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: print the SQL that would be run
    #[arg(long, requires = "dry_run")]
    sql: bool,
}

impl Migrate {
    pub(super) async fn run(self, options: &Options) -> Result<(), CliError> {
        if self.dry_run { plan(options, self.sql).await } else { migrate(options).await }
    }
}

/// Brings the schema up to date and says what it did.
pub(super) async fn migrate(options: &Options) -> Result<(), CliError> {
    let (_, db) = open_database(options).await?;
    let states = db.migrate(Clock::System.now()).await?;
    db.close().await;
    for state in states {
        let done = if state.applied_now { "applied" } else { "was there" };
        say(&format!("{:04} {}: {done}", state.version, state.name))?;
    }
    Ok(())
}

async fn plan(options: &Options, with_sql: bool) -> Result<(), CliError> {
    let (settings, _) = settings::load(options, Secret::NotNeeded)?;
    let planned = Db::plan_migrations(&settings.database).await?;
    for migration in &planned {
        let (number, name) = (migration.version, migration.name);
        match (with_sql, migration.is_there) {
            (false, true) => say(&format!("{number:04} {name}: was there"))?,
            (false, false) => say(&format!("{number:04} {name}: would be applied"))?,
            (true, true) => {}
            (true, false) => say(&format!("-- {number:04} {name}\n{}", migration.sql))?,
        }
    }
    if !with_sql && planned.iter().all(|migration| migration.is_there) {
        say("Nothing is to be done.")?;
    }
    Ok(())
}
