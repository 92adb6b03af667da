//! When recurring work runs.

use super::jobs::{NewJob, enqueue_job};
use super::{Db, Row, StoreError, tx::params};
use crate::domain::Timestamp;

/// A schedule as the configuration has it.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// Its name.
    pub name: &'static str,
    /// Its cron expression, or `off`.
    pub expression: String,
    /// When it fires next, counted from now; `None`: never.
    pub next_at: Option<Timestamp>,
}

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRecord {
    /// Its name.
    pub name: String,
    /// Its cron expression, or `off`.
    pub expression: String,
    /// When it fired last.
    pub last_at: Option<Timestamp>,
    /// When it fires next; `None`: never.
    pub next_at: Option<Timestamp>,
}

/// The query for schedules, with what follows it.
macro_rules! schedules {
    ($rest:literal) => {
        concat!("SELECT name, expression, last_at, next_at FROM schedules ", $rest)
    };
}

impl Db {
    /// Brings the schedules up to what the configuration says. One that is as it was keeps its next time, so that what was missed while nobody
    /// worked is made up for.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_schedules(&self, schedules: Vec<NewSchedule>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                for new in &schedules {
                    let known = tx
                        .fetch_optional(
                            "SELECT expression FROM schedules WHERE name = ? /*lock*/",
                            params![new.name],
                            |row| row.get::<String>(0),
                        )
                        .await?;
                    let next_at = new.next_at.map(Timestamp::micros);
                    match known {
                        Some(expression) if expression == new.expression => {}
                        Some(_) => {
                            tx.execute(
                                "UPDATE schedules SET expression = ?, next_at = ? WHERE name = ?",
                                params![&new.expression, next_at, new.name],
                            )
                            .await?;
                        }
                        None => {
                            tx.execute(
                                "INSERT INTO schedules (name, expression, next_at) VALUES (?, ?, ?)",
                                params![new.name, &new.expression, next_at],
                            )
                            .await?;
                        }
                    }
                }
                Ok(())
            })
        })
        .await
    }

    /// Fires a schedule whose time has come: moves it on to `next_at` and enqueues its job. Of many that do so at once, one does; false for the
    /// others. A schedule that missed several times fires once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn fire_schedule(
        &self,
        name: &'static str,
        next_at: Option<Timestamp>,
        mut job: NewJob,
    ) -> Result<bool, StoreError> {
        let fired = self
            .write(move |tx| {
                Box::pin(async move {
                    let tick = tx
                        .fetch_optional(
                            "SELECT next_at FROM schedules WHERE name = ? AND next_at <= ? /*lock*/",
                            params![name, job.now.micros()],
                            |row| row.get::<i64>(0),
                        )
                        .await?;
                    let Some(tick) = tick else { return Ok(false) };
                    tx.execute(
                        "UPDATE schedules SET last_at = ?, next_at = ? WHERE name = ?",
                        params![job.now.micros(), next_at.map(Timestamp::micros), name],
                    )
                    .await?;
                    job.unique_key = Some(format!("schedule/{name}/{tick}"));
                    Ok(enqueue_job(tx, &job).await?.is_some())
                })
            })
            .await;
        match fired {
            Err(StoreError::Duplicate) => Ok(false),
            other => other,
        }
    }

    /// Lets a schedule fire now, besides its own times; `None` when there is no such schedule.
    ///
    /// # Errors
    /// What the database says.
    pub async fn run_schedule(&self, name: String, now: Timestamp) -> Result<Option<ScheduleRecord>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute("UPDATE schedules SET next_at = ? WHERE name = ?", params![now.micros(), &name]).await?;
                tx.fetch_optional(schedules!("WHERE name = ?"), params![&name], schedule).await
            })
        })
        .await
    }

    /// All schedules, by name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_schedules(&self) -> Result<Vec<ScheduleRecord>, StoreError> {
        self.read(|tx| Box::pin(async move { tx.fetch(schedules!("ORDER BY name"), &[], schedule).await })).await
    }
}

fn schedule(row: &Row<'_>) -> Result<ScheduleRecord, StoreError> {
    Ok(ScheduleRecord {
        name: row.get(0)?,
        expression: row.get(1)?,
        last_at: row.get::<Option<i64>>(2)?.map(Timestamp::from_micros),
        next_at: row.get::<Option<i64>>(3)?.map(Timestamp::from_micros),
    })
}
