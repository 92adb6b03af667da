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
            complain(&error);
            ExitCode::from(if matches!(error, CliError::Failed(_)) { 1 } else { 2 })
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
#[allow(clippy::print_stderr, reason = "this is where the command line speaks")]
fn complain(error: &CliError) {
    for line in error.to_string().lines() {
        eprintln!("parlor: {line}");
    }
}

/// Prints a command's answer.
#[allow(clippy::print_stdout, reason = "this is where the command line speaks")]
fn say(text: &str) {
    println!("{text}");
}

/// The settings' database, for a command beside a running server.
async fn open_database(options: &Options) -> Result<(parlor_engine::config::Settings, Db), CliError> {
    let (settings, _) = settings::load(options, settings::Secret::NotNeeded)?;
    let db = Db::connect(&settings.database, OpenAs::Command).await?;
    Ok((settings, db))
}
