//! Following a turn that runs on another server: a mirror of it, which any number of readers here follow as if it ran here.
//!
//! The mirror asks the turn's server for its events and goes on asking as long as somebody reads, so that a turn that nobody follows elsewhere
//! costs nothing. Besides it looks into the database: seldom while that server answers, often while it does not. How a turn ended it takes
//! from there alone.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::chunks::ChunkedText;
use super::follow::{Ending, Event, event_at};
use super::live::LiveTurn;
use super::news::{ToServer, TurnNews, decode, encode, server_topic, turn_topic};
use super::tools::events_of;
use crate::app::App;
use crate::domain::{AccountId, MessageId, ServerId, TurnState};
use crate::shared::BusEvent;
use crate::store::TurnRecord;

/// How often the turn's server is asked; it forgets who does not ask.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// The wait between two looks into the database: at first, and at most while nothing is heard.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// The wait while the turn's server answers.
const LOOK_SELDOM: Duration = Duration::from_secs(5);
/// How long ago the turn's server may have been heard.
const HEARD: Duration = Duration::from_secs(5);
/// How long the database may be away before the readers are sent off; they may come back.
const PATIENCE: Duration = Duration::from_secs(60);

struct Mirror {
    app: App,
    /// Lives as long as somebody reads.
    live: Weak<LiveTurn>,
    answer_id: MessageId,
    owner: AccountId,
    server: Option<ServerId>,
    stop: CancellationToken,
    shutdown: CancellationToken,
}

enum Step {
    Stop,
    Leave,
    News(BusEvent),
    Ask,
    Look,
}

impl App {
    /// The mirror of a turn that another server runs.
    pub(super) fn mirror(&self, record: &TurnRecord, owner: AccountId) -> Arc<LiveTurn> {
        let (live, is_new) = self.turns.mirror(record, owner);
        if is_new {
            take_over(&live, record);
            let (stop, shutdown) = live.tokens();
            let mirror = Mirror {
                app: self.clone(),
                live: Arc::downgrade(&live),
                answer_id: record.answer_id,
                owner,
                server: record.server_id,
                stop,
                shutdown,
            };
            self.tasks.spawn(mirror.run());
        }
        live
    }
}

impl Mirror {
    async fn run(self) {
        let topic = turn_topic(self.server.unwrap_or(self.app.db.server()), self.answer_id);
        let mut news = self.app.shared.bus.subscribe(&topic).await;
        let (mut ask_at, mut look_at) = (Instant::now(), Instant::now() + LOOK.0);
        let (mut wait, mut again) = (LOOK.0, true);
        let mut heard: Option<Instant> = None;
        let mut seen = Instant::now();
        let mut is_stopped = false;
        loop {
            let step = tokio::select! {
                biased;
                () = self.stop.cancelled(), if !is_stopped => Step::Stop,
                () = self.shutdown.cancelled() => Step::Leave,
                event = news.next() => Step::News(event),
                () = tokio::time::sleep_until(ask_at) => Step::Ask,
                () = tokio::time::sleep_until(look_at) => Step::Look,
            };
            if matches!(step, Step::Stop) {
                is_stopped = self.ask_to_stop().await;
                look_at = Instant::now() + LOOK.0;
                wait = LOOK.0;
                if !is_stopped {
                    // The database is away: it is asked again, beside the rest.
                    tokio::time::sleep(LOOK.0).await;
                }
            }
            let Some(live) = self.live.upgrade() else { break };
            match step {
                Step::Stop => {}
                Step::Leave => {
                    live.leave(self.app.clock.now());
                    break;
                }
                Step::News(BusEvent::Gap) => (again, ask_at) = (true, Instant::now()),
                Step::News(BusEvent::Message(message)) => match decode(&message) {
                    Some(TurnNews::Events { from, events }) => {
                        heard = Some(Instant::now());
                        let is_whole = live.last() + 1 >= from
                            && (from..).zip(events).all(|(number, told)| live.take(number, told.into()));
                        // Asked again at once, but not twice for what is on its way.
                        if !is_whole && !again {
                            (again, ask_at) = (true, Instant::now());
                        }
                    }
                    Some(TurnNews::Over) => look_at = Instant::now(),
                    None => {}
                },
                Step::Ask => {
                    self.ask(live.last() + 1, again).await;
                    (again, ask_at) = (false, Instant::now() + ASK_EVERY);
                }
                Step::Look => {
                    let before = live.last();
                    match self.app.db.turn_of_owner(self.answer_id, self.owner).await {
                        Ok(record) => {
                            seen = Instant::now();
                            if self.settle(&live, record) {
                                break;
                            }
                        }
                        Err(error) if seen.elapsed() > PATIENCE => {
                            tracing::warn!(%error, "a turn of another server cannot be followed any longer");
                            live.leave(self.app.clock.now());
                            break;
                        }
                        Err(_) => {}
                    }
                    wait = if live.last() > before { LOOK.0 } else { (wait * 2).min(LOOK.1) };
                    let is_heard = heard.is_some_and(|at| at.elapsed() < HEARD);
                    look_at = Instant::now() + if is_heard && !is_stopped { LOOK_SELDOM } else { wait };
                }
            }
        }
        self.app.turns.forget_mirror(self.answer_id);
    }

    async fn ask(&self, from: u64, again: bool) {
        if let Some(server) = self.server {
            let asked = encode(&ToServer::follow(self.answer_id, from, again));
            self.app.shared.bus.publish(&server_topic(server), asked).await;
        }
    }

    /// Asks the turn's server to stop it, through the database and over the bus. False when the database could not be told.
    async fn ask_to_stop(&self) -> bool {
        let requested = self.app.db.request_stop(self.answer_id, self.owner, self.app.clock.now()).await;
        if let Some(server) = self.server {
            self.app.shared.bus.publish(&server_topic(server), encode(&ToServer::stop(self.answer_id))).await;
        }
        requested.is_ok()
    }

    /// Takes over what is stored; true when the turn has ended.
    fn settle(&self, live: &LiveTurn, record: Option<TurnRecord>) -> bool {
        let Some(record) = record else {
            // Deleted.
            live.end(live.without_end(TurnState::Cancelled, self.app.clock.now()));
            return true;
        };
        take_over(live, &record);
        if record.state.is_final() {
            live.end(Ending::of(&record));
        }
        record.state.is_final()
    }
}

/// Takes over the events that are stored, as far as they follow each other.
fn take_over(live: &LiveTurn, record: &TurnRecord) {
    let answer = ChunkedText::from_stored(record.content.clone(), &record.chunk_ends);
    let beside = events_of(record.tool_calls.clone());
    let mut number = live.last() + 1;
    while let Some(Some(event @ (Event::Chunk { .. } | Event::ToolCall { .. } | Event::ToolResult { .. }))) =
        event_at(number, &record.requested_model, (&answer, &beside), None)
    {
        live.take(number, event);
        number += 1;
    }
}
