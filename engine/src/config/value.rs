//! Turns what a source says into a value, or into words about what was expected.

use std::net::IpAddr;
use std::time::Duration;

use url::Url;

use super::database_url::DatabaseUrl;
use super::setting::Kind;
use super::trusted_proxy::TrustedProxy;
use super::{mongo_uri, redis_url};
use crate::domain::Schedule;

/// What a source says: one text, several, or something of a type that no setting has.
pub(super) enum Raw {
    One(String),
    Many(Vec<String>),
    /// A number or boolean of `parlor.toml`, as text.
    Bare(String),
    Other,
}

/// A checked value. It may be a secret, so it does not implement `Debug`.
#[derive(Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Bool(bool),
    Integer(u64),
    Number(f64),
    Duration(Duration),
    List(Vec<String>),
}

/// What was expected instead, e.g. `a whole number from 1 to 10`.
pub(super) struct Expected(pub(super) String);

impl Expected {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Checks `raw` as a value of `kind`; `unit` is what a duration counts. An empty text is `None`.
///
/// # Errors
///
/// What was expected, without repeating the value.
pub(super) fn parse(kind: Kind, unit: Duration, raw: Raw) -> Result<Option<Value>, Expected> {
    let text = match raw {
        Raw::One(text) => text,
        Raw::Bare(text) if kind.is_bare_in_toml() => text,
        Raw::Many(items) if kind.is_list() => return list(kind, items).map(Some),
        Raw::Many(_) => return Err(Expected::new("one value, not a list")),
        Raw::Bare(_) if kind.is_list() => return Err(Expected::new("a list of texts in quotes")),
        Raw::Bare(_) => return Err(Expected::new("a text in quotes")),
        Raw::Other => return Err(Expected::new("a text, number, boolean or list of texts")),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    if kind.is_list() {
        return list(kind, split(&text)?).map(Some);
    }
    // Only a password's own spaces are part of it.
    let text = if matches!(kind, Kind::Secret) { text } else { text.trim().to_owned() };
    one(kind, unit, text).map(Some)
}

fn one(kind: Kind, unit: Duration, text: String) -> Result<Value, Expected> {
    Ok(match kind {
        Kind::Bool => Value::Bool(boolean(&text)?),
        Kind::Integer(min, max) => Value::Integer(
            text.parse()
                .ok()
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| Expected(format!("a whole number from {min} to {max}")))?,
        ),
        Kind::Number(min, max) => Value::Number(
            text.parse()
                .ok()
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| Expected(format!("a number from {min} to {max}")))?,
        ),
        Kind::Duration { max, zero } => Value::Duration(duration(&text, unit, max, zero)?),
        Kind::Choice(names) => Value::Text(
            names
                .iter()
                .find(|name| name.eq_ignore_ascii_case(&text))
                .map(|&name| name.to_owned())
                .ok_or_else(|| Expected(one_of(names)))?,
        ),
        Kind::Host => Value::Text(host(&text)?),
        Kind::Email => Value::Text(email(text)?),
        Kind::Key => Value::Text(key(text)?),
        Kind::WebUrl => Value::Text(web_url(&text)?.trim_end_matches('/').to_owned()),
        Kind::Endpoint => Value::Text(web_url(&text)?),
        Kind::ServiceUrl(schemes) => Value::Text(service_url(text, schemes)?),
        Kind::Redis => {
            redis_url::parse(&text).map_err(Expected)?;
            Value::Text(text)
        }
        Kind::Mongo => {
            mongo_uri::check(&text).map_err(Expected)?;
            Value::Text(text)
        }
        Kind::Database => {
            DatabaseUrl::parse(&text, None).map_err(Expected)?;
            Value::Text(text)
        }
        Kind::Cron => match Schedule::parse(&text) {
            Ok(schedule) => Value::Text(schedule.as_str().to_owned()),
            Err(expected) => return Err(Expected(expected.to_string())),
        },
        Kind::Text | Kind::Secret | Kind::Path => Value::Text(text),
        Kind::Keys | Kind::List | Kind::Origins | Kind::Networks => list(kind, vec![text])?,
    })
}

