//! What every surface needs and none owns: reading bodies, telling who calls, following turns, logging. Knows no dialect.

pub mod address;
pub mod bearer;
pub mod context;
pub mod events;
pub mod extract;
pub mod fastapi;
pub mod guest;
pub mod headers;
pub mod ids;
pub mod json;
pub mod limits;
pub mod listener;
pub mod metrics;
pub mod numbers;
pub mod others;
pub mod refusal;
pub mod request_log;
pub mod security_headers;
pub mod socket;
pub mod sse;
pub mod upload;
pub mod websocket;

pub use context::{Context, Parts};
