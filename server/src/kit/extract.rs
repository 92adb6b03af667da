//! What handlers take from a request. Each refuses in the words of its dialect: `E`.

use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::IntoResponse;
use http::HeaderMap;
use http::request::Parts;
use parlor_engine::app::{self, AppError};
use parlor_engine::domain::Scope;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::Context;
use super::address::{Peer, client_address};
use super::bearer::{Authorization, authorization};
use super::json::{self, BadBody, FieldError};
use super::limits::Meter;
use super::refusal::Refusal;

/// A JSON body.
pub struct JsonBody<T, E> {
    value: T,
    dialect: PhantomData<E>,
}

impl<T, E> JsonBody<T, E> {
    /// What the body says.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T, E, S> FromRequest<S> for JsonBody<T, E>
where
    T: DeserializeOwned + ToSchema,
    E: From<Refusal> + IntoResponse,
    S: Send + Sync,
{
    type Rejection = E;

    async fn from_request(request: Request, _: &S) -> Result<Self, E> {
        let value = json::read_json(request).await.map_err(|bad| E::from(bad.into()))?;
        Ok(Self { value, dialect: PhantomData })
    }
}

/// A JSON body that may be left out.
pub struct OptionalJson<T, E> {
    value: T,
    dialect: PhantomData<E>,
}

impl<T, E> OptionalJson<T, E> {
    /// What the body says; the default without one, or when it is null.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T, E, S> FromRequest<S> for OptionalJson<T, E>
where
    T: DeserializeOwned + ToSchema + Default,
    E: From<Refusal> + IntoResponse,
    S: Send + Sync,
{
    type Rejection = E;

    async fn from_request(request: Request, _: &S) -> Result<Self, E> {
        let value = if request.body().is_end_stream() {
            T::default()
        } else {
            json::read_optional_json(request).await.map_err(|bad| E::from(bad.into()))?
        };
        Ok(Self { value, dialect: PhantomData })
    }
}

/// A body that may be JSON or an HTML form, as OAuth2's password login sends.
pub struct FormOrJson<T, E> {
    value: T,
    dialect: PhantomData<E>,
}

impl<T, E> FormOrJson<T, E> {
    /// What the body says.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T, E, S> FromRequest<S> for FormOrJson<T, E>
where
    T: DeserializeOwned + ToSchema,
    E: From<Refusal> + IntoResponse,
    S: Send + Sync,
{
    type Rejection = E;

    async fn from_request(request: Request, _: &S) -> Result<Self, E> {
        let value = if json::is_form(&request) { read_form(request).await } else { json::read_json(request).await };
        Ok(Self { value: value.map_err(|bad| E::from(bad.into()))?, dialect: PhantomData })
    }
}

async fn read_form<T: DeserializeOwned + ToSchema>(request: Request) -> Result<T, BadBody> {
    let bytes = json::read_body(request).await?;
    // A form's fields are all text, as they are in the JSON that says the same.
    let fields: serde_json::Map<String, serde_json::Value> = url::form_urlencoded::parse(&bytes)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    let text = serde_json::to_vec(&fields).unwrap_or_default();
    json::decode(&text).map_err(BadBody::Malformed)
}

/// A JSON body whose fields may also stand in the query.
pub struct JsonOrQuery<T, E> {
    value: T,
    dialect: PhantomData<E>,
}

impl<T, E> JsonOrQuery<T, E> {
    /// What the request says.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T, E, S> FromRequest<S> for JsonOrQuery<T, E>
where
    T: DeserializeOwned + ToSchema,
    E: From<Refusal> + IntoResponse,
    S: Send + Sync,
{
    type Rejection = E;

    async fn from_request(request: Request, _: &S) -> Result<Self, E> {
        let value = json::read_json_or_query(request).await.map_err(|bad| E::from(bad.into()))?;
        Ok(Self { value, dialect: PhantomData })
    }
}

/// The query's parameters.
pub struct Query<T, E> {
    value: T,
    dialect: PhantomData<E>,
}

impl<T, E> Query<T, E> {
    /// What the query says.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T, E, S> FromRequestParts<S> for Query<T, E>
where
    T: DeserializeOwned,
    E: From<Refusal> + IntoResponse,
    S: Send + Sync,
{
    type Rejection = E;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, E> {
        let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let decoded = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs));
        match decoded {
            Ok(value) => Ok(Self { value, dialect: PhantomData }),
            Err(error) => {
                let field = error.path().to_string();
                let (kind, msg) = if error.inner().to_string().contains("`true` or `false`") {
                    ("bool_parsing", "Input should be a valid boolean, unable to interpret input")
                } else {
                    ("int_parsing", "Input should be a valid integer, unable to parse string as an integer")
                };
                Err(Refusal::Malformed(vec![FieldError::new("query", &field, kind, msg)]).into())
            }
        }
    }
}

/// The path's one parameter, as text.
pub struct PathText<E> {
    text: String,
    dialect: PhantomData<E>,
}

impl<E> PathText<E> {
    /// What the path says.
    pub fn into_inner(self) -> String {
        self.text
    }
}

impl<E, S> FromRequestParts<S> for PathText<E>
where
    E: From<Refusal> + IntoResponse,
    S: Send + Sync,
{
    type Rejection = E;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, E> {
        match axum::extract::Path::<String>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(text)) => Ok(Self { text, dialect: PhantomData }),
            Err(_) => Err(no_text().into()),
        }
    }
}

fn no_text() -> Refusal {
    let msg = "Input should be a valid string, unable to parse raw data as a unicode string";
    let fault = FieldError { loc: vec!["path".into()], msg: msg.into(), r#type: "string_unicode".into() };
    Refusal::Malformed(vec![fault])
}

/// The path's two parameters, as texts.
pub struct PathTexts<E> {
    texts: (String, String),
    dialect: PhantomData<E>,
}

impl<E> PathTexts<E> {
    /// What the path says.
    pub fn into_inner(self) -> (String, String) {
        self.texts
    }
}

impl<E, S> FromRequestParts<S> for PathTexts<E>
where
    E: From<Refusal> + IntoResponse,
    S: Send + Sync,
{
    type Rejection = E;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, E> {
        match axum::extract::Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(texts)) => Ok(Self { texts, dialect: PhantomData }),
            Err(_) => Err(no_text().into()),
        }
    }
}

