//! One line and one measurement per request; its id; nothing a person said.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method};
use rand::Rng;

use super::address::Peer;
use super::metrics::Metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request under way, as its line will tell it.
pub struct Logged {
    began: Instant,
    id: HeaderValue,
    trace: Option<String>,
    method: Method,
    route: Option<MatchedPath>,
    peer: IpAddr,
}

impl Logged {
    /// Reads what the line says of the request. Its id is the caller's, when sane; the trace is the one of W3C's `traceparent`, when the
    /// caller sent one.
    #[allow(clippy::disallowed_methods, reason = "a latency is measured with the machine's own clock")]
    pub fn begin(request: &Request) -> Self {
        let id = request.headers().get(&REQUEST_ID).filter(|value| is_sane(value)).cloned();
        Self {
            began: Instant::now(),
            id: id.unwrap_or_else(new_id),
            trace: request.headers().get("traceparent").and_then(trace_of),
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            peer: request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip()),
        }
    }

    /// Writes the line, measures, and tells the caller the request's id.
    #[allow(clippy::disallowed_methods, reason = "a latency is measured with the machine's own clock")]
    pub fn end(self, response: &mut Response, metrics: &Metrics) {
        let Self { began, id, trace, method, route, peer } = self;
        let status = response.status();
        let elapsed = began.elapsed();
        let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
        tracing::info!(
            target: "parlor::request",
            method = %method, route, status = status.as_u16(), ms = elapsed.as_micros() as f64 / 1000.0,
            request_id = id.to_str().unwrap_or_default(), trace, peer = %peer, "request"
        );
        metrics.answered(method_label(&method), route, status.as_u16(), elapsed);
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

/// Methods are the client's to invent; labels are not.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
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
