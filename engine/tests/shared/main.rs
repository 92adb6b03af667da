//! What replicas share, on real Redis servers (see scripts/services).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod bus;
mod connections;
mod counters;
#[path = "../support/database.rs"]
mod database;
mod kit;
#[path = "../support/redis.rs"]
mod redis;
mod replicas;
