//! Parlor over HTTP: the built binary, real sockets, a real database. The folders mirror the surfaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "tests wait, measure and call as they need")]

mod advanced;
mod classic;
mod cli;
mod contract;
mod documents;
mod fault_table;
mod full_chatbot;
mod idempotency;
mod input;
mod kit;
mod moderation;
mod mvp;
mod native;
mod openai;
mod root;
mod story;
mod support;
