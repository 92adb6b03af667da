//! Oneself, and how one wants to be answered.

use axum::extract::State;
use parlor_engine::app::Unnamed;
use parlor_engine::domain::{self, Change};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{Caller, Error, Json};
use crate::kit::Context;
use crate::kit::fastapi::{ErrorBody, ValidationErrorBody};
use crate::kit::numbers::optional_whole;

/// The caller's account.
#[derive(Serialize, ToSchema)]
#[schema(as = mvp::UserResponse)]
pub struct UserResponse {
    /// Its id.
    id: i64,
    /// Its name, when it has one.
    username: Option<String>,
    /// Its address, when it has one.
    email: Option<String>,
    /// How its owner wants to be answered.
    preferences: Preferences,
    /// When it was made.
    created_at: String,
}

/// How a person wants to be answered; null is left to the server.
#[derive(Serialize, ToSchema)]
#[schema(as = mvp::Preferences)]
pub struct Preferences {
    /// The model, where a message names none.
    model: Option<String>,
    /// How varied answers are: 0 to 2.
    temperature: Option<f64>,
    /// The longest answer, in tokens.
    max_tokens: Option<u32>,
    /// What the model is told after the server's own prompt.
    system_prompt: Option<String>,
    /// The language to answer in.
    language: Option<String>,
}

impl From<domain::Preferences> for Preferences {
    fn from(preferences: domain::Preferences) -> Self {
        let domain::Preferences { model, temperature, max_tokens, system_prompt, language } = preferences;
        Self { model, temperature, max_tokens, system_prompt, language }
    }
}

/// The caller's account.
#[utoipa::path(get, path = "/users/me", tag = "mvp", extensions(("x-parlor-right" = json!("user"))), responses(
    (status = 200, description = "The account", body = UserResponse),
))]
pub async fn me(caller: Caller) -> Result<axum::Json<UserResponse>, Error> {
    let account = caller.into_inner().account().clone();
    Ok(axum::Json(UserResponse {
        id: account.id.get(),
        username: account.username,
        email: account.email,
        preferences: account.preferences.into(),
        created_at: account.created_at.rfc3339(),
    }))
}

/// A change of preferences: null removes one. What is none of these is ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = mvp::PreferencesRequest)]
pub struct PreferencesRequest {
    /// A model that the server offers.
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<String>, format = "model", example = "gpt-4o-mini")]
    model: Change<String>,
    /// 0 (steady) to 2 (varied).
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 2, example = 0.7)]
    temperature: Change<f64>,
    /// The longest answer, in tokens: 1 to 32768.
    #[serde(default, deserialize_with = "change_of_whole")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 32768, example = 512)]
    max_tokens: Change<i64>,
    /// What the model is told after the server's own prompt; at most 8000 characters.
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<String>, format = "prompt", example = "Answer briefly.")]
    system_prompt: Change<String>,
    /// The language to answer in, by name or tag; at most 50 characters.
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<String>, format = "language", example = "en")]
    language: Change<String>,
}

/// What is there is a change; null is one too.
fn change<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Change<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map_or(Change::Remove, Change::Set))
}

fn change_of_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<i64>, D::Error> {
    Ok(optional_whole(deserializer)?.map_or(Change::Remove, Change::Set))
}

impl PreferencesRequest {
    fn into_change(self) -> domain::PreferencesChange {
        domain::PreferencesChange {
            model: self.model,
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            system_prompt: self.system_prompt,
            language: self.language,
        }
    }
}

async fn store(
    context: &Context,
    caller: Caller,
    body: Json<PreferencesRequest>,
    unnamed: Unnamed,
) -> Result<axum::Json<Preferences>, Error> {
    let change = body.into_inner().into_change();
    let preferences = context.app.change_preferences(&caller.into_inner(), change, unnamed).await?;
    Ok(axum::Json(preferences.into()))
}

/// Replaces the caller's preferences. They shape all later answers, in every dialect.
#[utoipa::path(put, path = "/users/preferences", tag = "mvp", extensions(("x-parlor-right" = json!("user"))), request_body = PreferencesRequest, responses(
    (status = 200, description = "The preferences", body = Preferences),
    (status = 400, description = "A value breaks a rule", body = ErrorBody),
    (status = 422, description = "The body does not parse", body = ValidationErrorBody),
))]
pub async fn replace_preferences(
    State(context): State<Context>,
    caller: Caller,
    body: Json<PreferencesRequest>,
) -> Result<axum::Json<Preferences>, Error> {
    store(&context, caller, body, Unnamed::Go).await
}

/// Changes those of the caller's preferences that are named. They shape all later answers, in every dialect.
#[utoipa::path(patch, path = "/users/preferences", tag = "mvp", extensions(("x-parlor-right" = json!("user"))), request_body = PreferencesRequest, responses(
    (status = 200, description = "All preferences", body = Preferences),
    (status = 400, description = "A value breaks a rule", body = ErrorBody),
    (status = 422, description = "The body does not parse", body = ValidationErrorBody),
))]
pub async fn change_preferences(
    State(context): State<Context>,
    caller: Caller,
    body: Json<PreferencesRequest>,
) -> Result<axum::Json<Preferences>, Error> {
    store(&context, caller, body, Unnamed::Stay).await
}

/// As PATCH, for clients that cannot send one.
#[utoipa::path(post, path = "/users/preferences", tag = "mvp", extensions(("x-parlor-right" = json!("user"))), request_body = PreferencesRequest, responses(
    (status = 200, description = "All preferences", body = Preferences),
    (status = 400, description = "A value breaks a rule", body = ErrorBody),
    (status = 422, description = "The body does not parse", body = ValidationErrorBody),
))]
pub async fn post_preferences(
    State(context): State<Context>,
    caller: Caller,
    body: Json<PreferencesRequest>,
) -> Result<axum::Json<Preferences>, Error> {
    store(&context, caller, body, Unnamed::Stay).await
}
