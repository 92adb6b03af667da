//! Parlor over HTTP: the built binary, real sockets, a real database. The folders mirror the surfaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod advanced;
mod support;
