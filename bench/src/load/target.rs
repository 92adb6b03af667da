//! What to send to a server: a small JSON file with placeholders.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use serde::Deserialize;
use serde_json::Value;

use super::LoadError;

/// Values of placeholders by name.
pub type Variables = BTreeMap<String, String>;

/// A target file: what to send to a server, with placeholders.
///
/// ```json
/// {"setup": [{"url": "{{base}}/login", "form": "username=a&password=b", "extract": {"token": "/access_token"}}],
///  "call": {"url": "{{base}}/chat", "json": {"message": "hi", "user_id": "u{{worker}}"}},
///  "stream": {"url": "{{base}}/stream", "headers": {"authorization": "Bearer {{token}}"},
///             "json": {"message": "hi", "model": "{{model}}"}, "done": "[DONE]"}}
/// ```
///
/// `setup` runs once, in order; `extract` names variables and the JSON pointers of their values.
/// Every other key is a request by its name. `{{name}}` is replaced by a variable; `"{{=name}}"`,
/// quotes included, by its bare value, for numbers.
#[derive(Debug, Clone, Deserialize)]
pub struct Target {
    /// Requests that run once before the measurement.
    #[serde(default)]
    pub setup: Vec<Template>,
    /// The requests to measure, by name.
    #[serde(flatten)]
    pub requests: BTreeMap<String, Template>,
}

/// One request with placeholders.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// POST, unless it says otherwise.
    pub method: Option<String>,
    /// Absolute, `http` only.
    pub url: String,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A JSON body …
    pub json: Option<Value>,
    /// … or a form, already encoded.
    pub form: Option<String>,
    /// Statuses that count as success; none: every 2xx.
    #[serde(default)]
    pub ok: Vec<u16>,
    /// Variables to take from the JSON answer, by JSON pointer (RFC 6901).
    #[serde(default)]
    pub extract: BTreeMap<String, String>,
    /// What a stream's bytes contain when it ended well.
    pub done: Option<String>,
}

/// A request ready to be sent any number of times.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// `host:port`.
    pub authority: String,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    ok: Vec<u16>,
    /// What marks a stream's good end.
    pub done: Option<Bytes>,
}

impl Target {
    /// Reads a target file's text.
    ///
    /// # Errors
    /// When it is not such a file.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        serde_json::from_str(text).map_err(|e| LoadError::Target(e.to_string()))
    }
}

impl Template {
    /// Fills in the variables.
    ///
    /// # Errors
    /// When the outcome is no HTTP request.
    pub fn prepare(&self, variables: &Variables) -> Result<Prepared, LoadError> {
        let wrong = |what: &str| LoadError::Target(format!("{what} in the request to {}", self.url));
        let url = fill(&self.url, variables);
        let uri: Uri = url.parse().map_err(|_| wrong("no URL"))?;
        let authority = uri.authority().ok_or_else(|| wrong("no host"))?.to_string();
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(&authority).map_err(|_| wrong("a bad host"))?);
        let body = match (&self.json, &self.form) {
            (Some(json), _) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                fill(&json.to_string(), variables)
            }
            (None, Some(form)) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                fill(form, variables)
            }
            (None, None) => String::new(),
        };
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().map_err(|_| wrong("a bad header name"))?;
            let value = fill(value, variables).parse().map_err(|_| wrong("a bad header"))?;
            headers.insert(name, value);
        }
        let method = self.method.as_deref().unwrap_or("POST");
        Ok(Prepared {
            authority,
            method: method.parse().map_err(|_| wrong("a bad method"))?,
            uri: path.parse().map_err(|_| wrong("a bad path"))?,
            headers,
            body: body.into(),
            ok: self.ok.clone(),
            done: self.done.as_ref().map(|d| Bytes::copy_from_slice(d.as_bytes())),
        })
    }
}

impl Prepared {
    /// A request to send now.
    #[must_use]
    pub fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Whether that status is a success.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        if self.ok.is_empty() { (200..300).contains(&status) } else { self.ok.contains(&status) }
    }
}

fn fill(text: &str, variables: &Variables) -> String {
    let mut filled = text.to_owned();
    for (name, value) in variables {
        filled = filled.replace(&format!("\"{{{{={name}}}}}\""), value);
        filled = filled.replace(&format!("{{{{{name}}}}}"), value);
    }
    filled
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn placeholders_are_filled_in_urls_headers_and_bodies() {
        let text = r#"{"call": {"url": "http://{{base}}/c/{{id}}?a=1", "headers": {"x-a": "{{id}}"},
            "json": {"number": "{{=id}}", "text": "n{{id}}"}, "ok": [200, 409]}}"#;
        let target = Target::parse(text).unwrap();
        let pairs = [("base", "127.0.0.1:9"), ("id", "7")];
        let variables = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let prepared = target.requests["call"].prepare(&variables).unwrap();
        assert_eq!(prepared.authority, "127.0.0.1:9");
        assert_eq!(prepared.uri, "/c/7?a=1");
        assert_eq!(prepared.headers["x-a"], "7");
        assert_eq!(prepared.body, r#"{"number":7,"text":"n7"}"#);
        assert!(prepared.accepts(409) && !prepared.accepts(201));
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        assert!(Target::parse(r#"{"call": {"url": "http://a/", "jsno": {}}}"#).is_err());
    }
}
