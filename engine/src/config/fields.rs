//! Types for the fields of sections: each takes only what can work, and shows nothing secret.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sections::Check;
use super::setting::Kind;
use super::value::{Raw, Value, parse};

const REDACTED: &str = "[redacted]";
const FROM_ENVIRONMENT: &str = "env:";

/// A key of a service: as it stands, or `env:NAME` for the environment variable (or line of `.env`) of that name.
#[derive(Clone)]
pub struct ApiKey {
    variable: Option<String>,
    secret: SecretString,
}

impl ApiKey {
    /// The key itself.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Looks up a key that stands in the environment. `field` is its place in its entry.
    pub(super) fn find(&mut self, field: &str, check: &mut Check<'_>) {
        let Some(name) = &self.variable else { return };
        match check.variable(name).map(|text| checked(Kind::Key, text)) {
            Some(Ok(key)) => self.secret = key.into(),
            Some(Err(expected)) => check.problem(field, format!("environment {name}: expected {expected}")),
            None => check.problem(field, format!("the environment has no {name}")),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl ApiKey {
    fn shown(&self) -> String {
        self.variable.as_ref().map_or_else(|| REDACTED.to_owned(), |name| format!("{FROM_ENVIRONMENT}{name}"))
    }
}

impl Serialize for ApiKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(name) = text.strip_prefix(FROM_ENVIRONMENT) {
            return Ok(Self { variable: Some(name.trim().to_owned()), secret: SecretString::from("") });
        }
        let key = checked(Kind::Key, &text).map_err(expected)?;
        Ok(Self { variable: None, secret: key.into() })
    }
}

/// An `http://` or `https://` URL without user, query or fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WebUrl(pub String);

impl<'de> Deserialize<'de> for WebUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(Kind::WebUrl, &String::deserialize(deserializer)?).map(Self).map_err(expected)
    }
}

/// A name of one's own choosing that fits before the `/` of `provider/model`: 1 to 64 letters, digits, `-`, `_`, `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Name(pub String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if fits { Ok(Self(text)) } else { Err(expected("1 to 64 letters, digits, -, _ or .".to_owned())) }
    }
}

/// A time above 0 and of at most a day, in seconds; may have a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let most = Duration::from_secs(86_400);
        let time = Duration::try_from_secs_f64(f64::deserialize(deserializer)?).ok();
        time.filter(|time| !time.is_zero() && *time <= most)
            .map(Self)
            .ok_or_else(|| expected("a number of seconds above 0, up to 86400".to_owned()))
    }
}

/// A time above 0 and of at most an hour, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Milliseconds(pub u32);

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded(u32::deserialize(deserializer)?, 3_600_000).map(Self)
    }
}

/// A share among others: 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Weight(pub u32);

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded(u32::deserialize(deserializer)?, 1_000).map(Self)
    }
}

fn bounded<E: serde::de::Error>(number: u32, most: u32) -> Result<u32, E> {
    if (1..=most).contains(&number) { Ok(number) } else { Err(expected(format!("a whole number from 1 to {most}"))) }
}

fn checked(kind: Kind, text: &str) -> Result<String, String> {
    match parse(kind, Duration::from_secs(1), Raw::One(text.to_owned())) {
        Ok(Some(Value::Text(text))) => Ok(text),
        Ok(_) => Err("a text that is not empty".to_owned()),
        Err(expected) => Err(expected.0),
    }
}

fn expected<E: serde::de::Error>(what: String) -> E {
    E::custom(format!("expected {what}"))
}
