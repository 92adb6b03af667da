//! `/api/v1/…`

mod admin;
mod api_keys;
mod attachments;
mod auth;
mod branches;
mod conversations;
mod cookie;
mod files;
mod files_in_a_bucket;
mod jobs;
mod mail_links;
mod moderation;
mod personal_data;
mod quotas;
mod refresh;
mod resume;
mod routes;
mod send;
mod sessions;
mod shares;
mod socket;
mod stop;
mod stream;
mod tools;
mod users;

use serde_json::Value;

use crate::kit::{Answer, assert_fields};

/// Asserts a refusal in RFC 9457's form. Gives its sentence.
pub fn assert_problem(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem: Value = answer.json();
    if status == 422 && problem.get("errors").is_some() {
        assert_fields(&problem, &["type", "title", "status", "detail", "errors"]);
        assert!(!problem["errors"].as_array().unwrap().is_empty());
    } else {
        assert_fields(&problem, &["type", "title", "status", "detail"]);
    }
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["title"], answer.status.canonical_reason().unwrap());
    answer.detail()
}
