//! What belongs to no dialect: `/`, `/health`, the documentation, `/metrics`, and what every response carries.

mod cors;
mod documentation;
mod headers;
mod health;
mod limits;
mod metrics;
mod openapi;
pub mod pages;
mod strangers;
