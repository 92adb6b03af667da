//! Chat: the turn engine.
//!
//! A turn is stored before it is anything else ([`begin`]); a task of its own runs it to its end, whoever listens ([`run`]); what it
//! says becomes numbered events that any number of readers follow from any number on ([`live`], [`follow`]); what a
//! stopped server left open is ended ([`recovery`]). A turn that runs on another server is followed in a [`mirror`], which that server
//! feeds ([`forward`]).

mod attached;
mod begin;
mod chunks;
mod follow;
mod forward;
mod live;
mod mirror;
mod news;
mod recovery;
mod run;
mod screen;
mod titles;
mod tools;

pub(super) use attached::FileRoom;
pub use begin::{EditMessage, OnFailure, Regenerate, SendMessage};
pub use follow::{Ending, Event, Follower, TurnHandle};
pub(super) use forward::Forwarders;
pub(super) use live::LiveTurns;
pub(super) use titles::AT_ONCE as TITLES_AT_ONCE;
