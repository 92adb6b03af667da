//! The store's conformance suite: what every database that Parlor runs on must do alike.
//!
//! A test is a function that takes an empty [`kit::Fixture`]; [`kit::on_every_database`] runs it once per database. Another database joins by
//! an opener of its own there.
#![allow(clippy::disallowed_methods, reason = "tests wait, measure and call as they need")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounts;
mod callers;
mod context;
mod conversations;
#[path = "../support/database.rs"]
mod database;
mod files;
mod jobs;
mod kept;
mod kit;
mod migrations;
mod outbox;
mod quotas;
mod refresh_tokens;
mod refusals;
mod search;
mod standing;
mod transactions;
mod transfer;
mod turns;
mod values;
mod views;
