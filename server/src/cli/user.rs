//! `parlor user create`

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand};
use parlor_engine::app::{App, AppError, Registration};
use parlor_engine::domain::Clock;
use parlor_engine::providers::Providers;
use secrecy::SecretString;

use super::{CliError, Options, open_database, say};

/// The longest password that is read, in bytes.
const PASSWORD_BYTES: u64 = 4096;

/// Accounts.
#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Make an account; its password is read from standard input, or from PARLOR_PASSWORD
    Create(Create),
}

#[derive(Args)]
pub(super) struct Create {
    /// The address that it signs in under
    #[arg(long, required_unless_present = "username")]
    email: Option<String>,
    /// The name that it signs in under
    #[arg(long)]
    username: Option<String>,
    /// Make it an admin
    #[arg(long)]
    admin: bool,
    /// The password
    #[arg(long, env = "PARLOR_PASSWORD", hide_env_values = true, hide = true)]
    password: Option<String>,
}

impl UserCommand {
    pub(super) async fn run(self, options: &Options) -> Result<(), CliError> {
        let Self::Create(create) = self;
        create.run(options).await
    }
}

impl Create {
    async fn run(self, options: &Options) -> Result<(), CliError> {
        let (settings, db) = open_database(options)?;
        let clock = Clock::System;
        db.migrate(clock.now()).await?;
        let password = match self.password {
            Some(password) => password.into(),
            None => read_password()?,
        };
        let providers = Providers::from_settings(&settings.providers, &settings.chat.model)
            .map_err(|error| CliError::Failed(error.to_string()))?;
        let failed = |error: AppError| CliError::Failed(error.to_string());
        let app = App::new(settings, db, clock, providers).map_err(failed)?;
        let registration = Registration { email: self.email, username: self.username, password };
        let account = if self.admin { app.create_admin(registration).await } else { app.register(registration).await };
        app.close().await;
        let account = account.map_err(failed)?;
        let name = account.email.or(account.username).unwrap_or_default();
        say(&format!("Made {} {name} with id {}.", account.role.as_str(), account.id));
        Ok(())
    }
}

/// The first line of standard input.
#[allow(clippy::print_stderr, reason = "a prompt")]
fn read_password() -> Result<SecretString, CliError> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("Password (8 to 128 characters; it will be shown as you type):");
        let mut line = String::new();
        input.read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_owned().into());
    }
    let mut text = String::new();
    input.by_ref().take(PASSWORD_BYTES).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned().into())
}
