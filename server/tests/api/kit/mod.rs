//! What the tests here share beyond a running server.

pub mod databases;
pub mod form;
pub mod gated;
pub mod python;
pub mod rows;
pub mod signing;
pub mod socket;
pub mod wait;

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

/// A whole response.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The error's sentence.
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_else(|| panic!("no sentence in {self:?}")).to_owned()
    }

    /// Everything that could tell two responses apart, but for what differs in any two.
    pub fn comparable(&self) -> (StatusCode, Vec<(String, String)>, String) {
        let own = ["date", "x-request-id"];
        let headers = self.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        (self.status, headers.collect(), self.body.clone())
    }

    /// Asserts the status and gives the JSON.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }
}

pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.text().await.unwrap() }
}

/// Asserts that an object has these fields and no others.
pub fn assert_fields(value: &Value, expected: &[&str]) {
    let mut found: Vec<&str> =
        value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "in {value}");
}

/// Asserts that a value is a moment in RFC 3339, in UTC with `Z`.
pub fn assert_time(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let (whole, fraction) = shape.split_at(19);
    assert_eq!(whole, "0000-00-00T00:00:00", "{text}");
    let fraction = fraction.strip_suffix('Z').unwrap_or_else(|| panic!("{text} does not end in Z"));
    assert!(fraction.is_empty() || fraction.strip_prefix('.').is_some_and(|f| f.chars().all(|c| c == '0')), "{text}");
}

/// Asserts that a value is an id as a decimal string.
pub fn assert_text_id(value: &Value) -> String {
    let text = value.as_str().unwrap_or_else(|| panic!("no string: {value}"));
    assert!((1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()), "{text}");
    text.to_owned()
}

/// Asserts that a value is an id as a number.
pub fn assert_number_id(value: &Value) -> i64 {
    let id = value.as_i64().unwrap_or_else(|| panic!("no integer: {value}"));
    assert!((1..1 << 53).contains(&id), "{id}");
    id
}
