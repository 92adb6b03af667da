//! `Idempotency-Key`: the same message is sent once, however often it arrives.

mod at_once;
mod keys;
mod replays;
