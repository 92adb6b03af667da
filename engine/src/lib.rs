//! What Parlor does, without HTTP: values and rules, settings, storage, providers, and the turn engine.
//!
//! The modules form one order, lowest first; nothing imports upwards (held by `tests/layers.rs`):
//! `domain` < `config` < `store` < `shared` < `providers` < `outbound` < `moderation` < `tools` < `blobs` < `mail` < `mongo` < `app` < `import` <
//! `jobs`.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests wait, measure and call as they need"))]

pub mod app;
pub mod blobs;
pub mod config;
pub mod domain;
pub mod import;
pub mod jobs;
pub mod mail;
pub mod moderation;
pub mod mongo;
pub mod outbound;
pub mod providers;
pub mod shared;
pub mod store;
pub mod tools;
