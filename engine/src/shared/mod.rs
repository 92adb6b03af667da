//! What replicas share; within one process, what its parts share.

mod counters;

pub use counters::Counters;
