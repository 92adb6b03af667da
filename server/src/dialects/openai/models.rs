//! `/v1/models`.

use axum::Json;
use axum::extract::State;
use parlor_engine::app::gateway::OfferedModel;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ErrorBody;
use super::{Caller, Error, PathText};
use crate::kit::Context;

/// A model that may be asked for.
#[derive(Serialize, ToSchema)]
#[schema(as = openai::Model)]
pub struct ModelResponse {
    /// Its name.
    id: String,
    /// Always `model`.
    object: &'static str,
    /// When the server was started, in seconds since the epoch: models have no age here.
    created: i64,
    /// Who answers: a provider's name, or `parlor` where several may.
    owned_by: String,
}

/// The models that may be asked for.
#[derive(Serialize, ToSchema)]
#[schema(as = openai::Models)]
pub struct ModelsResponse {
    /// Always `list`.
    object: &'static str,
    /// The models.
    data: Vec<ModelResponse>,
}

impl From<OfferedModel> for ModelResponse {
    fn from(model: OfferedModel) -> Self {
        Self { id: model.name, object: "model", created: model.since.seconds(), owned_by: model.owner }
    }
}

/// Lists the models that the configuration names. Where it allows any, others may be asked for too.
#[utoipa::path(get, path = "/v1/models", tag = "openai", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("user"))),
    responses(
        (status = 200, description = "The models", body = ModelsResponse),
        (status = 401, description = "No valid token or API key", body = ErrorBody),
        (status = 403, description = "The API key lacks the scope `chat`", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
    ))]
pub async fn list_models(State(context): State<Context>, caller: Caller) -> Result<Json<ModelsResponse>, Error> {
    let models = context.app.list_models(&caller.into_inner())?;
    Ok(Json(ModelsResponse { object: "list", data: models.into_iter().map(Into::into).collect() }))
}

/// Shows one of them. A name may hold slashes.
#[utoipa::path(get, path = "/v1/models/{model}", tag = "openai", security(("bearer" = [])),
    extensions(("x-parlor-right" = json!("user"))),
    params(("model" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The model", body = ModelResponse),
        (status = 401, description = "No valid token or API key", body = ErrorBody),
        (status = 403, description = "The API key lacks the scope `chat`", body = ErrorBody),
        (status = 404, description = "There is no such model here", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
    ))]
pub async fn read_model(
    State(context): State<Context>,
    caller: Caller,
    name: PathText,
) -> Result<Json<ModelResponse>, Error> {
    Ok(Json(context.app.read_model(&caller.into_inner(), &name.into_inner())?.into()))
}
