//! Parlor's life as a process: killed, stopped, started again, starved and kept waiting. The built binary, real signals, a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests wait, measure and call as they need")]

#[path = "../../../engine/tests/support/database.rs"]
mod database;
mod disk;
mod idle;
mod kill;
mod kit;
mod locks;
#[path = "../../../engine/tests/support/redis.rs"]
mod redis;
mod redis_faults;
mod restart;
mod servers;
mod shutdown;
mod slow_clients;
#[path = "../api/support/mod.rs"]
mod support;
mod worker;
