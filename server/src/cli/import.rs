//! `parlor import`

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use parlor_engine::config::{DatabaseSettings, DatabaseUrl};
use parlor_engine::domain::Clock;
use parlor_engine::import::{
    Counts, ImportError, ImportKind, ImportOptions, ImportReport, ImportSource, Target, import,
};
use parlor_engine::store::{Db, OpenAs};

use super::settings::{self, Secret};
use super::{CliError, Options, say};

/// The longest name of a source.
const NAME_CHARS: usize = 100;

/// Bring in what another chatbot backend has stored: accounts with their passwords, conversations and messages. May run beside the server. A
/// second run adds what is new since the first.
#[derive(Args)]
pub(super) struct Import {
    /// Whose database it is
    #[arg(long, value_name = "KIND")]
    from: Kind,
    /// The database: a SQLite file, postgresql://… or mysql://…
    #[arg(value_name = "DATABASE", env = "PARLOR_IMPORT_DATABASE", hide_env_values = true)]
    database: String,
    /// Say what would be brought in, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// A name that tells this database from another of the same kind; the same one with every run [default: the kind]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Give each conversation a new, random id, also where its own is free
    #[arg(long)]
    new_ids: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// SQLite: conversations and messages, whose users are names
    #[value(name = "classic")]
    Classic,
    /// MySQL: conversation_store and message_store, whose users are numbers
    #[value(name = "full_chatbot")]
    FullChatbot,
    /// PostgreSQL or SQLite: users with passwords, conversations and messages
    #[value(name = "mvp")]
    Mvp,
}

impl Import {
    pub(super) async fn run(self, options: &Options) -> Result<(), CliError> {
        let (settings, _) = settings::load(options, Secret::NotNeeded)?;
        let url = DatabaseUrl::parse(&self.database, None);
        let url = url.map_err(|expected| CliError::Usage(format!("the database to import is {expected}")))?;
        let from = DatabaseSettings { url, ..settings.database.clone() };
        let kind = match self.from {
            Kind::Classic => ImportKind::Classic,
            Kind::FullChatbot => ImportKind::FullChatbot,
            Kind::Mvp => ImportKind::Mvp,
        };
        let name = self.name.unwrap_or_else(|| kind.as_str().to_owned());
        if name.trim().is_empty() || name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
            return Err(CliError::Usage(format!("--as takes a name of 1 to {NAME_CHARS} characters")));
        }
        let import_options = ImportOptions { name, new_ids: self.new_ids };
        // Before anything is made for it.
        let source = ImportSource::open(&from, kind).await.map_err(failed)?;
        let report = if self.dry_run {
            plan(&settings.database, source, &import_options).await?
        } else {
            let clock = Clock::System;
            let db = Db::connect(&settings.database, OpenAs::Command).await?;
            let done = async {
                db.migrate(clock.now()).await?;
                import(Target::Store(&db), source, &import_options, &clock).await
            }
            .await;
            db.close().await;
            done.map_err(failed)?
        };
        say(&render(&report, self.dry_run))
    }
}

/// What would be brought in. Makes no database where there is none.
async fn plan(
    database: &DatabaseSettings,
    source: ImportSource,
    options: &ImportOptions,
) -> Result<ImportReport, CliError> {
    let migrations = Db::plan_migrations(database).await?;
    let clock = Clock::System;
    if migrations.iter().all(|migration| !migration.is_there) {
        return import(Target::Plan(None), source, options, &clock).await.map_err(failed);
    }
    if migrations.iter().any(|migration| !migration.is_there) {
        let problem = "the database's schema is not up to date: run `parlor migrate` first";
        return Err(CliError::Failed(problem.to_owned()));
    }
    let db = Db::connect(database, OpenAs::Command).await?;
    let done = import(Target::Plan(Some(&db)), source, options, &clock).await;
    db.close().await;
    done.map_err(failed)
}

fn failed(error: ImportError) -> CliError {
    CliError::Failed(error.to_string())
}

fn render(report: &ImportReport, dry_run: bool) -> String {
    let mut text = String::new();
    let added = if dry_run { "to add" } else { "added" };
    let mut line = |name: &str, counts: Counts| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:14} {:>9} {added}, {:>9} known, {:>9} left out",
            counts.added, counts.known, counts.skipped
        );
    };
    line("accounts", report.accounts);
    line("conversations", report.conversations);
    line("messages", report.messages);
    if report.guests > 0 {
        let _ = writeln!(text, "{:14} {:>9} met", "guests", report.guests);
    }
    if report.renamed > 0 {
        let _ = writeln!(
            text,
            "{} conversations have another id than they had: the table imported_rows lists both.",
            report.renamed
        );
    }
    for note in &report.notes {
        let more = if note.count > note.examples.len() as u64 { ", …" } else { "" };
        let _ = writeln!(text, "{} times: {} ({}{more})", note.count, note.what, note.examples.join(", "));
    }
    if !report.left_alone.is_empty() {
        let _ = writeln!(text, "Tables that were not read: {}.", report.left_alone.join(", "));
    }
    if dry_run {
        text.push_str("Nothing was changed.");
    }
    text.trim_end().to_owned()
}
