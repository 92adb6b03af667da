//! The refresh token as a cookie, for web pages: no script can read it, no other site can use it.
//!
//! `X-Parlor-CSRF: 1` asks for it, in login, refresh and logout. A page of another origin cannot send that header without being allowed to by
//! CORS; besides, its `Origin` has to be known, and the cookie is `SameSite=Strict`.

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use parlor_engine::app::AppError;
use secrecy::{ExposeSecret, SecretString};

use super::auth::RefreshRequest;
use super::{Error, Json};
use crate::kit::Context;
use crate::kit::address::{Peer, is_tls};
use crate::kit::websocket::origin_is_allowed;

const NAME: &str = "parlor_refresh";
const CSRF: &str = "x-parlor-csrf";

/// Whether the client wants its refresh token kept in a cookie, and how one is written for it.
#[derive(Debug, Clone, Copy)]
pub struct CookieMode {
    is_on: bool,
    is_tls: bool,
}

impl CookieMode {
    fn of(parts: &Parts, context: &Context) -> Result<Self, Error> {
        let settings = &context.app.settings().server;
        let is_on = parts.headers.get(CSRF).is_some_and(|value| value == "1");
        if is_on && !origin_is_allowed(&parts.headers, &settings.cors_origins) {
            return Err(AppError::Forbidden("This origin may not use the refresh cookie").into());
        }
        let is_tls = parts.extensions.get::<Peer>().is_some_and(|peer| is_tls(peer.0.ip(), &parts.headers, settings));
        Ok(Self { is_on, is_tls })
    }

    /// Whether the refresh token goes into the cookie, and not into the body.
    pub const fn is_on(self) -> bool {
        self.is_on
    }

    /// The header that sets the cookie.
    pub fn keep(self, token: &SecretString, lives_seconds: u64) -> Option<HeaderValue> {
        self.write(token.expose_secret(), lives_seconds)
    }

    /// The header that takes the cookie away.
    pub fn clear(self) -> Option<HeaderValue> {
        self.write("", 0)
    }

    fn write(self, value: &str, max_age: u64) -> Option<HeaderValue> {
        if !self.is_on {
            return None;
        }
        let secure = if self.is_tls { "; Secure" } else { "" };
        let text = format!("{NAME}={value}; Path=/api/v1/auth; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

impl FromRequestParts<Context> for CookieMode {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Error> {
        Self::of(parts, context)
    }
}

/// A refresh token: the cookie's where the client asks for that, else the body's.
pub struct RefreshToken {
    /// The token; `None` where the client sent no cookie.
    pub token: Option<SecretString>,
    /// Where the next one goes.
    pub mode: CookieMode,
}

impl FromRequest<Context> for RefreshToken {
    type Rejection = Error;

    async fn from_request(request: Request, context: &Context) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let mode = CookieMode::of(&parts, context)?;
        if mode.is_on() {
            return Ok(Self { token: of_cookie(&parts.headers), mode });
        }
        let body: Json<RefreshRequest> = Json::from_request(Request::from_parts(parts, body), context).await?;
        Ok(Self { token: Some(body.into_inner().refresh_token.into()), mode })
    }
}

fn of_cookie(headers: &HeaderMap) -> Option<SecretString> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == NAME && !value.is_empty()).map(|(_, value)| value.into())
}
