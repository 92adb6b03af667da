//! Workers: what becomes of jobs, whatever happens to those who do them.
#![allow(clippy::disallowed_methods, reason = "tests wait, measure and call as they need")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod indexer;
mod kit;
mod outbox;
mod schedules;
mod upkeep;
mod workers;
