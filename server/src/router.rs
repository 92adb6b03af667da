//! All routes in one router, and the middleware around them.

use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use parlor_engine::config::ServerSettings;
use tower::layer::layer_fn;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::dialects::{advanced, classic, full_chatbot, mvp, native, openai};
use crate::kit::json::BodyLimit;
use crate::kit::limits::Gate;
use crate::kit::{Context, fastapi};
use crate::middleware::{Counted, Observed};
use crate::{openapi, root};

/// The API's description.
pub fn description() -> OpenApi {
    let mut description = routes().into_openapi();
    openapi::complete(&mut description);
    description
}

fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(root::router())
        .merge(classic::router())
        .merge(full_chatbot::router())
        .merge(native::router())
        .merge(mvp::router())
        .merge(advanced::router())
        .merge(openai::router())
}

/// The whole server. Made on a thread of its own: describing the API takes megabytes, which the allocator gives back when the thread ends.
pub fn router(context: Context) -> Router {
    let made = std::thread::scope(|scope| scope.spawn(|| make(context)).join());
    made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What a process answers that serves nobody: how it is.
pub fn of_worker(context: Context) -> Router {
    root::watched().fallback(not_found).method_not_allowed_fallback(method_not_allowed).with_state(context)
}

fn make(context: Context) -> Router {
    let (router, mut description) = routes().split_for_parts();
    openapi::complete(&mut description);
    let settings = context.app.settings().server.clone();
    let gate = Gate::new(context.app.clone(), &serde_json::to_value(&description).unwrap_or_default());
    let description: &'static str = Box::leak(serde_json::to_string(&description).unwrap_or_default().into_boxed_str());
    let cors = cors(&settings);
    let limit = BodyLimit::new(settings.max_body_bytes);
    let json = [(header::CONTENT_TYPE, "application/json")];
    router
        .merge(root::pages())
        .route("/openapi.json", get(move || async move { (json, description) }))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(context.clone())
        // What every request passes: one layer, as each costs a copy of all that is inside of it.
        .layer(layer_fn(move |inner| {
            let counted = Counted::new(inner, gate.clone(), limit.clone());
            Observed::new(counted, &cors, context.clone())
        }))
}

fn cors(settings: &ServerSettings) -> CorsLayer {
    let origins = settings.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
            HeaderName::from_static("x-ratelimit-limit-requests"),
            HeaderName::from_static("x-ratelimit-remaining-requests"),
            HeaderName::from_static("x-ratelimit-reset-requests"),
            header::RETRY_AFTER,
        ])
        .max_age(Duration::from_secs(600))
}

/// Refuses in the words of the surface that the path belongs to.
fn told(uri: &Uri, status: StatusCode, detail: &str) -> Response {
    match uri.path() {
        path if path.starts_with("/api/v1/") => native::problem(status, detail),
        path if path.starts_with("/v1/") => openai::told(status, detail),
        _ => fastapi::told(status, detail),
    }
}

async fn not_found(uri: Uri) -> Response {
    told(&uri, StatusCode::NOT_FOUND, "Not Found")
}

async fn method_not_allowed(uri: Uri) -> Response {
    told(&uri, StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}
