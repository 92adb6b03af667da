//! Input that is wrong: a clear answer, one line in the log, nothing changed.

mod bodies;
mod messages;
mod paths;
pub mod table;
