//! What replicas share, on real Redis servers (see scripts/services).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod bus;
mod counters;
mod kit;
