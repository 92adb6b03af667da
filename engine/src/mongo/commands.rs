//! What is said to the server: commands of its protocol, each of which may be said again.
//! <https://www.mongodb.com/docs/manual/reference/command/update/>

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::{Change, EventDocument, EventValue};
use crate::domain::Timestamp;
use crate::store::FinishedTurn;

const TURNS: &str = "turns";
const EVENTS: &str = "events";
/// What is kept of a text, in bytes: a document has 16 MiB at most.
const TEXT_MAX: usize = 6 << 20;

/// A command, and which of the changes each of its statements is.
pub(super) struct Command {
    pub(super) document: Document,
    pub(super) places: Vec<usize>,
}

/// The changes as commands, in an order that gives what theirs gives.
pub(super) fn of(changes: &[Change]) -> Vec<Command> {
    let mut commands = Vec::new();
    let (mut turns, mut events) = (Puts::default(), Puts::default());
    for (place, change) in changes.iter().enumerate() {
        match change {
            Change::PutTurn(turn) => turns.push(place, turn_document(turn)),
            Change::PutEvent(event) => events.push(place, event_document(event)),
            Change::EraseConversation(id) => {
                commands.extend(turns.take(TURNS));
                commands.push(delete_turns(place, doc! { "conversation_id": *id }));
            }
            Change::EraseAccount(id) => {
                commands.extend(turns.take(TURNS));
                commands.extend(events.take(EVENTS));
                commands.push(delete_turns(place, doc! { "account_id": *id }));
                commands.push(forget_account(place, *id));
            }
        }
    }
    commands.extend(turns.take(TURNS));
    commands.extend(events.take(EVENTS));
    commands
}

/// What makes erasing quick.
pub(super) fn indexes() -> [Document; 2] {
    let index = |name: &str, key: Document| doc! { "key": key, "name": name };
    [
        doc! { "createIndexes": TURNS, "indexes": [
            index("account", doc! { "account_id": 1 }),
            index("conversation", doc! { "conversation_id": 1 }),
        ] },
        doc! { "createIndexes": EVENTS, "indexes": [
            index("account", doc! { "account_id": 1 }),
            index("time", doc! { "at": 1 }),
        ] },
    ]
}

/// Documents on their way into one collection.
#[derive(Default)]
struct Puts {
    statements: Vec<Bson>,
    places: Vec<usize>,
}

impl Puts {
    fn push(&mut self, place: usize, document: Document) {
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        self.statements.push(doc! { "q": { "_id": id }, "u": document, "upsert": true }.into());
        self.places.push(place);
    }

    fn take(&mut self, collection: &str) -> Option<Command> {
        let Self { statements, places } = std::mem::take(self);
        let command = doc! { "update": collection, "updates": statements, "ordered": false, "writeConcern": concern() };
        (!places.is_empty()).then_some(Command { document: command, places })
    }
}

fn delete_turns(place: usize, which: Document) -> Command {
    let statements = vec![doc! { "q": which, "limit": 0 }];
    let document = doc! { "delete": TURNS, "deletes": statements, "writeConcern": concern() };
    Command { document, places: vec![place] }
}

/// Events stay for their numbers; what ties them to a person, or to each other, goes.
fn forget_account(place: usize, account: i64) -> Command {
    let unset = doc! { "account_id": "", "conversation_id": "", "message_id": "", "turn_id": "" };
    let statements = vec![doc! { "q": { "account_id": account }, "u": { "$unset": unset }, "multi": true }];
    let document = doc! { "update": EVENTS, "updates": statements, "writeConcern": concern() };
    Command { document, places: vec![place] }
}

/// Kept when most members have it: the outbox forgets it then.
fn concern() -> Document {
    doc! { "w": "majority", "wtimeout": 20_000 }
}

fn time(at: Timestamp) -> Bson {
    DateTime::from_millis(at.micros().div_euclid(1_000)).into()
}

fn text(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

fn turn_document(turn: &FinishedTurn) -> Document {
    doc! {
        "_id": turn.turn_id,
        "account_id": turn.account_id,
        "conversation_id": turn.conversation_id,
        "question": { "message_id": turn.question_id, "content": text(&turn.question) },
        "answer": { "message_id": turn.answer_id, "content": text(&turn.answer) },
        "state": &turn.state,
        "finish_reason": turn.finish_reason.as_deref(),
        "error_code": turn.error_code.as_deref(),
        "requested_model": &turn.requested_model,
        "provider": turn.provider.as_deref(),
        "model": turn.model.as_deref(),
        "usage": {
            "prompt_tokens": turn.prompt_tokens,
            "completion_tokens": turn.completion_tokens,
            "total_tokens": turn.prompt_tokens + turn.completion_tokens,
            "is_estimated": turn.is_estimated,
        },
        "cost_micros": turn.cost_micros,
        "elapsed_ms": turn.elapsed_ms,
        "first_token_ms": turn.first_token_ms,
        "started_at": time(turn.started_at),
        "ended_at": turn.ended_at.map_or(Bson::Null, time),
    }
}

fn event_document(event: &EventDocument) -> Document {
    let mut document = doc! { "_id": &event.id, "event": event.event, "at": time(event.at) };
    for (name, value) in &event.fields {
        let value = match value {
            EventValue::Null => Bson::Null,
            EventValue::Int(value) => (*value).into(),
            EventValue::Bool(value) => (*value).into(),
            EventValue::Text(value) => value.as_str().into(),
        };
        document.insert(*name, value);
    }
    document
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn event(id: &str) -> Change {
        let fields = vec![("account_id", EventValue::Int(7)), ("rating", EventValue::Null)];
        let at = Timestamp::from_micros(1_999);
        Change::PutEvent(EventDocument { id: id.to_owned(), event: "feedback_given", at, fields })
    }

    #[test]
    fn what_is_erased_is_erased_after_what_was_written_before_it_and_before_what_comes_after() {
        let commands = of(&[event("a"), event("b"), Change::EraseAccount(7), event("c")]);
        let kinds: Vec<(&str, &[usize])> = commands
            .iter()
            .map(|command| (command.document.keys().next().unwrap().as_str(), command.places.as_slice()))
            .collect();
        assert_eq!(kinds, [("update", [0, 1].as_slice()), ("delete", &[2]), ("update", &[2]), ("update", &[3])]);
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn an_event_is_put_under_its_own_id() {
        let command = of(&[event("a")]).remove(0).document;
        let statement = command.get_array("updates").unwrap()[0].as_document().unwrap().clone();
        assert_eq!(statement.get_document("q").unwrap(), &doc! { "_id": "a" });
        assert!(statement.get_bool("upsert").unwrap());
        let document = statement.get_document("u").unwrap();
        assert_eq!(document.get_i64("account_id").unwrap(), 7);
        assert_eq!(document.get_datetime("at").unwrap().timestamp_millis(), 1);
        assert_eq!(document.get("rating"), Some(&Bson::Null));
    }
}