/// The account that calls, by its bearer token. An API key needs the scope `read` for what only reads, `chat` for everything else; what
/// needs more than that asks for it in the application.
pub struct Caller<E> {
    caller: app::Caller,
    dialect: PhantomData<E>,
}

impl<E> Caller<E> {
    /// The account.
    pub fn into_inner(self) -> app::Caller {
        self.caller
    }
}

impl<E: From<Refusal> + IntoResponse> FromRequestParts<Context> for Caller<E> {
    type Rejection = E;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, E> {
        let scope = if parts.method.is_safe() { Scope::Read } else { Scope::Chat };
        let caller = known_caller(parts, context, scope).await.map_err(|error| E::from(error.into()))?;
        Ok(Self { caller, dialect: PhantomData })
    }
}

/// The account that calls, by its bearer token. An API key needs the scope `chat`, for what only reads too.
pub struct ChatCaller<E> {
    caller: app::Caller,
    dialect: PhantomData<E>,
}

impl<E> ChatCaller<E> {
    /// The account.
    pub fn into_inner(self) -> app::Caller {
        self.caller
    }
}

impl<E: From<Refusal> + IntoResponse> FromRequestParts<Context> for ChatCaller<E> {
    type Rejection = E;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, E> {
        let caller = known_caller(parts, context, Scope::Chat).await.map_err(|error| E::from(error.into()))?;
        Ok(Self { caller, dialect: PhantomData })
    }
}

/// Who calls, counted against their limits.
async fn known_caller(parts: &Parts, context: &Context, scope: Scope) -> Result<app::Caller, AppError> {
    let Authorization::Bearer(token) = authorization(&parts.headers) else {
        return Err(AppError::Unauthenticated("Not authenticated"));
    };
    let caller = context.app.authenticate(&token).await?;
    if let Some(meter) = parts.extensions.get::<Meter>() {
        meter.admit(&caller).await?;
    }
    caller.allow(scope)?;
    Ok(caller)
}

/// What a request says of who calls, where guests may: its headers, and the meter that is told when the caller is known.
pub struct Credentials {
    headers: HeaderMap,
    meter: Meter,
}

impl Credentials {
    /// Counts the request against its caller.
    ///
    /// # Errors
    /// [`AppError::TooMany`].
    pub async fn admit(&self, caller: app::Caller) -> Result<app::Caller, AppError> {
        self.meter.admit(&caller).await?;
        Ok(caller)
    }
}

impl Deref for Credentials {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        &self.headers
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Credentials {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self { headers: parts.headers.clone(), meter: Meter::from_request_parts(parts, state).await? })
    }
}

/// Where the request comes from.
pub struct ClientAddress(pub IpAddr);

impl FromRequestParts<Context> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        Ok(Self(client_address(peer, &parts.headers, &context.app.settings().server)))
    }
}
