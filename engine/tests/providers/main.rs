//! Providers over real sockets, against a server that speaks OpenAI's protocol and breaks it in
//! every way that its models' names ask for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait, measure and call as they need")]

mod answers;
mod anthropic;
mod breaker;
mod conformance;
mod failures;
mod gemini;
mod kit;
mod limits;
mod passing;
mod responses;
mod routes;
mod routing;
mod wire;
