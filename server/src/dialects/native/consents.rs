//! What one has agreed to.

use axum::extract::State;
use parlor_engine::domain::{Consent, Invalid, NewConsent};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, Error, Json, Problem};
use crate::kit::Context;

/// Consents that one request may give.
const AT_ONCE: usize = 20;

/// Something that is agreed to, or not.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::ConsentRequest)]
pub struct ConsentRequest {
    /// 1 to 64 of `a-z`, `0-9`, `_`, `.` and `-`.
    #[schema(format = "consent", example = "terms")]
    name: String,
    /// 1 to 64 characters.
    #[schema(format = "version", example = "2026-01")]
    version: String,
    /// Whether it is agreed to.
    granted: bool,
}

/// What is agreed to, or not.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::ConsentsRequest)]
pub struct ConsentsRequest {
    /// 1 to 20 of them; others stay as they are.
    #[schema(min_items = 1, max_items = 20)]
    consents: Vec<ConsentRequest>,
}

/// Something that was agreed to, or not.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ConsentResponse)]
pub struct ConsentResponse {
    /// What it is.
    name: String,
    /// Its version.
    version: String,
    /// Whether it was agreed to.
    granted: bool,
    /// When that was said.
    created_at: String,
}

/// What an account has agreed to.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ConsentsResponse)]
pub struct ConsentsResponse {
    /// What holds now: the newest of each name.
    consents: Vec<ConsentResponse>,
    /// Everything that was ever said, oldest first.
    history: Vec<ConsentResponse>,
}

impl From<&Consent> for ConsentResponse {
    fn from(consent: &Consent) -> Self {
        Self {
            name: consent.name.clone(),
            version: consent.version.clone(),
            granted: consent.is_granted,
            created_at: consent.created_at.rfc3339(),
        }
    }
}

impl From<Vec<Consent>> for ConsentsResponse {
    fn from(history: Vec<Consent>) -> Self {
        let is_newest = |at: usize, one: &Consent| !history.iter().skip(at + 1).any(|later| later.name == one.name);
        let holding = history.iter().enumerate().filter(|(at, one)| is_newest(*at, one));
        Self {
            consents: holding.map(|(_, one)| one.into()).collect(),
            history: history.iter().map(Into::into).collect(),
        }
    }
}

/// What the caller has agreed to, and the history of it.
#[utoipa::path(get, path = "/api/v1/users/me/consents", tag = "native", extensions(("x-parlor-right" = json!("user"))), responses(
    (status = 200, description = "The consents", body = ConsentsResponse),
))]
pub async fn list(State(context): State<Context>, caller: Caller) -> Result<axum::Json<ConsentsResponse>, Error> {
    Ok(axum::Json(context.app.consents(&caller.into_inner()).await?.into()))
}

/// Agrees to something, or takes that back. Nothing is overwritten: what held before stays in the history.
#[utoipa::path(put, path = "/api/v1/users/me/consents", tag = "native", extensions(("x-parlor-right" = json!("user"))), request_body = ConsentsRequest, responses(
    (status = 200, description = "The consents as they are now", body = ConsentsResponse),
    (status = 400, description = "A value breaks a rule", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The API key lacks the scope `account`", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "They have been changed too often", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
))]
pub async fn give(
    State(context): State<Context>,
    caller: Caller,
    body: Json<ConsentsRequest>,
) -> Result<axum::Json<ConsentsResponse>, Error> {
    let given = body.into_inner().consents;
    if !(1..=AT_ONCE).contains(&given.len()) {
        return Err(Invalid::new("consents", format!("consents must be 1 to {AT_ONCE}")).into());
    }
    let parsed = given.iter().map(|one| NewConsent::parse(&one.name, &one.version, one.granted));
    let new = parsed.collect::<Result<Vec<_>, _>>()?;
    Ok(axum::Json(context.app.give_consents(&caller.into_inner(), new).await?.into()))
}
