//! `openai`: `/v1/…`, OpenAI's own protocol in front of the configured providers. <https://platform.openai.com/docs/api-reference>

mod answer;
mod chunks;
mod completions;
mod embeddings;
mod error;
mod models;
mod moderations;
mod rate_limits;
mod responses;
mod schema;
mod typed;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use rand::Rng as _;
use rand::distr::Alphanumeric;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use error::{Error, told};
pub use rate_limits::tell as tell_limits;

use crate::kit::json::read_json_bytes_within;
use crate::kit::{Context, extract};

type Caller = extract::ChatCaller<Error>;
type PathText = extract::PathText<Error>;

/// Its routes.
pub fn router() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(completions::create_completion))
        .routes(routes!(responses::create_response))
        .routes(routes!(embeddings::create_embeddings))
        .routes(routes!(moderations::create_moderation))
        .routes(routes!(models::list_models))
        .routes(routes!(models::read_model))
}

/// A JSON body as it came, within the gateway's own limit of size.
struct Body(Bytes);

impl FromRequest<Context> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, context: &Context) -> Result<Self, Error> {
        let longest = context.app.settings().gateway.max_body_bytes;
        Ok(Self(read_json_bytes_within(request, longest).await?))
    }
}

/// An id as OpenAI's look: its kind and 24 random letters and digits.
fn new_id(kind: &str) -> String {
    let mut id = String::with_capacity(kind.len() + 24);
    id.push_str(kind);
    id.extend(rand::rng().sample_iter(&Alphanumeric).take(24).map(char::from));
    id
}
