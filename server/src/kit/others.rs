//! What an account says by other ways than a socket: told on it in frames of types of their own, so that whoever does not know them is not
//! confused.

use std::collections::VecDeque;

use futures_util::future::select_all;
use parlor_engine::app::chat::{Event, Follower, TurnHandle};
use parlor_engine::app::{Caller, Elsewhere, Heard};
use parlor_engine::domain::{Message, MessageId};
use serde::Serialize;

use super::Context;
use super::events::WireEvent;

/// Answers that are followed at once, and that wait for it.
const FOLLOWED: usize = 4;
const WAITING: usize = 32;
/// Answers that were asked for on this socket and are remembered as such.
const OWN: usize = 64;

/// A message that was sent by another way.
#[derive(Serialize)]
struct MessageFrame {
    r#type: &'static str,
    seq: u64,
    conversation_id: String,
    /// The answer's id, which its frames name.
    answer_id: String,
    message: SentMessage,
}

#[derive(Serialize)]
struct SentMessage {
    id: String,
    role: &'static str,
    content: String,
    attachments: Vec<String>,
    created_at: String,
}

/// An event of an answer to such a message.
#[derive(Serialize)]
struct AnswerFrame<'a> {
    r#type: &'static str,
    seq: u64,
    conversation_id: String,
    message_id: String,
    event: Typed<'a>,
}

#[derive(Serialize)]
struct Typed<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    event: &'a WireEvent,
}

#[derive(Serialize)]
struct MissedFrame {
    r#type: &'static str,
    seq: u64,
}

/// What the account says by other ways than this socket.
pub struct Others {
    ear: Option<Elsewhere>,
    /// The answers that are followed, and those that wait for it.
    followed: Vec<(TurnHandle, Follower)>,
    waiting: VecDeque<TurnHandle>,
    /// The newest answers that were asked for here.
    own: VecDeque<MessageId>,
}

/// Something that was said.
pub enum Other {
    /// A message, or that some may have been missed.
    Heard(Heard),
    /// An event of the answer that is followed at that place; `None` after its last.
    Event(usize, Option<(u64, Event)>),
}

impl Others {
    /// What is said from now on in the caller's account; nothing for a socket that does not want to hear.
    pub async fn new(context: &Context, caller: &Caller, hears: bool) -> Self {
        let ear = if hears { context.app.listen_elsewhere(caller).await } else { None };
        Self { ear, followed: Vec::new(), waiting: VecDeque::new(), own: VecDeque::new() }
    }

    /// Notes that an answer was asked for here, and is shown as such.
    pub fn note_own(&mut self, id: MessageId) {
        if self.own.len() == OWN {
            self.own.pop_front();
        }
        self.own.push_back(id);
    }

    /// Waits for the next. Safe to drop half-way.
    pub async fn next(&mut self) -> Other {
        let Self { ear, followed, .. } = self;
        let heard = async {
            match ear {
                Some(ear) => ear.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            heard = heard => Other::Heard(heard),
            (index, event) = next_of(followed) => Other::Event(index, event),
        }
    }

    /// The frame that tells of it, when there is something to tell.
    pub async fn frame(&mut self, context: &Context, caller: &Caller, other: Other) -> Option<String> {
        match other {
            Other::Heard(Heard::Missed) => written(&MissedFrame { r#type: "missed", seq: 0 }),
            Other::Heard(Heard::Sent(answer)) if self.own.contains(&answer) => None,
            Other::Heard(Heard::Sent(answer)) => {
                // Deleted since, or the database is away: the history has it.
                let (message, turn) = context.app.sent_elsewhere(caller, answer).await.ok()?;
                let frame = MessageFrame::new(message, &turn);
                self.follow(turn);
                written(&frame)
            }
            Other::Event(index, event) => self.event(index, event),
        }
    }

    /// Follows a turn, or has it wait; what is too much is left to the history.
    fn follow(&mut self, turn: TurnHandle) {
        if self.followed.len() < FOLLOWED {
            let follower = turn.follow(0);
            self.followed.push((turn, follower));
        } else if self.waiting.len() < WAITING {
            self.waiting.push_back(turn);
        }
    }

    fn event(&mut self, index: usize, event: Option<(u64, Event)>) -> Option<String> {
        let (turn, follower) = self.followed.remove(index);
        let Some((seq, event)) = event else {
            if let Some(next) = self.waiting.pop_front() {
                self.follow(next);
            }
            return None;
        };
        let event = WireEvent::of(&turn, event);
        let frame = AnswerFrame {
            r#type: "answer",
            seq,
            conversation_id: turn.conversation_id.to_string(),
            message_id: turn.message_id.to_string(),
            event: Typed { r#type: event.name(), event: &event },
        };
        // At the end, so that each has its turn.
        self.followed.push((turn, follower));
        written(&frame)
    }
}

/// The next event of those that are followed, and whose it is.
async fn next_of(followed: &mut [(TurnHandle, Follower)]) -> (usize, Option<(u64, Event)>) {
    if followed.is_empty() {
        return std::future::pending().await;
    }
    let (event, index, _) = select_all(followed.iter_mut().map(|(_, follower)| Box::pin(follower.next()))).await;
    (index, event)
}

impl MessageFrame {
    fn new(message: Message, turn: &TurnHandle) -> Self {
        Self {
            r#type: "message",
            seq: 0,
            conversation_id: turn.conversation_id.to_string(),
            answer_id: turn.message_id.to_string(),
            message: SentMessage {
                id: message.id.to_string(),
                role: message.role.as_str(),
                content: message.content,
                attachments: message.attachments.into_inner(),
                created_at: message.created_at.rfc3339(),
            },
        }
    }
}

fn written(frame: &impl Serialize) -> Option<String> {
    serde_json::to_string(frame).ok()
}
