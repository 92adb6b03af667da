//! The caller's conversations.

use axum::extract::State;
use parlor_engine::domain::Invalid;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Caller, Error, Query};
use crate::kit::Context;
use crate::kit::fastapi::{ErrorBody, ValidationErrorBody};

/// The largest page.
const PER_PAGE_MAX: u32 = 100;

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// From 1.
    #[serde(default = "first_page")]
    #[param(default = 1, minimum = 1, maximum = 4294967295i64, value_type = i64)]
    page: u32,
    /// 1 to 100.
    #[serde(default = "usual_page")]
    #[param(default = 20, minimum = 1, maximum = 100)]
    per_page: u32,
}

fn first_page() -> u32 {
    1
}

fn usual_page() -> u32 {
    20
}

/// One conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = advanced::HistoryItem)]
pub struct HistoryItem {
    /// The conversation's id.
    session_id: String,
    /// The beginning of its newest message.
    last_message: Option<String>,
    /// When that came.
    updated_at: String,
}

/// One page of conversations, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = advanced::HistoryResponse)]
pub struct HistoryResponse {
    /// The page.
    items: Vec<HistoryItem>,
    /// Which page it is, from 1.
    page: u32,
    /// How many a page holds.
    per_page: u32,
    /// How many there are on all pages.
    total: i64,
}

/// The caller's conversations, newest first.
#[utoipa::path(get, path = "/api/history", tag = "advanced", extensions(("x-parlor-right" = json!("user"))), params(HistoryQuery), responses(
    (status = 200, description = "One page", body = HistoryResponse),
    (status = 400, description = "No such page size", body = ErrorBody),
    (status = 422, description = "A parameter is no number", body = ValidationErrorBody),
))]
pub async fn list_conversations(
    State(context): State<Context>,
    caller: Caller,
    query: Query<HistoryQuery>,
) -> Result<axum::Json<HistoryResponse>, Error> {
    let HistoryQuery { page, per_page } = query.into_inner();
    if page == 0 {
        return Err(Invalid::new("page", "page counts from 1").into());
    }
    if !(1..=PER_PAGE_MAX).contains(&per_page) {
        return Err(Invalid::new("per_page", format!("per_page must be 1 to {PER_PAGE_MAX}")).into());
    }
    let found = context.app.list_conversations(&caller.into_inner(), page, per_page).await?;
    let items = found.items.into_iter().map(|conversation| HistoryItem {
        session_id: conversation.id.to_string(),
        last_message: conversation.last_message,
        updated_at: conversation.updated_at.rfc3339(),
    });
    Ok(axum::Json(HistoryResponse { items: items.collect(), page, per_page, total: found.total }))
}
