//! `parlor usage report`: what everybody has used, out of the ledger.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use parlor_engine::app::{App, UsageReport};
use parlor_engine::domain::{Timestamp, usd};
use parlor_engine::store::{ReportRow, UsageColumn, UsageSums};
use serde_json::{Map, Value, json};

use super::{CliError, Options, say, user::open_app};

const DAY: Duration = Duration::from_secs(86_400);

/// What was used.
#[derive(Subcommand)]
pub(super) enum UsageCommand {
    /// Sum up the ledger
    Report(Report),
}

#[derive(Args)]
pub(super) struct Report {
    /// The first day, such as 2026-01-01, or a time in RFC 3339 [default: the first of this month]
    #[arg(long)]
    from: Option<String>,
    /// The last day, or a time before which [default: the last of this month]
    #[arg(long)]
    to: Option<String>,
    /// What to break it down by, one or several with commas between them
    #[arg(long, value_delimiter = ',')]
    by: Vec<By>,
    /// How to write it
    #[arg(long, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum By {
    Account,
    Model,
    Provider,
    Kind,
    Day,
    ApiKey,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
}

impl By {
    const fn column(self) -> UsageColumn {
        match self {
            Self::Account => UsageColumn::Account,
            Self::Model => UsageColumn::Model,
            Self::Provider => UsageColumn::Provider,
            Self::Kind => UsageColumn::Kind,
            Self::Day => UsageColumn::Day,
            Self::ApiKey => UsageColumn::ApiKey,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Kind => "kind",
            Self::Day => "day",
            Self::ApiKey => "api_key",
        }
    }

    fn of(self, row: &ReportRow) -> Value {
        match self {
            Self::Account => json!(row.account),
            Self::Model => json!(row.model),
            Self::Provider => json!(row.provider),
            Self::Kind => json!(row.kind),
            Self::Day => json!(row.day.map(|day| day.rfc3339().chars().take(10).collect::<String>())),
            Self::ApiKey => json!(row.api_key),
        }
    }
}

const SUMS: [&str; 8] = [
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "estimated_requests",
    "unpriced_requests",
    "cost_usd",
];

impl UsageCommand {
    pub(super) async fn run(self, options: &Options) -> Result<(), CliError> {
        let Self::Report(report) = self;
        let app = open_app(options).await?;
        let done = report.execute(&app).await;
        app.close().await;
        say(&done?)
    }
}

impl Report {
    async fn execute(self, app: &App) -> Result<String, CliError> {
        let from = self.from.as_deref().map(|text| moment("from", text, Duration::ZERO)).transpose()?;
        let to = self.to.as_deref().map(|text| moment("to", text, DAY)).transpose()?;
        let by: Vec<UsageColumn> = self.by.iter().map(|by| by.column()).collect();
        let report = app.usage_report(from, to, by).await.map_err(|error| CliError::Failed(error.to_string()))?;
        Ok(match self.format {
            Format::Table => table(&report, &self.by),
            Format::Csv => csv(&report, &self.by),
            Format::Json => json_of(&report, &self.by).to_string(),
        })
    }
}

fn moment(flag: &str, text: &str, after_day: Duration) -> Result<Timestamp, CliError> {
    let day = Timestamp::from_date(text).map(|day| day.plus(after_day));
    day.or_else(|| Timestamp::from_rfc3339(text))
        .ok_or_else(|| CliError::Usage(format!("--{flag} must be a day such as 2026-01-31, or a time in RFC 3339")))
}

/// The cost in dollars; nothing where none is known.
fn cost(sums: &UsageSums) -> Option<String> {
    sums.cost_micros.map(|micros| usd(micros.unsigned_abs()))
}

fn sums(sums: &UsageSums) -> [String; 8] {
    let numbers = [
        sums.requests,
        sums.prompt_tokens,
        sums.completion_tokens,
        sums.total_tokens(),
        sums.cached_tokens,
        sums.estimated_requests,
        sums.unpriced_requests,
    ]
    .map(|number| number.to_string());
    let [requests, prompt, completion, total, cached, estimated, unpriced] = numbers;
    [requests, prompt, completion, total, cached, estimated, unpriced, cost(sums).unwrap_or_default()]
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The head and one line per row, as texts.
fn lines(report: &UsageReport, by: &[By]) -> Vec<Vec<String>> {
    let head = by.iter().map(|by| by.name()).chain(SUMS).map(str::to_owned).collect();
    let line = |row: &ReportRow| by.iter().map(|by| text_of(&by.of(row))).chain(sums(&row.sums)).collect();
    std::iter::once(head).chain(report.rows.iter().map(line)).collect()
}

/// Numbers to the right, with the sum of all in the end.
fn table(report: &UsageReport, by: &[By]) -> String {
    let mut lines = lines(report, by);
    let names = by.iter().enumerate().map(|(at, _)| if at == 0 { "all".to_owned() } else { String::new() });
    if !by.is_empty() || report.rows.is_empty() {
        lines.push(names.chain(sums(&report.totals)).collect());
    }
    let columns = by.len() + SUMS.len();
    let widths: Vec<usize> = (0..columns)
        .map(|at| lines.iter().filter_map(|line| line.get(at)).map(|text| text.chars().count()).max().unwrap_or(0))
        .collect();
    let write = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate().map(|(at, (text, &width))| {
            if at < by.len() { format!("{text:width$}") } else { format!("{text:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(write).collect::<Vec<_>>().join("\n")
}

/// RFC 4180: <https://www.rfc-editor.org/rfc/rfc4180>
fn csv(report: &UsageReport, by: &[By]) -> String {
    let quoted = |text: &String| {
        if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.clone() }
    };
    let write = |line: &Vec<String>| line.iter().map(quoted).collect::<Vec<_>>().join(",");
    lines(report, by).iter().map(write).collect::<Vec<_>>().join("\r\n")
}

fn json_of(report: &UsageReport, by: &[By]) -> Value {
    let with_sums = |mut fields: Map<String, Value>, sums: &UsageSums| {
        if let Value::Object(more) = json!(sums) {
            fields.extend(more);
        }
        fields.insert("total_tokens".to_owned(), json!(sums.total_tokens()));
        fields.insert("cost_usd".to_owned(), json!(cost(sums)));
        Value::Object(fields)
    };
    let row = |row: &ReportRow| {
        let fields = by.iter().map(|by| (by.name().to_owned(), by.of(row))).collect();
        with_sums(fields, &row.sums)
    };
    json!({
        "from": report.from.rfc3339(),
        "to": report.to.rfc3339(),
        "rows": report.rows.iter().map(row).collect::<Vec<_>>(),
        "totals": with_sums(Map::new(), &report.totals),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_comma_or_a_quote_is_quoted() {
        let sums = UsageSums { requests: 1, cost_micros: None, unpriced_requests: 1, ..UsageSums::default() };
        let row = ReportRow {
            account: None,
            model: Some("a \"b\", c".to_owned()),
            provider: None,
            kind: None,
            day: None,
            api_key: None,
            sums,
        };
        let (from, to) = (Timestamp::from_micros(0), Timestamp::from_micros(1));
        let report = UsageReport { from, to, rows: vec![row], totals: sums };
        let text = csv(&report, &[By::Model]);
        assert_eq!(text.lines().nth(1), Some("\"a \"\"b\"\", c\",1,0,0,0,0,0,1,"));
    }
}
