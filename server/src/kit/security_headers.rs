//! What every response tells browsers.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::Request;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use parlor_engine::config::ServerSettings;

use super::address::{Peer, is_tls};

/// Where the handler says nothing else.
const DEFAULTS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// A year, the least that browsers' preload lists ask for.
const HSTS: &str = "max-age=31536000";

/// Whether the answer may bind browsers to TLS: the request came over it.
pub fn binds_to_tls(request: &Request, settings: &ServerSettings) -> bool {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    is_tls(peer, request.headers(), settings)
}

/// Adds the headers.
pub fn add(headers: &mut HeaderMap, binds_to_tls: bool) {
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if binds_to_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
}