fn list(kind: Kind, items: Vec<String>) -> Result<Value, Expected> {
    let mut checked = Vec::with_capacity(items.len());
    for item in items {
        let item = item.trim().to_owned();
        if item.is_empty() {
            continue;
        }
        let item = match kind {
            Kind::Keys => key(item)?,
            Kind::Origins => origin(&item)?,
            Kind::Networks => match item.parse::<TrustedProxy>() {
                Ok(network) => network.to_string(),
                Err(problem) => return Err(Expected(problem.to_string())),
            },
            _ => item,
        };
        if !checked.contains(&item) {
            checked.push(item);
        }
    }
    Ok(Value::List(checked))
}

/// Splits `a,b` or a JSON array of strings.
fn split(text: &str) -> Result<Vec<String>, Expected> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|_| Expected::new("`a,b` or a JSON array of strings"));
    }
    Ok(text.split(',').map(str::to_owned).collect())
}

fn boolean(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err(Expected::new("true or false (or 1, 0, on, off, yes, no)")),
    }
}

fn duration(text: &str, unit: Duration, max: u64, zero: bool) -> Result<Duration, Expected> {
    let max = Duration::from_secs(max);
    text.parse::<f64>()
        .ok()
        .and_then(|count| Duration::try_from_secs_f64(count * unit.as_secs_f64()).ok())
        .filter(|time| *time <= max && (zero || !time.is_zero()))
        .ok_or_else(|| {
            let (name, least) = (unit_name(unit), if zero { "from 0" } else { "above 0" });
            Expected(format!("a number of {name} {least}, up to {}", max.as_secs() / unit.as_secs().max(1)))
        })
}

/// The plural of the unit of so many seconds.
pub(super) fn unit_name(unit: Duration) -> &'static str {
    match unit.as_secs() {
        60 => "minutes",
        3_600 => "hours",
        86_400 => "days",
        _ => "seconds",
    }
}

/// `a, b or c`.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

fn host(text: &str) -> Result<String, Expected> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let is_name = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if bare.parse::<IpAddr>().is_ok() {
        Ok(bare.to_owned())
    } else if is_name {
        Ok(text.to_owned())
    } else {
        Err(Expected::new("an IP address or a host name, without scheme or port"))
    }
}

fn email(text: String) -> Result<String, Expected> {
    let is_email = text
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
        && !text.contains(char::is_whitespace);
    if is_email { Ok(text) } else { Err(Expected::new("an email address")) }
}

fn key(text: String) -> Result<String, Expected> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(Expected::new("a key without spaces, line breaks or accented characters"))
    }
}

fn web_url(text: &str) -> Result<String, Expected> {
    let expected = "an http:// or https:// URL without user, query or fragment \
                    (keys have settings of their own)";
    let url = Url::parse(text).map_err(|_| Expected::new(expected))?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(text.to_owned()) } else { Err(Expected::new(expected)) }
}

fn origin(text: &str) -> Result<String, Expected> {
    if text == "*" {
        return Err(Expected::new(
            "the origins by name: `*` would let every web page call with its visitor's credentials",
        ));
    }
    let expected = || Expected::new("origins such as https://app.example or http://localhost:3000");
    let url = web_url(text).and_then(|text| Url::parse(&text).map_err(|_| expected()));
    match url {
        Ok(url) if url.path() == "/" => Ok(url.origin().ascii_serialization()),
        _ => Err(expected()),
    }
}

/// Checks the scheme only.
fn service_url(text: String, schemes: &[&str]) -> Result<String, Expected> {
    let known = text.split_once("://").is_some_and(|(scheme, rest)| {
        !rest.is_empty() && schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme))
    });
    if known {
        return Ok(text);
    }
    let schemes: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://…")).collect();
    Err(Expected(format!("a URL {}", one_of(&schemes.iter().map(String::as_str).collect::<Vec<_>>()))))
}
