//! The turn engine: what a message becomes, whoever reads the answer and whatever happens meanwhile. The database is real; the providers do
//! what each test tells them, when it tells them.
#![allow(clippy::disallowed_methods, reason = "tests wait, measure and call as they need")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod branches;
mod conversations;
#[path = "../support/database.rs"]
mod database;
mod failures;
mod kit;
mod limits;
mod metering;
mod moderation;
mod readers;
mod recovery;
mod servers;
mod shutdown;
mod stopping;
mod titles;
mod tools;
