//! What every request passes, whichever surface it is for.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context as TaskContext, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use http::{HeaderValue, Method, StatusCode, header};
use parlor_engine::app::AppError;
use tower::{Layer, Service};
use tower_http::cors::{Cors, CorsLayer};

use crate::dialects::{classic, native, openai};
use crate::kit::json::BodyLimit;
use crate::kit::limits::Gate;
use crate::kit::request_log::Logged;
use crate::kit::{Context, fastapi, security_headers};

/// About how many headers are added to what a handler answers: room for them at once costs less than room for each.
const HEADERS: usize = 16;

type Answering = BoxFuture<'static, Result<Response, Infallible>>;

/// Gives each request its line in the log, and each answer what browsers are told; makes a panic into an answer.
#[derive(Clone)]
pub struct Observed<S> {
    inner: S,
    /// The same for requests of pages, which are told what another origin may do; others are spared that.
    for_pages: Cors<S>,
    context: Context,
}

impl<S: Clone> Observed<S> {
    pub fn new(inner: S, cors: &CorsLayer, context: Context) -> Self {
        Self { for_pages: cors.layer(inner.clone()), inner, context }
    }
}

impl<S> Service<Request> for Observed<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        // One as the other: both lead to routes, which are always ready.
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Answering {
        let logged = Logged::begin(&request);
        let binds_to_tls = security_headers::binds_to_tls(&request, &self.context.app.settings().server);
        let context = self.context.clone();
        let is_of_a_page = request.headers().contains_key(header::ORIGIN) || request.method() == Method::OPTIONS;
        let answering = catch_unwind(AssertUnwindSafe(|| match is_of_a_page {
            true => Either::Left(self.for_pages.call(request)),
            false => Either::Right(self.inner.call(request)),
        }));
        Box::pin(async move {
            let answered = match answering {
                Ok(answering) => AssertUnwindSafe(answering).catch_unwind().await,
                Err(panic) => Err(panic),
            };
            let mut response = answered.map_or_else(|_| panicked(), |Ok(response)| response);
            let headers = response.headers_mut();
            headers.reserve(HEADERS);
            if !is_of_a_page {
                // A cache must not show a page of another origin what was answered to nobody in particular.
                headers.append(header::VARY, HeaderValue::from_static("origin"));
            }
            security_headers::add(headers, binds_to_tls);
            logged.end(&mut response, &context.metrics);
            Ok(response)
        })
    }
}

fn panicked() -> Response {
    tracing::error!("a handler panicked");
    fastapi::told(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
}

/// Counts what the API is asked, and refuses what is too much, in the words of the surface.
#[derive(Clone)]
pub struct Counted<S> {
    inner: S,
    gate: Gate,
    limit: BodyLimit,
}

impl<S> Counted<S> {
    pub const fn new(inner: S, gate: Gate, limit: BodyLimit) -> Self {
        Self { inner, gate, limit }
    }
}

/// Whose words a path is answered in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Surface {
    Native,
    OpenAi,
    Other,
}

impl Surface {
    fn of(path: &str) -> Self {
        match path {
            path if path.starts_with("/api/v1/") => Self::Native,
            path if path.starts_with("/v1/") => Self::OpenAi,
            _ => Self::Other,
        }
    }

    fn refuse(self, error: AppError) -> Response {
        match self {
            Self::Native => native::Error::from(error).into_response(),
            Self::OpenAi => openai::Error::from(error).into_response(),
            Self::Other => classic::Error::from(error).into_response(),
        }
    }
}

impl<S> Service<Request> for Counted<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Answering {
        // The one that was polled ready is the one to call.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let gate = self.gate.clone();
        request.extensions_mut().insert(self.limit.clone());
        Box::pin(async move {
            let surface = Surface::of(request.uri().path());
            let meter = match gate.enter(&mut request).await {
                Ok(meter) => meter,
                Err(error) => return Ok(surface.refuse(error)),
            };
            let mut response = inner.call(request).await?;
            if let Some(meter) = meter {
                if surface == Surface::OpenAi {
                    openai::tell_limits(response.headers_mut(), &meter);
                }
                meter.leave(response.headers_mut());
            }
            Ok(response)
        })
    }
}
