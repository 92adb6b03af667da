//! Quotas: how much one may spend, how much is left, and what admins change.

use axum::extract::State;
use http::StatusCode;
use parlor_engine::app::QuotaStatus;
use parlor_engine::domain::{AccountQuota, AccountRole, Invalid, QuotaLimits, QuotaMetric, QuotaWindow, parse_usd};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::account_id;
use super::{Caller, Error, Json, OptionalJson, PathText, Problem};
use crate::kit::Context;

/// Where one stands with one limit.
#[derive(Serialize, ToSchema)]
#[schema(as = native::QuotaItem)]
pub struct QuotaItem {
    /// Whose it is: `account`, `role:user` (one's own as one of that role) or `api_key`.
    #[schema(example = "account")]
    scope: String,
    /// `minute`, `day` or `month`: of the calendar, in UTC.
    #[schema(example = "day")]
    window: &'static str,
    /// `requests`, `tokens` or `micros`: millionths of a US dollar.
    #[schema(example = "tokens")]
    metric: &'static str,
    /// How much there is in a window.
    limit: i64,
    /// What was spent.
    used: i64,
    /// What is kept for calls under way.
    reserved: i64,
    /// What is left.
    remaining: i64,
    /// When the next window begins.
    resets_at: String,
}

/// Where one stands with one's quotas.
#[derive(Serialize, ToSchema)]
#[schema(as = native::QuotaResponse)]
pub struct QuotaResponse {
    /// Each limit that holds; empty where nothing is limited.
    items: Vec<QuotaItem>,
}

impl From<Vec<QuotaStatus>> for QuotaResponse {
    fn from(status: Vec<QuotaStatus>) -> Self {
        let items = |status: QuotaStatus| {
            QuotaMetric::ALL.into_iter().filter_map(move |metric| {
                let limit = status.quota.limits.of(metric)?;
                let (used, reserved) = (status.count.used.of(metric), status.count.reserved.of(metric));
                Some(QuotaItem {
                    scope: status.quota.scope.to_string(),
                    window: status.quota.window.as_str(),
                    metric: metric.as_str(),
                    limit,
                    used,
                    reserved,
                    remaining: limit.saturating_sub(used).saturating_sub(reserved).max(0),
                    resets_at: status.resets_at.rfc3339(),
                })
            })
        };
        Self { items: status.into_iter().flat_map(items).collect() }
    }
}

/// Tells how much the caller may spend, and what is left. A call with an API key is told of the key's quotas too.
#[utoipa::path(get, path = "/api/v1/users/me/quota", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("user"))),
    responses(
        (status = 200, description = "The quotas", body = QuotaResponse),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn read_own(State(context): State<Context>, caller: Caller) -> Result<axum::Json<QuotaResponse>, Error> {
    Ok(axum::Json(context.app.quota_status(&caller.into_inner()).await?.into()))
}

/// Shows where an account stands with its quotas.
#[utoipa::path(get, path = "/api/v1/admin/users/{id}/quota", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The account's id")),
    responses(
        (status = 200, description = "The quotas", body = QuotaResponse),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn read_quota(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<axum::Json<QuotaResponse>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    Ok(axum::Json(context.app.account_quota(&caller, account_id(&id.into_inner())?).await?.into()))
}

/// What an account may spend in one window.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::QuotaChange)]
pub struct QuotaChange {
    /// `minute`, `day` or `month`.
    #[schema(pattern = "^(minute|day|month)$", example = "day")]
    window: String,
    /// Metered calls.
    requests: Option<u64>,
    /// Tokens, read and written.
    tokens: Option<u64>,
    /// US dollars, as a text with six decimals at most.
    #[schema(example = "1.50")]
    usd: Option<String>,
}

/// What an account may spend.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::QuotaRequest)]
pub struct QuotaRequest {
    /// Required: one entry per window at most; in the windows without one the settings hold.
    #[schema(value_type = Vec<QuotaChange>, max_items = 3)]
    quotas: Option<Vec<QuotaChange>>,
}

impl QuotaChange {
    fn parse(self) -> Result<AccountQuota, Invalid> {
        let micros = self.usd.as_deref().map(|text| parse_usd("usd", text)).transpose()?;
        Ok(AccountQuota {
            window: window(&self.window)?,
            limits: QuotaLimits::parse(self.requests, self.tokens, micros)?,
        })
    }
}

/// Gives an account quotas of its own, in the stead of all that it had.
#[utoipa::path(put, path = "/api/v1/admin/users/{id}/quota", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The account's id")),
    request_body = QuotaRequest,
    responses(
        (status = 200, description = "The quotas as they are now", body = QuotaResponse),
        (status = 400, description = "A value breaks a rule", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn set_quota(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
    body: Json<QuotaRequest>,
) -> Result<axum::Json<QuotaResponse>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    let id = account_id(&id.into_inner())?;
    let quotas = body.into_inner().quotas.ok_or_else(|| Invalid::new("quotas", "quotas is required"))?;
    let quotas = quotas.into_iter().map(QuotaChange::parse).collect::<Result<_, _>>()?;
    Ok(axum::Json(context.app.set_account_quota(&caller, id, quotas).await?.into()))
}

/// Takes an account's own quotas away: the settings hold again.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}/quota", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The account's id")),
    responses(
        (status = 204, description = "The account has no quotas of its own"),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn delete_quota(State(context): State<Context>, caller: Caller, id: PathText) -> Result<StatusCode, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    context.app.set_account_quota(&caller, account_id(&id.into_inner())?, Vec::new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which window to begin anew.
#[derive(Deserialize, ToSchema, Default)]
#[schema(as = native::QuotaReset)]
pub struct QuotaReset {
    /// `minute`, `day` or `month`; all three when absent.
    #[schema(pattern = "^(minute|day|month)$", example = "day")]
    window: Option<String>,
}

/// Begins an account's running windows anew, as if nothing had been spent in them. The ledger stays as it is.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/quota/reset", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The account's id")),
    request_body = Option<QuotaReset>,
    responses(
        (status = 200, description = "The quotas as they are now", body = QuotaResponse),
        (status = 400, description = "There is no such window", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn reset_quota(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
    body: OptionalJson<QuotaReset>,
) -> Result<axum::Json<QuotaResponse>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    let id = account_id(&id.into_inner())?;
    let window = body.into_inner().window.as_deref().map(window).transpose()?;
    Ok(axum::Json(context.app.reset_account_quota(&caller, id, window).await?.into()))
}

fn window(word: &str) -> Result<QuotaWindow, Invalid> {
    QuotaWindow::from_word(word).ok_or_else(|| Invalid::new("window", "window must be minute, day or month"))
}
