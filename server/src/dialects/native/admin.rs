//! Accounts and providers, for admins.

use axum::extract::State;
use http::StatusCode;
use parlor_engine::app::{AccountChange, AccountFilter, AppError, Noun};
use parlor_engine::domain::{Account, AccountId, AccountRole, Invalid};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Caller, Error, Json, PathText, Problem, Query};
use crate::kit::Context;

/// Accounts on a page, where the request names no number.
const PAGE: u32 = 20;

/// Which accounts to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// How many, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only accounts made before the one of this id: the last one of the page before.
    #[param(maximum = 9007199254740991i64)]
    before: Option<i64>,
    /// Only accounts whose address or name contains this.
    #[param(max_length = 254)]
    q: Option<String>,
    /// Only accounts of this role; all but guests when absent.
    #[param(format = "role", example = "admin")]
    role: Option<String>,
    /// `true` or `false`: only accounts that are active, or that are not.
    #[param(pattern = "^(true|false)$")]
    active: Option<String>,
}

/// An account, as admins see it.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AdminUser)]
pub struct AdminUser {
    /// Its id.
    id: i64,
    /// Its address.
    email: Option<String>,
    /// Its name.
    username: Option<String>,
    /// `guest`, `user`, `editor` or `admin`.
    role: &'static str,
    /// Whether it may be used.
    is_active: bool,
    /// When it was made.
    created_at: String,
}

impl From<Account> for AdminUser {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.get(),
            email: account.email,
            username: account.username.or(account.guest_key),
            role: account.role.as_str(),
            is_active: account.is_active,
            created_at: account.created_at.rfc3339(),
        }
    }
}

/// One page of accounts.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AdminUserPage)]
pub struct AdminUserPage {
    /// Newest first.
    items: Vec<AdminUser>,
    /// Whether older ones follow.
    has_more: bool,
}

/// Lists accounts, newest first.
#[utoipa::path(get, path = "/api/v1/admin/users", tag = "native", params(ListQuery),
    extensions(("x-parlor-right" = json!("admin"))),
    responses(
        (status = 200, description = "A page of them", body = AdminUserPage),
        (status = 400, description = "A value breaks a rule", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The query does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list_users(
    State(context): State<Context>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<axum::Json<AdminUserPage>, Error> {
    let query = query.into_inner();
    let filter = AccountFilter {
        before: query.before.map(|id| AccountId::new(id.max(1))).transpose()?,
        text: query.q,
        role: query.role.as_deref().map(role).transpose()?,
        is_active: query.active.as_deref().map(truth).transpose()?,
        limit: query.limit.unwrap_or(PAGE),
    };
    let (accounts, has_more) = context.app.list_accounts(&caller.into_inner(), filter).await?;
    Ok(axum::Json(AdminUserPage { items: accounts.into_iter().map(AdminUser::from).collect(), has_more }))
}

/// Shows an account.
#[utoipa::path(get, path = "/api/v1/admin/users/{id}", tag = "native",
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The account's id")),
    responses(
        (status = 200, description = "The account", body = AdminUser),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn read_user(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<axum::Json<AdminUser>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    Ok(axum::Json(context.app.read_account(&caller, account_id(&id.into_inner())?).await?.into()))
}

/// What is to become of an account; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::AdminUserChange)]
pub struct AdminUserChange {
    /// `user`, `editor` or `admin`.
    #[schema(format = "given-role", example = "editor")]
    role: Option<String>,
    /// Whether it may be used.
    is_active: Option<bool>,
}

/// Changes an account's role, deactivates or reactivates it. All that it held, tokens and open connections, ends at once.
#[utoipa::path(patch, path = "/api/v1/admin/users/{id}", tag = "native",
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The account's id")),
    request_body = AdminUserChange,
    responses(
        (status = 200, description = "The account as it is now", body = AdminUser),
        (status = 400, description = "A value breaks a rule", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is the caller's own, or the last active admin", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn change_user(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
    body: Json<AdminUserChange>,
) -> Result<axum::Json<AdminUser>, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    let (id, body) = (account_id(&id.into_inner())?, body.into_inner());
    let change = AccountChange { role: body.role.as_deref().map(role).transpose()?, is_active: body.is_active };
    Ok(axum::Json(context.app.change_account(&caller, id, change).await?.into()))
}

/// Deletes an account with everything that it owns.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}", tag = "native",
    extensions(("x-parlor-right" = json!("admin"))),
    params(("id" = i64, Path, description = "The account's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is the caller's own, or the last active admin", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn delete_user(State(context): State<Context>, caller: Caller, id: PathText) -> Result<StatusCode, Error> {
    let caller = caller.into_inner();
    caller.require(AccountRole::Admin)?;
    context.app.delete_account(&caller, account_id(&id.into_inner())?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One provider, or one of its models that a route names: a target, which fails and recovers by itself.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AdminProvider)]
pub struct AdminProvider {
    /// The provider's name.
    name: String,
    /// The model that a route asks it for; null for the provider with any other.
    model: Option<String>,
    /// `closed` while it is asked, `open` while it is left alone after failures, `half_open` while it is tried again.
    breaker: &'static str,
    /// For how many seconds `breaker` has been so.
    breaker_seconds: u64,
    /// A word for its newest failure; null once an answer came whole.
    last_error: Option<&'static str>,
    /// Calls under way.
    in_flight: u32,
    /// How many milliseconds pass until an answer begins: an average in which the newest counts most. Null before the first.
    usual_start_ms: Option<u64>,
    /// The provider's keys.
    keys: usize,
    /// Those of them that rest, because the provider refused or limited them.
    keys_resting: usize,
}

/// The providers.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AdminProviders)]
pub struct AdminProviders {
    /// The providers in the order in which they are asked, then those of their models that routes name.
    items: Vec<AdminProvider>,
}

/// Shows the providers, in the order in which they are asked, then those of their models that routes name.
#[utoipa::path(get, path = "/api/v1/admin/providers", tag = "native",
    extensions(("x-parlor-right" = json!("admin"))),
    responses(
        (status = 200, description = "The providers", body = AdminProviders),
        (status = 403, description = "The caller is no admin", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list_providers(
    State(context): State<Context>,
    caller: Caller,
) -> Result<axum::Json<AdminProviders>, Error> {
    let states = context.app.list_providers(&caller.into_inner())?;
    let items = states.into_iter().map(|target| AdminProvider {
        model: target.routed_model().map(str::to_owned),
        name: target.name,
        breaker: target.state.as_str(),
        breaker_seconds: target.state_for.as_secs(),
        last_error: target.last_error,
        in_flight: target.in_flight,
        usual_start_ms: target.usual_start.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        keys: target.keys.all,
        keys_resting: target.keys.resting,
    });
    Ok(axum::Json(AdminProviders { items: items.collect() }))
}

/// What is no id names nobody.
pub(super) fn account_id(text: &str) -> Result<AccountId, AppError> {
    text.parse().map_err(|_| AppError::NotFound(Noun::Account))
}

fn role(word: &str) -> Result<AccountRole, Invalid> {
    AccountRole::from_word(word).ok_or_else(|| Invalid::new("role", "role must be guest, user, editor or admin"))
}

fn truth(word: &str) -> Result<bool, Invalid> {
    word.parse().map_err(|_| Invalid::new("active", "active must be true or false"))
}
