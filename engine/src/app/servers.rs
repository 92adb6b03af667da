//! Several servers at one database: each gives a sign of life every few seconds, and ends what those left open that gave none.
//!
//! No clocks are compared. A server is dead when its beat has stood still for the lease, as the one who looks measures it, and only the time
//! in which that one could read the database counts: when the database is away, nobody dies of it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{App, AppError};
use crate::domain::{ServerId, TurnId};
use crate::store::{LeftBy, RollCall};

/// Beats in a lease: a dead server has missed as many, but for one or two.
const BEATS: u32 = 7;

/// What a server knows of the others.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The others' newest beats, and for how long they have stood still.
    beats: HashMap<ServerId, (i64, Duration)>,
    /// When the roll was last called.
    called: Option<Instant>,
    /// Who had something open at the last look, and was not on the list.
    absent: HashSet<Option<ServerId>>,
    /// This server's own turns that were open at the last look, and that it did not run.
    strays: HashSet<TurnId>,
}

impl Seen {
    /// Takes note of who is there; gives those whose beat has stood still for `lease`.
    fn note(&mut self, own: ServerId, roll: &RollCall, lease: Duration, now: Instant) -> Vec<(ServerId, i64)> {
        // What lies longer ago was no looking: this server was paused, or the database away.
        let passed = self.called.map_or(Duration::ZERO, |before| now.duration_since(before).min(lease / BEATS * 2));
        self.called = Some(now);
        let mut beats = HashMap::with_capacity(roll.servers.len());
        let mut dead = Vec::new();
        for &(server, beat) in roll.servers.iter().filter(|(server, _)| *server != own) {
            let still = match self.beats.get(&server) {
                Some((known, still)) if *known == beat => *still + passed,
                _ => Duration::ZERO,
            };
            if still >= lease {
                dead.push((server, beat));
            }
            beats.insert(server, (beat, still));
        }
        self.beats = beats;
        dead
    }
}

impl App {
    /// Takes up the work at the database. On SQLite, which has one server, it ends what a stopped one left open; elsewhere it joins those who
    /// are there. To be called before any message is taken. Returns how many turns were ended.
    ///
    /// # Errors
    /// Only ours.
    pub async fn take_up(&self) -> Result<usize, AppError> {
        if self.db.is_shared() { self.beat().await } else { self.recover_turns().await }
    }

    /// How often [`App::beat`] is to be called.
    #[must_use]
    pub fn beat_every(&self) -> Duration {
        self.settings.database.server_lease / BEATS
    }

    /// Gives this server's sign of life, stops what others asked it to stop, and ends what dead servers left open. Does nothing on SQLite.
    /// Returns how many turns were ended.
    ///
    /// # Errors
    /// What the database says; the next beat does what this one could not.
    pub async fn beat(&self) -> Result<usize, AppError> {
        if !self.db.is_shared() {
            return Ok(0);
        }
        let mut seen = self.watch.seen.lock().await;
        // Before the look: what begins meanwhile is not missed in it.
        let running = self.turns.by_turn();
        let roll = self.db.beat(self.clock.now()).await?;
        if roll.was_absent && seen.called.is_some() {
            tracing::warn!(
                server = %self.db.server(),
                "this server was taken for dead, since the database did not hear of it: turns of its own may have been interrupted"
            );
        }
        let open: HashMap<TurnId, bool> = roll.open.iter().map(|turn| (turn.turn_id, turn.is_stopped)).collect();
        for (turn, live) in &running {
            match open.get(turn) {
                Some(false) => {}
                // Stopped, deleted, or ended by another server: nobody needs the rest.
                Some(true) | None => live.cancel(),
            }
        }
        for (server, beat) in seen.note(self.db.server(), &roll, self.settings.database.server_lease, Instant::now()) {
            if self.db.remove_server(server, beat).await? {
                tracing::warn!(%server, "a server gave no sign of life: it is taken for dead");
            }
        }
        let mut ended = 0;
        // Twice absent: a server that was taken for dead and comes back is on the list with its next beat.
        let absent: HashSet<_> = self.db.absent_servers().await?.into_iter().collect();
        let before = std::mem::replace(&mut seen.absent, absent.clone());
        for server in absent.intersection(&before) {
            ended += self.end_turns_of(LeftBy::Server(*server)).await?;
        }
        // Begun without this server's knowledge: the database's word on it got lost.
        let known = self.turns.known();
        let strays: HashSet<_> = open.into_keys().filter(|turn| !known.contains(turn)).collect();
        let before = std::mem::replace(&mut seen.strays, strays.clone());
        let strays: HashSet<_> = strays.intersection(&before).copied().collect();
        if !strays.is_empty() {
            ended += self.end_strays(&strays).await?;
        }
        Ok(ended)
    }

    /// Leaves the database to the others: what may still be open is nobody's.
    pub(super) async fn leave(&self) {
        if self.db.is_shared()
            && let Err(error) = self.db.leave().await
        {
            tracing::warn!(%error, "this server could not sign off: the others wait before they take it for dead");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LEASE: Duration = Duration::from_secs(14);

    fn server(id: i64) -> ServerId {
        ServerId::new(id).unwrap()
    }

    fn roll(beat: i64) -> RollCall {
        RollCall { servers: vec![(server(1), 7), (server(2), beat)], ..RollCall::default() }
    }

    #[test]
    fn a_beat_that_stands_still_for_the_lease_is_a_death_and_one_that_moves_is_none() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let mut at =
            |second: u64, beat: i64| seen.note(server(1), &roll(beat), LEASE, start + Duration::from_secs(second));
        for second in (0..40).step_by(2) {
            assert_eq!(at(second, 100 + i64::try_from(second).unwrap()), []);
        }
        for second in (40..52).step_by(2) {
            assert_eq!(at(second, 138), [], "{second}");
        }
        // It was first seen at 38 s.
        assert_eq!(at(52, 138), [(server(2), 138)]);
        assert_eq!(at(54, 139), []);
    }

    #[test]
    fn time_without_a_look_kills_nobody() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        for hour in 0..3 {
            let now = start + Duration::from_secs(hour * 3600);
            assert_eq!(seen.note(server(1), &roll(5), LEASE, now), []);
        }
    }
}
