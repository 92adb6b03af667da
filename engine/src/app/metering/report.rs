//! What everybody has used, for whoever runs the server.

use crate::app::{App, AppError};
use crate::domain::{Invalid, QuotaWindow, Timestamp};
use crate::store::{ReportRow, UsageColumn, UsageSums};

/// Lines of one report at most.
const ROWS_MAX: usize = 100_000;

/// What was used in a time, broken down.
#[derive(Debug, Clone)]
pub struct UsageReport {
    /// From here on.
    pub from: Timestamp,
    /// Before this.
    pub to: Timestamp,
    /// In the order of account, model, provider, kind, day and API key.
    pub rows: Vec<ReportRow>,
    /// All of it.
    pub totals: UsageSums,
}

impl App {
    /// What everybody used in `from..to`, by those columns; without times, in the running month. For the command line, which is not asked who
    /// it is.
    ///
    /// # Errors
    /// [`AppError::Invalid`] when `from` is not before `to`, or there would be more than 100,000 lines.
    pub async fn usage_report(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        by: Vec<UsageColumn>,
    ) -> Result<UsageReport, AppError> {
        let (month, next) = QuotaWindow::Month.bounds(self.clock.now());
        let (from, to) = (from.unwrap_or(month), to.unwrap_or(next));
        if from >= to {
            return Err(Invalid::new("from", "from must lie before to").into());
        }
        let limit = i64::try_from(ROWS_MAX).unwrap_or(i64::MAX).saturating_add(1);
        let rows = self.db.usage_report(from, to, by, limit).await?;
        if rows.len() > ROWS_MAX {
            let problem =
                format!("the report would have more than {ROWS_MAX} lines: ask for less time, or fewer columns");
            return Err(Invalid::new("by", problem).into());
        }
        let totals = rows.iter().fold(UsageSums::default(), |sums, row| sums.plus(row.sums));
        Ok(UsageReport { from, to, rows, totals })
    }
}
