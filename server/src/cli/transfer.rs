//! `parlor transfer`

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use parlor_engine::config::{DatabaseSettings, DatabaseUrl};
use parlor_engine::domain::Clock;
use parlor_engine::store::{TransferEvent, TransferReport, transfer};

use super::settings::{self, Secret};
use super::{CliError, Options, say};

/// Where nobody watches a bar, a line for so many rows.
const LINE_EVERY: u64 = 100_000;

/// Copy all rows of one database into another, empty one, whatever kind the two are: SQLite, PostgreSQL, MySQL or MariaDB. Stop the server
/// first. What was interrupted goes on when the same command is given again; in the end both sides are compared. Attached files lie outside
/// the database and stay where they are.
#[derive(Args)]
pub(super) struct Transfer {
    /// The database that is read: sqlite:///data/chatbot.db, postgresql://… or mysql://…
    #[arg(long, value_name = "URL", env = "PARLOR_TRANSFER_FROM", hide_env_values = true)]
    from: String,
    /// The database that is filled; it must exist, and its tables must be empty or not made yet
    #[arg(long, value_name = "URL", env = "PARLOR_TRANSFER_TO", hide_env_values = true)]
    to: String,
}

impl Transfer {
    pub(super) async fn run(self, options: &Options) -> Result<(), CliError> {
        let (settings, _) = settings::load(options, Secret::NotNeeded)?;
        let side = |flag: &str, text: &str| {
            let url = DatabaseUrl::parse(text, None);
            let url = url.map_err(|expected| CliError::Usage(format!("{flag} takes {expected}")))?;
            Ok::<_, CliError>(DatabaseSettings { url, ..settings.database.clone() })
        };
        let (from, to) = (side("--from", &self.from)?, side("--to", &self.to)?);
        let mut display = Display::new();
        let began = tokio::time::Instant::now();
        let done = transfer(&from, &to, Clock::System.now(), &mut |event| display.show(event)).await;
        display.clear();
        let report = done.map_err(|error| CliError::Failed(error.to_string()))?;
        say(&summary(&report, began.elapsed()))
    }
}

fn summary(report: &TransferReport, took: Duration) -> String {
    let mut text = String::new();
    let width = report.tables.iter().map(|table| table.name.len()).max().unwrap_or(0);
    for table in &report.tables {
        let short = table.hash.get(..16).unwrap_or(&table.hash);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:width$}  {:>10} rows  {short}  equal", table.name, table.rows);
    }
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    let seconds = took.as_secs_f64().max(0.001);
    let again = if report.continued { ", the rest of an interrupted run" } else { "" };
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = report.copied as f64 / seconds;
    let _ = write!(
        text,
        "{rows} rows in {} tables are equal on both sides. Copied {} of them{again}, and compared all, in {seconds:.1} s: {rate:.0} rows/s.\n\
         Attached files lie outside the database: copy the folder (DATA_DIR/files) or keep the bucket.",
        report.tables.len(),
        report.copied
    );
    text
}

/// A bar on a terminal, lines elsewhere.
enum Display {
    Bar(ProgressBar),
    Lines { table: String, done: u64, told: u64 },
}

impl Display {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { table: String::new(), done: 0, told: 0 };
        }
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{msg:32} [{bar:30}] {pos}/{len} {per_sec} {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        Self::Bar(bar)
    }

    fn show(&mut self, event: TransferEvent<'_>) {
        match self {
            Self::Bar(bar) => match event {
                TransferEvent::Table { name, rows, done } => begin(bar, format!("copying {name}"), rows, done),
                TransferEvent::Check { name, rows } => begin(bar, format!("comparing {name}"), rows, 0),
                TransferEvent::Copied(rows) | TransferEvent::Checked(rows) => bar.inc(rows),
            },
            // A transfer is not given up when nobody reads how it goes.
            Self::Lines { table, done, told } => match event {
                TransferEvent::Table { name, rows, done: before } => {
                    let from = if before > 0 { format!(", of which {before} are there") } else { String::new() };
                    let _ = say(&format!("copying {name}: {rows} rows{from}"));
                    (*table, *done, *told) = (format!("copying {name}"), before, before);
                }
                TransferEvent::Check { name, .. } => {
                    let _ = say(&format!("comparing {name}"));
                    (*table, *done, *told) = (format!("comparing {name}"), 0, 0);
                }
                TransferEvent::Copied(rows) | TransferEvent::Checked(rows) => {
                    *done += rows;
                    if *done - *told >= LINE_EVERY {
                        *told = *done;
                        let _ = say(&format!("{table}: {done} rows"));
                    }
                }
            },
        }
    }

    fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn begin(bar: &ProgressBar, message: String, rows: u64, done: u64) {
    bar.set_message(message);
    bar.set_length(rows);
    bar.set_position(done);
    bar.reset_eta();
}
