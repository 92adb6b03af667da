//! `parlor user …`: accounts, beside a running server or without one. What a change voids ends at once: tokens with the next request, open
//! sockets and streams within seconds.

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand, ValueEnum};
use parlor_engine::app::{AccountFilter, App, AppError, Registration};
use parlor_engine::domain::{Account, AccountRole, Clock};
use parlor_engine::providers::Providers;
use secrecy::SecretString;

use super::{CliError, Options, hint, open_database, say};

/// The longest password that is read, in bytes.
const PASSWORD_BYTES: u64 = 4096;

/// Accounts.
#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Make an account; its password is read from standard input, or from PARLOR_PASSWORD
    Create(Create),
    /// List accounts, newest first
    List(List),
    /// Give an account another role
    Role(SetRole),
    /// Make an account unusable; all that it holds ends
    Deactivate(Target),
    /// Make an account usable again
    Activate(Target),
    /// Give an account another password, read as `create` reads it; all that it holds ends
    Password(SetPassword),
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
    #[command(flatten)]
    password: Password,
}

#[derive(Args)]
pub(super) struct List {
    /// Only those whose address or name contains this
    text: Option<String>,
    /// Only those of this role
    #[arg(long)]
    role: Option<Role>,
    /// How many at most, 1 to 100
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

#[derive(Args)]
pub(super) struct Target {
    /// Its address, name or id
    account: String,
}

#[derive(Args)]
pub(super) struct SetRole {
    #[command(flatten)]
    target: Target,
    /// The role
    role: Role,
}

#[derive(Args)]
pub(super) struct SetPassword {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    password: Password,
}

#[derive(Args)]
struct Password {
    /// The password
    #[arg(long, env = "PARLOR_PASSWORD", hide_env_values = true, hide = true)]
    password: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    User,
    Editor,
    Admin,
}

impl From<Role> for AccountRole {
    fn from(role: Role) -> Self {
        match role {
            Role::User => Self::User,
            Role::Editor => Self::Editor,
            Role::Admin => Self::Admin,
        }
    }
}

impl UserCommand {
    pub(super) async fn run(self, options: &Options) -> Result<(), CliError> {
        let app = open_app(options).await?;
        let done = self.execute(&app).await;
        app.close().await;
        say(&done?)
    }

    async fn execute(self, app: &App) -> Result<String, CliError> {
        let failed = |error: AppError| CliError::Failed(error.to_string());
        let account = match self {
            Self::Create(create) => return create.execute(app).await,
            Self::List(list) => {
                let role = list.role.map(AccountRole::from);
                let filter = AccountFilter { text: list.text, role, limit: list.limit, ..AccountFilter::default() };
                let (accounts, has_more) = app.find_accounts(filter).await.map_err(failed)?;
                let mut lines: Vec<String> = accounts.iter().map(line).collect();
                if has_more {
                    lines.push("There are more: name a part of the address or name.".to_owned());
                }
                return Ok(if lines.is_empty() { "There are none.".to_owned() } else { lines.join("\n") });
            }
            Self::Role(set) => {
                let id = app.find_account(&set.target.account).await.map_err(failed)?.id;
                app.set_account_role(id, set.role.into()).await
            }
            Self::Deactivate(target) => {
                let id = app.find_account(&target.account).await.map_err(failed)?.id;
                app.deactivate_account(id).await
            }
            Self::Activate(target) => {
                let id = app.find_account(&target.account).await.map_err(failed)?.id;
                app.reactivate_account(id).await
            }
            Self::Password(set) => {
                let id = app.find_account(&set.target.account).await.map_err(failed)?.id;
                app.set_account_password(id, &set.password.read()?).await
            }
        };
        Ok(line(&account.map_err(failed)?))
    }
}

/// The application over the settings' database, its schema up to date.
pub(super) async fn open_app(options: &Options) -> Result<App, CliError> {
    let (settings, db) = open_database(options).await?;
    let clock = Clock::System;
    db.migrate(clock.now()).await?;
    let providers = Providers::from_settings(&settings.providers, &settings.chat.model)
        .map_err(|error| CliError::Failed(error.to_string()))?;
    App::new(settings, db, clock, providers).map_err(|error| CliError::Failed(error.to_string()))
}

/// An account in one line.
fn line(account: &Account) -> String {
    let names = [account.email.as_deref(), account.username.as_deref()];
    let names: Vec<&str> = names.into_iter().flatten().collect();
    let state = if account.is_active { "active" } else { "deactivated" };
    format!("{}  {}  {state}  {}", account.id, account.role.as_str(), names.join("  "))
}

impl Create {
    async fn execute(self, app: &App) -> Result<String, CliError> {
        let password = self.password.read()?;
        let registration = Registration { email: self.email, username: self.username, password };
        let account = if self.admin { app.create_admin(registration).await } else { app.register(registration).await };
        let account = account.map_err(|error| CliError::Failed(error.to_string()))?;
        let name = account.email.or(account.username).unwrap_or_default();
        Ok(format!("Made {} {name} with id {}.", account.role.as_str(), account.id))
    }
}

impl Password {
    fn read(self) -> Result<SecretString, CliError> {
        self.password.map_or_else(read_password, |password| Ok(password.into()))
    }
}

/// The first line of standard input.
fn read_password() -> Result<SecretString, CliError> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        hint("Password (8 to 128 characters; it will be shown as you type):");
        let mut line = String::new();
        input.read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_owned().into());
    }
    let mut text = String::new();
    input.by_ref().take(PASSWORD_BYTES).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned().into())
}
