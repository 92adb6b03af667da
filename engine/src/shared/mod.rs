//! What replicas share; within one process, what its parts share.

mod counters;
mod open_doors;

pub use counters::Counters;
pub use open_doors::{OpenDoor, OpenDoors, Standing};
