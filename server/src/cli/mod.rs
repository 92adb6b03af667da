//! The command line.

mod backup;
mod config;
mod db;
mod import;
mod migrate;
mod openapi;
mod serve;
mod settings;
mod transfer;
mod usage;
mod user;
mod worker;

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use parlor_engine::config::ConfigErrors;
use parlor_engine::store::{Db, OpenAs, StoreError};

use crate::server::ServerError;
use crate::telemetry;

/// Parlor: the AI chatbot backend in one binary.
#[derive(Parser)]
#[command(name = "parlor", version, about, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes. Flags are stronger than the environment, which is stronger than `.env`, which is stronger than `parlor.toml`.
#[derive(Args)]
pub(crate) struct Options {
    /// The configuration file [default: parlor.toml, when there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for what Parlor keeps
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Any setting, by its key in parlor.toml, for example --set chat.model=gpt-4o
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server
    Serve(serve::Serve),
    /// Do jobs, and serve nobody: beside servers that share a database
    Worker(worker::Worker),
    /// Bring the database's schema up to date
    Migrate(migrate::Migrate),
    /// Make or show the database's schema
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Copy the SQLite database into a file
    Backup(backup::Backup),
    /// Put such a copy into the place of the database
    Restore(backup::Restore),
    /// Copy everything into another database
    Transfer(transfer::Transfer),
    /// Bring in what another chatbot backend has stored
    Import(import::Import),
    /// Manage accounts
    #[command(subcommand)]
    User(user::UserCommand),
    /// Sum up what was used
    #[command(subcommand)]
    Usage(usage::UsageCommand),
    /// Show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print the API's OpenAPI description
    Openapi,
}

/// What a shell makes of a program that SIGPIPE ended, as it does most: 128 and the signal's number.
const UNHEARD: u8 = 141;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The configuration; exit code 2.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// A flag's value; exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Everything else; exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Whoever read the answer has gone, as `head` does; exit code [`UNHEARD`], and nothing is said.
    #[error("nobody reads the answer")]
    Unheard,
}

impl From<ServerError> for CliError {
    fn from(error: ServerError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Failed(format!("database: {error}"))
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::from)
        .and_then(|runtime| runtime.block_on(execute(cli)));
    telemetry::finish();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = match error {
                CliError::Unheard => return ExitCode::from(UNHEARD),
                CliError::Failed(_) => 1,
                CliError::Config(_) | CliError::Usage(_) => 2,
            };
            complain(&error);
            ExitCode::from(code)
        }
    }
}

async fn execute(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        Command::Serve(command) => command.run(&cli.options).await,
        Command::Worker(worker) => worker.run(&cli.options).await,
        Command::Migrate(command) => command.run(&cli.options).await,
        Command::Db(command) => command.run(&cli.options).await,
        Command::Backup(command) => command.run(&cli.options),
        Command::Restore(command) => command.run(&cli.options),
        Command::Transfer(command) => command.run(&cli.options).await,
        Command::Import(command) => command.run(&cli.options).await,
        Command::User(command) => command.run(&cli.options).await,
        Command::Usage(command) => command.run(&cli.options).await,
        Command::Config(command) => command.run(&cli.options),
        Command::Openapi => openapi::run(),
    }
}

/// One clear line per problem.
fn complain(error: &CliError) {
    for line in error.to_string().lines() {
        hint(&format!("parlor: {line}"));
    }
}

/// A line on standard error, for whoever reads that.
fn hint(line: &str) {
    // Where it is closed, nobody is there to be told so.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints a command's answer.
fn say(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => CliError::Unheard,
        _ => CliError::Failed(format!("standard output: {error}")),
    })
}

/// The settings' database, for a command beside a running server.
async fn open_database(options: &Options) -> Result<(parlor_engine::config::Settings, Db), CliError> {
    let (settings, _) = settings::load(options, settings::Secret::NotNeeded)?;
    let db = Db::connect(&settings.database, OpenAs::Command).await?;
    Ok((settings, db))
}
