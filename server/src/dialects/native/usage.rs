//! What one has used.

use std::time::Duration;

use axum::extract::State;
use parlor_engine::app::{Usage, UsageSums};
use parlor_engine::domain::{Invalid, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Caller, Error, Problem, Query};
use crate::kit::Context;

const DAY: Duration = Duration::from_secs(86_400);

/// Which time to tell of; without either, the last 30 days.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// A day such as `2026-01-01`, or a time in RFC 3339.
    from: Option<String>,
    /// A day, which is included, or a time in RFC 3339, which is not. At most 366 days later.
    to: Option<String>,
}

/// What was used.
#[derive(Serialize, ToSchema, Clone, Copy)]
#[schema(as = native::UsageTotals)]
pub struct UsageTotals {
    /// Metered calls.
    requests: i64,
    /// Tokens asked with.
    prompt_tokens: i64,
    /// Tokens answered with.
    completion_tokens: i64,
    /// Both.
    total_tokens: i64,
    /// Of the tokens asked with, those that came from a provider's cache.
    cached_tokens: i64,
    /// Calls whose tokens were counted by Parlor, since the provider reported none.
    estimated_requests: i64,
    /// Calls without a known price, which the cost leaves out.
    unpriced_requests: i64,
    /// What it cost, in millionths of a US dollar; null where no price is known.
    cost_micros: Option<i64>,
}

impl From<UsageSums> for UsageTotals {
    fn from(sums: UsageSums) -> Self {
        Self {
            requests: sums.requests,
            prompt_tokens: sums.prompt_tokens,
            completion_tokens: sums.completion_tokens,
            total_tokens: sums.total_tokens(),
            cached_tokens: sums.cached_tokens,
            estimated_requests: sums.estimated_requests,
            unpriced_requests: sums.unpriced_requests,
            cost_micros: sums.cost_micros,
        }
    }
}

/// What was used of one model on one day for one purpose.
#[derive(Serialize, ToSchema)]
#[schema(as = native::UsageDay)]
pub struct UsageDay {
    /// The day, in UTC.
    #[schema(example = "2026-01-31")]
    day: String,
    /// The model that answered.
    model: String,
    /// What for: `chat`, `retry` (an attempt that a provider took and did not finish), `title`, `moderation`, `embedding` or `gateway`.
    #[schema(example = "chat")]
    kind: String,
    #[serde(flatten)]
    used: UsageTotals,
}

/// What was used in a time.
#[derive(Serialize, ToSchema)]
#[schema(as = native::UsageResponse)]
pub struct UsageResponse {
    /// From here on.
    from: String,
    /// Before this.
    to: String,
    /// All of it together.
    totals: UsageTotals,
    /// By day, model and kind, oldest first.
    items: Vec<UsageDay>,
}

impl From<Usage> for UsageResponse {
    fn from(usage: Usage) -> Self {
        let totals = usage.rows.iter().fold(UsageSums::default(), |sums, row| sums.plus(row.sums)).into();
        let items = usage.rows.into_iter().map(|row| {
            let day = row.day.rfc3339().chars().take(10).collect();
            UsageDay { day, model: row.model, kind: row.kind, used: row.sums.into() }
        });
        let items = items.collect();
        Self { from: usage.from.rfc3339(), to: usage.to.rfc3339(), totals, items }
    }
}

/// What the caller has used, by day, model and kind.
#[utoipa::path(get, path = "/api/v1/users/me/usage", tag = "native", extensions(("x-parlor-right" = json!("user"))), params(UsageQuery), responses(
    (status = 200, description = "The usage", body = UsageResponse),
    (status = 400, description = "No time, or too long a one", body = Problem, content_type = "application/problem+json"),
))]
pub async fn read(
    State(context): State<Context>,
    caller: Caller,
    query: Query<UsageQuery>,
) -> Result<axum::Json<UsageResponse>, Error> {
    let query = query.into_inner();
    let from = query.from.map(|text| moment("from", &text, Duration::ZERO)).transpose()?;
    let to = query.to.map(|text| moment("to", &text, DAY)).transpose()?;
    Ok(axum::Json(context.app.usage(&caller.into_inner(), from, to).await?.into()))
}

fn moment(field: &'static str, text: &str, after_day: Duration) -> Result<Timestamp, Invalid> {
    let day = Timestamp::from_date(text).map(|day| day.plus(after_day));
    day.or_else(|| Timestamp::from_rfc3339(text))
        .ok_or_else(|| Invalid::new(field, format!("{field} must be a day such as 2026-01-31, or a time in RFC 3339")))
}
