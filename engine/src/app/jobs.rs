//! What admins see of jobs, and do to them.

use super::{App, AppError, Caller, Noun};
use crate::domain::{AccountRole, Invalid, JobState};
use crate::store::{JobRecord, ListJobs, ScheduleRecord};

/// Jobs on one page at most.
const PAGE_MAX: u32 = 100;
/// The longest name of a kind.
const KIND_MAX: usize = 100;

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In this state alone.
    pub state: Option<JobState>,
    /// Of this kind alone.
    pub kind: Option<String>,
    /// Older than this one.
    pub before: Option<i64>,
    /// How many, 1 to 100.
    pub limit: u32,
}

impl App {
    /// Jobs, newest first, and whether there are more.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::Invalid`].
    pub async fn list_jobs(&self, caller: &Caller, filter: JobFilter) -> Result<(Vec<JobRecord>, bool), AppError> {
        caller.require(AccountRole::Admin)?;
        if !(1..=PAGE_MAX).contains(&filter.limit) {
            return Err(Invalid::new("limit", format!("limit must be 1 to {PAGE_MAX}")).into());
        }
        if filter.kind.as_deref().is_some_and(|kind| !is_name(kind)) {
            return Err(Invalid::new("kind", "kind must be the name of a kind of job").into());
        }
        let wanted = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let limit = i64::from(filter.limit) + 1;
        let list = ListJobs { state: filter.state, kind: filter.kind, before: filter.before, limit };
        let mut jobs = self.db.list_jobs(list).await?;
        let has_more = jobs.len() > wanted;
        jobs.truncate(wanted);
        Ok((jobs, has_more))
    }

    /// One job.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::NotFound`].
    pub async fn read_job(&self, caller: &Caller, id: i64) -> Result<JobRecord, AppError> {
        caller.require(AccountRole::Admin)?;
        self.db.job(id).await?.ok_or(AppError::NotFound(Noun::Job))
    }

    /// Has a job run now that is dead, was called off or waits, with all its attempts before it.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::NotFound`]; [`AppError::Conflict`] when it runs or is done.
    pub async fn retry_job(&self, caller: &Caller, id: i64) -> Result<JobRecord, AppError> {
        caller.require(AccountRole::Admin)?;
        match self.db.retry_job(id, self.clock.now()).await? {
            Some((true, job)) => Ok(job),
            Some((false, _)) => Err(AppError::Conflict("The job runs or is done")),
            None => Err(AppError::NotFound(Noun::Job)),
        }
    }

    /// Calls off a job that waits or runs. One that runs is stopped within seconds, and may have done a part of its work, or all of it.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::NotFound`]; [`AppError::Conflict`] when it has ended otherwise.
    pub async fn cancel_job(&self, caller: &Caller, id: i64) -> Result<JobRecord, AppError> {
        caller.require(AccountRole::Admin)?;
        match self.db.cancel_job(id, self.clock.now()).await? {
            Some((true, job)) => Ok(job),
            Some((false, job)) if job.state == JobState::Cancelled => Ok(job),
            Some((false, _)) => Err(AppError::Conflict("The job has ended")),
            None => Err(AppError::NotFound(Noun::Job)),
        }
    }

    /// All that recurs, by name, with its last and its next time.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins.
    pub async fn list_schedules(&self, caller: &Caller) -> Result<Vec<ScheduleRecord>, AppError> {
        caller.require(AccountRole::Admin)?;
        Ok(self.db.list_schedules().await?)
    }

    /// Lets what recurs be done now, besides its own times; where it is off too.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] to all but admins; [`AppError::NotFound`].
    pub async fn run_schedule(&self, caller: &Caller, name: String) -> Result<ScheduleRecord, AppError> {
        caller.require(AccountRole::Admin)?;
        if !is_name(&name) {
            return Err(AppError::NotFound(Noun::Schedule));
        }
        self.db.run_schedule(name, self.clock.now()).await?.ok_or(AppError::NotFound(Noun::Schedule))
    }
}

/// Whether a kind of job could be called so.
fn is_name(text: &str) -> bool {
    text.len() <= KIND_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
