//! How often one may call, once for all surfaces. At the door a request counts against its address; when its caller is known, against the
//! account. What nobody needs an account for, and guests, count against the address as against an account.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{FromRequestParts, MatchedPath, Request};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use parlor_engine::app::{Allowance, App, AppError, Caller, Requester};
use serde_json::Value;

use super::address::{Peer, client_address};

/// The paths that monitors and browsers ask for, which are never limited.
pub const FREE: [&str; 2] = ["/", "/health"];
/// Where an operation says who may call it.
pub const RIGHT: &str = "x-parlor-right";

/// Who may call an operation, as far as counting cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// Anybody.
    Public,
    /// Guests, or whoever has a token.
    GuestOrToken,
    /// Only whoever has a token.
    Token,
}

/// Lets requests in.
#[derive(Clone)]
pub struct Gate {
    app: App,
    rights: Arc<HashMap<String, Vec<(Method, Right)>>>,
}

/// Counts one request, once its caller is known. Every handler that finds out who calls tells it.
#[derive(Clone)]
pub struct Meter(Option<Arc<Metered>>);

struct Metered {
    app: App,
    state: Mutex<State>,
}

impl Metered {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct State {
    is_admitted: bool,
    left: Vec<Allowance>,
}

impl Gate {
    /// Reads from the API's description who may call what.
    pub fn new(app: App, description: &Value) -> Self {
        let mut rights = HashMap::<String, Vec<(Method, Right)>>::new();
        for (path, operations) in description["paths"].as_object().into_iter().flatten() {
            if FREE.contains(&path.as_str()) {
                continue;
            }
            for (method, operation) in operations.as_object().into_iter().flatten() {
                let Ok(method) = method.to_uppercase().parse() else { continue };
                let right = match operation[RIGHT].as_str() {
                    Some("public") => Right::Public,
                    Some("guest-or-token") => Right::GuestOrToken,
                    _ => Right::Token,
                };
                rights.entry(path.clone()).or_default().push((method, right));
            }
        }
        Self { app, rights: Arc::new(rights) }
    }

    /// Counts a request at the door. `None` for what is no operation of the API's.
    ///
    /// # Errors
    /// [`AppError::TooMany`].
    pub async fn enter(&self, request: &mut Request) -> Result<Option<Meter>, AppError> {
        let Some(right) = self.right(request) else { return Ok(None) };
        let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let address = client_address(peer, request.headers(), &self.app.settings().server);
        let is_anonymous = match right {
            Right::Public => true,
            Right::GuestOrToken => !request.headers().contains_key(header::AUTHORIZATION),
            Right::Token => false,
        };
        let requester = if is_anonymous { Requester::Anonymous(address) } else { Requester::Address(address) };
        let left = self.app.count_request(requester).await?;
        let meter = Meter((!left.is_empty()).then(|| {
            Arc::new(Metered { app: self.app.clone(), state: Mutex::new(State { is_admitted: false, left }) })
        }));
        request.extensions_mut().insert(meter.clone());
        Ok(Some(meter))
    }

    fn right(&self, request: &Request) -> Option<Right> {
        let path = request.extensions().get::<MatchedPath>()?;
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        self.rights.get(path.as_str())?.iter().find(|(known, _)| known == method).map(|(_, right)| *right)
    }
}

impl Meter {
    /// Counts the request against its caller, once.
    ///
    /// # Errors
    /// [`AppError::TooMany`].
    pub async fn admit(&self, caller: &Caller) -> Result<(), AppError> {
        let Some(metered) = &self.0 else { return Ok(()) };
        if std::mem::replace(&mut metered.state().is_admitted, true) {
            return Ok(());
        }
        let left = metered.app.count_request(Requester::Account(caller)).await?;
        metered.state().left = left;
        Ok(())
    }

    /// What is left so far, per limit.
    pub fn left(&self) -> Vec<Allowance> {
        let Some(metered) = &self.0 else { return Vec::new() };
        metered.state().left.clone()
    }

    /// Says in the answer what is left (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>), and keeps caches away.
    pub fn leave(&self, headers: &mut HeaderMap) {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if let Some(metered) = &self.0 {
            tell(headers, &metered.state().left);
        }
    }
}

fn tell(headers: &mut HeaderMap, left: &[Allowance]) {
    if headers.contains_key("ratelimit") {
        return;
    }
    let (mut policies, mut states) = (String::with_capacity(48), String::with_capacity(48));
    for (number, allowance) in left.iter().enumerate() {
        let comma = if number > 0 { ", " } else { "" };
        let Allowance { policy, quota, window, remaining, resets } = allowance;
        // Writing to a string cannot fail.
        let _ = write!(policies, "{comma}\"{policy}\";q={quota};w={}", window.as_secs());
        let _ = write!(states, "{comma}\"{policy}\";r={remaining};t={}", resets.as_secs());
    }
    for (name, value) in [("ratelimit-policy", policies), ("ratelimit", states)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Meter {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self(None)))
    }
}
