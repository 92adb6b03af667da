//! The paths on which dialects meet, or that belong to none: `/`, `/health`, the documentation, `/metrics`.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use parlor_engine::app::{Check, Health};
use parlor_engine::config::HealthDialect;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::address::{Peer, is_local};
use crate::kit::bearer::{Authorization, authorization};
use crate::kit::{Context, fastapi};
use crate::web;

/// The routes.
pub fn router() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(index)).routes(routes!(health))
}

/// The routes that the API's description leaves out: pages and files.
pub fn pages() -> axum::Router<Context> {
    use axum::routing::get;
    axum::Router::new()
        .route("/static/{*path}", get(web::file))
        .route("/docs", get(web::swagger))
        .route("/redoc", get(web::redoc))
        .route("/metrics", get(metrics))
}

/// What programs ask that watch Parlor.
pub fn watched() -> axum::Router<Context> {
    use axum::routing::get;
    axum::Router::new().route("/health", get(health)).route("/metrics", get(metrics))
}

/// The status that a program gets at `/`.
#[derive(Serialize, ToSchema)]
pub struct RootStatus {
    /// Always `Working`.
    status: &'static str,
}

/// The web app for a browser, a status for a program.
#[utoipa::path(get, path = "/", tag = "status", extensions(("x-parlor-right" = json!("public"))), responses(
    (status = 200, description = "The web app when `Accept` asks for `text/html`, else a status", content(
        (RootStatus = "application/json"), (String = "text/html")))
))]
pub async fn index(State(context): State<Context>, headers: HeaderMap) -> Response {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepts.flat_map(|list| list.split(',')).any(|kind| kind.trim().starts_with("text/html")) {
        return web::index(context.app.settings().chat.message_max_chars);
    }
    ([(header::VARY, "accept")], Json(RootStatus { status: "Working" })).into_response()
}

/// How Parlor is.
#[derive(Serialize, ToSchema)]
pub struct HealthResponse {
    /// `healthy` or `unhealthy`.
    status: &'static str,
    /// Now.
    timestamp: String,
    /// `connected` or `disconnected`.
    database: &'static str,
    /// Part by part.
    checks: Checks,
}

/// Part by part: `up`, `down` or `off`.
#[derive(Serialize, ToSchema)]
pub struct Checks {
    /// The database.
    database: &'static str,
    /// Redis; `off` when it is not configured.
    redis: &'static str,
    /// MongoDB: `up`, `down`, or `off` where none is configured. What happens waits for it.
    mongo: &'static str,
    /// What answers messages; `mock` when no key is configured.
    provider: &'static str,
    /// What may answer, in the order in which it is asked.
    providers: Vec<ProviderCheck>,
    /// `up`, or `stopping`.
    server: &'static str,
    /// Parlor's version.
    version: &'static str,
    /// Seconds since the start.
    uptime: u64,
}

/// One provider, or one of its models that a route names.
#[derive(Serialize, ToSchema)]
pub struct ProviderCheck {
    /// The provider's name.
    name: String,
    /// The model that a route asks it for; null for the provider with any other.
    model: Option<String>,
    /// `closed` while it is asked, `open` while it is left alone after failures, `half_open` while it is tried again.
    breaker: &'static str,
    /// A word for its newest failure.
    last_error: Option<&'static str>,
}

/// Says whether Parlor works: 503 when it does not, or is about to stop.
#[utoipa::path(get, path = "/health", tag = "status", extensions(("x-parlor-right" = json!("public"))), responses(
    (status = 200, description = "It does", body = HealthResponse),
    (status = 503, description = "It does not", body = HealthResponse),
))]
pub async fn health(State(context): State<Context>) -> Response {
    let health = context.app.health().await;
    let (status, word) =
        if health.is_healthy() { (StatusCode::OK, "healthy") } else { (StatusCode::SERVICE_UNAVAILABLE, "unhealthy") };
    if context.app.settings().server.health_dialect == HealthDialect::FullChatbot {
        let word = if health.is_healthy() { "Healthy" } else { "Unhealthy" };
        return (status, Json(json!({ "status": word }))).into_response();
    }
    let body = HealthResponse {
        status: word,
        timestamp: context.app.clock().now().rfc3339(),
        database: if health.database == Check::Up { "connected" } else { "disconnected" },
        checks: checks(&health),
    };
    (status, Json(body)).into_response()
}

fn checks(health: &Health) -> Checks {
    let word = |check: &Check| match check {
        Check::Up => "up",
        Check::Down => "down",
        Check::Off => "off",
    };
    let providers: Vec<ProviderCheck> = health
        .providers
        .iter()
        .map(|target| ProviderCheck {
            name: target.name.clone(),
            model: target.routed_model().map(str::to_owned),
            breaker: target.state.as_str(),
            last_error: target.last_error,
        })
        .collect();
    let provider = match () {
        () if health.is_mock => "mock",
        () if providers.iter().all(|provider| provider.breaker == "open") => "down",
        () => "up",
    };
    Checks {
        database: word(&health.database),
        redis: word(&health.redis),
        mongo: word(&health.mongo),
        provider,
        providers,
        server: if health.is_accepting { "up" } else { "stopping" },
        version: env!("CARGO_PKG_VERSION"),
        uptime: health.uptime.as_secs(),
    }
}

/// Prometheus' text: for whoever holds `METRICS_TOKEN`; where none is set, for this machine alone.
async fn metrics(State(context): State<Context>, peer: Option<Extension<Peer>>, headers: HeaderMap) -> Response {
    let allowed = match &context.app.settings().telemetry.metrics_token {
        Some(wanted) => match authorization(&headers) {
            Authorization::Bearer(token) => token.as_bytes().ct_eq(wanted.expose_secret().as_bytes()).into(),
            _ => false,
        },
        None => {
            let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |Extension(peer)| peer.0.ip());
            is_local(peer, &headers)
        }
    };
    if !allowed {
        return fastapi::not_found();
    }
    context.app.observe();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], context.metrics.render()).into_response()
}
