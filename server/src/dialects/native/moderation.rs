//! What moderation blocked, for admins to review.

use axum::extract::State;
use parlor_engine::app::{AppError, ModerationEvent, ModerationFilter, Noun};
use parlor_engine::domain::{AccountRole, ID_LIMIT, Invalid, ModerationState, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Caller, Error, Json, PathText, Problem, Query};
use crate::kit::Context;

/// Events on a page, where the request names no number.
const PAGE: u32 = 20;

/// Which to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListEventsQuery {
    /// How many, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only what was blocked before the event of this id: the last one of the page before.
    #[param(maximum = 9007199254740991i64)]
    before: Option<i64>,
    /// `open`, `confirmed` or `dismissed`; all when absent.
    #[param(example = "open", pattern = "^(open|confirmed|dismissed)$")]
    state: Option<String>,
}

/// The place after the event of this id; anything below the first id is before all of them.
fn event_before(id: i64) -> Result<i64, Invalid> {
    if id < ID_LIMIT { Ok(id) } else { Err(Invalid::new("before", "before must be an id")) }
}

/// Something that was blocked.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ModerationEvent)]
pub struct ModerationEventResponse {
    /// Its id.
    id: i64,
    /// The account that said it, or whose message it was the answer to.
    account_id: i64,
    /// `message` or `answer`.
    subject: &'static str,
    /// Its conversation, where it has one.
    conversation_id: Option<String>,
    /// An answer's message, which holds a refusal in its stead.
    message_id: Option<String>,
    /// What was said.
    text: String,
    /// `rules` or `openai`.
    source: String,
    /// The rule's category, or OpenAI's.
    category: String,
    /// `open`, `confirmed` or `dismissed`.
    state: &'static str,
    /// When it was blocked.
    created_at: String,
    /// The admin who reviewed it.
    reviewed_by: Option<i64>,
    /// When that was.
    reviewed_at: Option<String>,
}

impl From<ModerationEvent> for ModerationEventResponse {
    fn from(event: ModerationEvent) -> Self {
        Self {
            id: event.id,
            account_id: event.account_id,
            subject: event.subject.as_str(),
            conversation_id: event.conversation_id.map(|id| id.to_string()),
            message_id: event.message_id.map(|id| id.to_string()),
            text: event.content,
            source: event.source,
            category: event.category,
            state: event.state.as_str(),
            created_at: event.created_at.rfc3339(),
            reviewed_by: event.reviewed_by,
            reviewed_at: event.reviewed_at.map(Timestamp::rfc3339),
        }
    }
}

/// One page of what was blocked.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ModerationEventPage)]
pub struct ModerationEventPage {
    /// Newest first.
    items: Vec<ModerationEventResponse>,
    /// Whether older ones follow.
    has_more: bool,
}

/// Lists what moderation blocked, newest first.
#[utoipa::path(get, path = "/api/v1/admin/moderation", tag = "native", security(("bearer" = [])), params(ListEventsQuery),
    extensions(("x-parlor-right" = json!("admin"))),
    responses(
        (status = 200, description = "A page of it", body = ModerationEventPage),
        (status = 400, description = "A value breaks a rule", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The query does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list_events(
    State(context): State<Context>,
    caller: Caller,
    query: Query<ListEventsQuery>,
) -> Result<axum::Json<ModerationEventPage>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    let query = query.into_inner();
    let filter = ModerationFilter {
        state: query.state.as_deref().map(|word| state("state", word)).transpose()?,
        before: query.before.map(event_before).transpose()?,
        limit: query.limit.unwrap_or(PAGE),
    };
    let (events, has_more) = context.app.list_moderation_events(&caller, filter).await?;
    Ok(axum::Json(ModerationEventPage { items: events.into_iter().map(Into::into).collect(), has_more }))
}

/// What is made of something that was blocked.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::ReviewModerationRequest)]
pub struct ReviewModerationRequest {
    /// `confirmed`: it was blocked rightly; `dismissed`: it should have passed.
    #[schema(example = "dismissed", pattern = "^(confirmed|dismissed)$")]
    verdict: String,
}

/// Says whether something was blocked rightly. It stays blocked; a later verdict replaces the one before.
#[utoipa::path(post, path = "/api/v1/admin/moderation/{id}/review", tag = "native", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The event's id")),
    request_body = ReviewModerationRequest,
    responses(
        (status = 200, description = "The event as it is now", body = ModerationEventResponse),
        (status = 400, description = "The verdict is none", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn review_event(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
    body: Json<ReviewModerationRequest>,
) -> Result<axum::Json<ModerationEventResponse>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    let id = id.into_inner().parse().map_err(|_| AppError::NotFound(Noun::ModerationEvent))?;
    let verdict = state("verdict", &body.into_inner().verdict)?;
    Ok(axum::Json(context.app.review_moderation_event(&caller, id, verdict).await?.into()))
}

fn state(field: &'static str, word: &str) -> Result<ModerationState, Invalid> {
    ModerationState::from_word(word)
        .ok_or_else(|| Invalid::new(field, format!("{field} must be open, confirmed or dismissed")))
}
