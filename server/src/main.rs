//! Parlor: the AI chatbot backend in one binary.
#![recursion_limit = "256"]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests wait, measure and call as they need"))]

mod allocator;
mod cli;
mod dialects;
mod kit;
mod middleware;
mod openapi;
mod root;
mod router;
mod server;
mod telemetry;
mod web;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
