//! Jobs, for admins to look after.

use axum::extract::State;
use parlor_engine::app::{AppError, JobFilter, JobRecord, Noun, ScheduleRecord};
use parlor_engine::domain::{AccountRole, ID_LIMIT, Invalid, JobState, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{Caller, Error, PathText, Problem, Query};
use crate::kit::Context;

/// Jobs on a page, where the request names no number.
const PAGE: u32 = 20;

/// Which to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListJobsQuery {
    /// How many, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only jobs older than the one of this id: the last one of the page before.
    #[param(maximum = 9007199254740991i64)]
    before: Option<i64>,
    /// `queued`, `running`, `done`, `dead` (it failed as often as it may) or `cancelled`; all when absent.
    #[param(example = "dead", pattern = "^(queued|running|done|dead|cancelled)$")]
    state: Option<String>,
    /// Only jobs of this kind.
    #[param(example = "remove_expired", pattern = "^[A-Za-z0-9_]{0,100}$")]
    kind: Option<String>,
}

/// A job.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Job)]
pub struct JobResponse {
    /// Its id.
    id: i64,
    /// What kind of work it is.
    kind: String,
    /// `queued`, `running`, `done`, `dead` or `cancelled`.
    state: &'static str,
    /// What the work is done on: ids, never what people say.
    #[schema(value_type = Object)]
    payload: Option<Box<RawValue>>,
    /// How often it has been tried.
    attempts: i64,
    /// How often it may be.
    max_attempts: i64,
    /// Not before this.
    run_at: String,
    /// What went wrong the last time.
    last_error: Option<String>,
    /// When it was enqueued.
    created_at: String,
    /// When it was last begun.
    started_at: Option<String>,
    /// When it ended for good.
    ended_at: Option<String>,
}

impl From<JobRecord> for JobResponse {
    fn from(job: JobRecord) -> Self {
        Self {
            id: job.id,
            kind: job.kind,
            state: job.state.as_str(),
            payload: RawValue::from_string(job.payload).ok(),
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            run_at: job.run_at.rfc3339(),
            last_error: job.last_error,
            created_at: job.created_at.rfc3339(),
            started_at: job.started_at.map(Timestamp::rfc3339),
            ended_at: job.ended_at.map(Timestamp::rfc3339),
        }
    }
}

/// One page of jobs.
#[derive(Serialize, ToSchema)]
#[schema(as = native::JobPage)]
pub struct JobPage {
    /// Newest first.
    items: Vec<JobResponse>,
    /// Whether older ones follow.
    has_more: bool,
}

/// Work that recurs.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Schedule)]
pub struct ScheduleResponse {
    /// The kind of job that it enqueues.
    name: String,
    /// When: minute, hour, day, month and weekday as in crontab(5), in UTC; or `off`.
    expression: String,
    /// When it was last enqueued.
    last_at: Option<String>,
    /// When it will be next; absent where it never is.
    next_at: Option<String>,
}

impl From<ScheduleRecord> for ScheduleResponse {
    fn from(schedule: ScheduleRecord) -> Self {
        Self {
            name: schedule.name,
            expression: schedule.expression,
            last_at: schedule.last_at.map(Timestamp::rfc3339),
            next_at: schedule.next_at.map(Timestamp::rfc3339),
        }
    }
}

/// All work that recurs.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ScheduleList)]
pub struct ScheduleList {
    /// By name.
    items: Vec<ScheduleResponse>,
}

/// Lists jobs, newest first. Those that have ended are kept for `jobs.keep_days`.
#[utoipa::path(get, path = "/api/v1/admin/jobs", tag = "native", security(("bearer" = [])), params(ListJobsQuery),
    extensions(("x-parlor-right" = json!("admin"))),
    responses(
        (status = 200, description = "A page of them", body = JobPage),
        (status = 400, description = "A value breaks a rule", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The query does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list_jobs(
    State(context): State<Context>,
    caller: Caller,
    query: Query<ListJobsQuery>,
) -> Result<axum::Json<JobPage>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    let query = query.into_inner();
    let filter = JobFilter {
        state: query.state.as_deref().map(state).transpose()?,
        kind: query.kind.filter(|kind| !kind.is_empty()),
        before: query.before.map(job_before).transpose()?,
        limit: query.limit.unwrap_or(PAGE),
    };
    let (jobs, has_more) = context.app.list_jobs(&caller, filter).await?;
    Ok(axum::Json(JobPage { items: jobs.into_iter().map(Into::into).collect(), has_more }))
}

/// Shows a job.
#[utoipa::path(get, path = "/api/v1/admin/jobs/{id}", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The job", body = JobResponse),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn read_job(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<axum::Json<JobResponse>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    Ok(axum::Json(context.app.read_job(&caller, job_id(id)?).await?.into()))
}

/// Has a job run now that is dead, was cancelled or waits, with all its attempts before it.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/retry", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The job as it is now", body = JobResponse),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It runs or is done", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn retry_job(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<axum::Json<JobResponse>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    Ok(axum::Json(context.app.retry_job(&caller, job_id(id)?).await?.into()))
}

/// Cancels a job that waits or runs. One that runs is stopped within half a minute, and may have done some of its work, or all.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/cancel", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The job as it is now", body = JobResponse),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is done, or dead", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn cancel_job(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<axum::Json<JobResponse>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    Ok(axum::Json(context.app.cancel_job(&caller, job_id(id)?).await?.into()))
}

/// Lists the work that recurs, with its last and its next time. The configuration's section `schedules` says when.
#[utoipa::path(get, path = "/api/v1/admin/schedules", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("admin"))),
    responses(
        (status = 200, description = "All of it", body = ScheduleList),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list_schedules(State(context): State<Context>, caller: Caller) -> Result<axum::Json<ScheduleList>, Error> {
    let schedules = context.app.list_schedules(&caller.into_inner()).await?;
    Ok(axum::Json(ScheduleList { items: schedules.into_iter().map(Into::into).collect() }))
}

/// Has work that recurs done now, besides its own times; a worker enqueues it within seconds.
#[utoipa::path(post, path = "/api/v1/admin/schedules/{name}/run", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("admin"))),
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "It, with its next time", body = ScheduleResponse),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none of that name", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn run_schedule(
    State(context): State<Context>,
    caller: Caller,
    name: PathText,
) -> Result<axum::Json<ScheduleResponse>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    Ok(axum::Json(context.app.run_schedule(&caller, name.into_inner()).await?.into()))
}

/// An id that no job can have names none.
fn job_id(text: PathText) -> Result<i64, AppError> {
    text.into_inner().parse().map_err(|_| AppError::NotFound(Noun::Job))
}

/// The place after the job of this id; anything below the first id is before all of them.
fn job_before(id: i64) -> Result<i64, Invalid> {
    if id < ID_LIMIT { Ok(id) } else { Err(Invalid::new("before", "before must be an id")) }
}

fn state(word: &str) -> Result<JobState, Invalid> {
    JobState::from_word(word)
        .ok_or_else(|| Invalid::new("state", "state must be queued, running, done, dead or cancelled"))
}
