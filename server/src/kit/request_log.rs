//! One line and one measurement per request; its id; nothing a person said.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use rand::Rng;

use super::address::Peer;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request its id (the caller's, when sane), runs it, and writes its line. The trace is the one of W3C's `traceparent`, when the
/// caller sent one.
#[allow(clippy::disallowed_methods, reason = "a latency is measured with the machine's own clock")]
pub async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request.headers().get(&REQUEST_ID).filter(|value| is_sane(value)).cloned().unwrap_or_else(new_id);
    let trace = request.headers().get("traceparent").and_then(trace_of);
    let method = request.method().clone();
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    let elapsed = began.elapsed();
    let shown = id.to_str().unwrap_or_default();
    tracing::info!(
        target: "parlor::request",
        method = %method, route, status, ms = elapsed.as_micros() as f64 / 1000.0, request_id = shown, trace, peer = %peer, "request"
    );
    metrics::counter!("parlor_http_requests_total", "method" => method_label(&method), "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("parlor_http_request_duration_seconds", "route" => route).record(elapsed);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Methods are the client's to invent; labels are not.
fn method_label(method: &http::Method) -> &'static str {
    match *method {
        http::Method::GET => "GET",
        http::Method::POST => "POST",
        http::Method::PUT => "PUT",
        http::Method::PATCH => "PATCH",
        http::Method::DELETE => "DELETE",
        http::Method::HEAD => "HEAD",
        http::Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

fn is_sane(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=128).contains(&bytes.len()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(b))
}

fn new_id() -> HeaderValue {
    let id = format!("{:032x}", rand::rng().random::<u128>());
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unknown"))
}

/// The trace id in `00-<32 hex>-<16 hex>-<2 hex>`. <https://www.w3.org/TR/trace-context/#traceparent-header>
fn trace_of(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_trace = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    (is_trace && trace.bytes().any(|b| b != b'0')).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_spoil_a_log_is_replaced() {
        assert!(is_sane(&HeaderValue::from_static("8e03978e-40d5-43dd-bc93-6894a57f9324")));
        assert!(!is_sane(&HeaderValue::from_static("a b")));
        assert!(!is_sane(&HeaderValue::from_static("")));
    }

    #[test]
    fn a_trace_is_taken_from_a_well_formed_header_only() {
        let of = |text: &'static str| trace_of(&HeaderValue::from_static(text));
        assert_eq!(
            of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").as_deref(),
            Some("0af7651916cd43dd8448eb211c80319c")
        );
        assert_eq!(of("00-00000000000000000000000000000000-b7ad6b7169203331-01"), None);
        assert_eq!(of("garbage"), None);
    }
}
