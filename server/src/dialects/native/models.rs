//! Which models a message may name.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Caller, Error};
use crate::kit::Context;

/// A model that a message may name.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ModelResponse)]
pub struct ModelResponse {
    /// Its name, as `model` of a message takes it.
    name: String,
    /// Whether it answers messages that name none, from people who prefer none.
    is_default: bool,
}

/// The models that a message may name.
#[derive(Serialize, ToSchema)]
#[schema(as = native::ModelsResponse)]
pub struct ModelsResponse {
    /// The default first.
    items: Vec<ModelResponse>,
}

/// Lists the models that a message may name: the default, and those that the configuration offers besides.
#[utoipa::path(get, path = "/api/v1/models", tag = "native", extensions(("x-parlor-right" = json!("user"))),
    responses((status = 200, description = "The models", body = ModelsResponse)))]
pub async fn list_models(State(context): State<Context>, _caller: Caller) -> Result<axum::Json<ModelsResponse>, Error> {
    let default = &context.app.settings().chat.model;
    let model = |name: String| ModelResponse { is_default: name == *default, name };
    Ok(axum::Json(ModelsResponse { items: context.app.offered_models().into_iter().map(model).collect() }))
}
