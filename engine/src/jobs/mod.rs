//! Work that nobody asks for: one file per job.

mod cleanup;

pub use cleanup::clean_up;
