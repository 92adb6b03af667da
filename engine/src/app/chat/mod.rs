//! Chat: the turn engine.
//!
//! A turn is stored before it is anything else ([`begin`]); a task of its own runs it to its end, whoever listens ([`run`]); what it
//! says becomes numbered events that any number of readers follow from any number on ([`live`], [`follow`]); a restart ends what a
//! stopped server left open ([`recovery`]).

mod attached;
mod begin;
mod chunks;
mod follow;
mod live;
mod recovery;
mod run;
mod screen;
mod titles;
mod tools;

pub(super) use attached::FileRoom;
pub use begin::{EditMessage, OnFailure, Regenerate, SendMessage};
pub use follow::{Ending, Event, Follower, TurnHandle};
pub(super) use live::LiveTurns;
pub(super) use titles::AT_ONCE as TITLES_AT_ONCE;
