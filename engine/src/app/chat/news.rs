//! What servers tell each other about turns, over the bus. It is never the only word: what got lost is found in the database.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::follow::Event;
use crate::domain::{AccountId, ConversationId, MessageId, ServerId};

/// The topic that all servers hear.
pub(super) const SERVERS: &str = "servers";

/// The topic of one server: for questions about its turns.
pub(super) fn server_topic(id: ServerId) -> String {
    format!("server/{id}")
}

/// The topic of one turn of that server's: what it says, while somebody elsewhere follows it. With the server, which is unique, so that
/// installations that share a Redis by mistake do not take each other's turns for their own.
pub(super) fn turn_topic(server: ServerId, answer_id: MessageId) -> String {
    format!("turn/{server}/{answer_id}")
}

/// What a server is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToServer {
    /// Somebody follows that answer elsewhere and has the events before `from`; with `again` because some got lost, else as a sign of life.
    Follow { answer: i64, from: u64, again: bool },
    /// Somebody stopped that answer.
    Stop { answer: i64 },
    /// That conversation was deleted.
    ConversationGone { conversation: i64 },
    /// That account was deleted.
    AccountGone { account: i64 },
}

impl ToServer {
    pub(super) fn follow(answer: MessageId, from: u64, again: bool) -> Self {
        Self::Follow { answer: answer.get(), from, again }
    }

    pub(super) fn stop(answer: MessageId) -> Self {
        Self::Stop { answer: answer.get() }
    }

    pub(super) fn conversation_gone(id: ConversationId) -> Self {
        Self::ConversationGone { conversation: id.get() }
    }

    pub(super) fn account_gone(id: AccountId) -> Self {
        Self::AccountGone { account: id.get() }
    }
}

/// What a turn's followers elsewhere are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum TurnNews {
    /// Its events from number `from` on; none as a sign of life.
    Events { from: u64, events: Vec<Told> },
    /// It runs here no more: the database knows how it ended.
    Over,
}

/// An event that is neither the first nor the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told {
    Chunk { content: String },
    ToolCall { id: String, name: String, arguments: String },
    ToolResult { id: String, name: String, ok: bool, content: String },
}

impl Told {
    /// `None` for the first event and the last, which every server makes for itself of what is stored.
    pub(super) fn of(event: Event) -> Option<Self> {
        match event {
            Event::Chunk { content } => Some(Self::Chunk { content }),
            Event::ToolCall { id, name, arguments } => Some(Self::ToolCall { id, name, arguments }),
            Event::ToolResult { id, name, ok, content } => Some(Self::ToolResult { id, name, ok, content }),
            Event::Start { .. } | Event::End(_) => None,
        }
    }

    /// How long it is on the bus, about.
    pub(super) fn weight(&self) -> usize {
        32 + match self {
            Self::Chunk { content } => content.len(),
            Self::ToolCall { id, name, arguments } => id.len() + name.len() + arguments.len(),
            Self::ToolResult { id, name, content, .. } => id.len() + name.len() + content.len(),
        }
    }
}

impl From<Told> for Event {
    fn from(told: Told) -> Self {
        match told {
            Told::Chunk { content } => Self::Chunk { content },
            Told::ToolCall { id, name, arguments } => Self::ToolCall { id, name, arguments },
            Told::ToolResult { id, name, ok, content } => Self::ToolResult { id, name, ok, content },
        }
    }
}

/// What is said, as it goes over the bus.
pub(super) fn encode(news: &impl Serialize) -> Bytes {
    serde_json::to_vec(news).unwrap_or_default().into()
}

/// What was said; `None` for what another version says.
pub(super) fn decode<T: DeserializeOwned>(message: &Bytes) -> Option<T> {
    serde_json::from_slice(message).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_what_is_not_is_left() {
        let events = vec![
            Told::Chunk { content: "a \"quote\"\n".to_owned() },
            Told::ToolCall { id: "1".to_owned(), name: "n".to_owned(), arguments: "{}".to_owned() },
            Told::ToolResult { id: "1".to_owned(), name: "n".to_owned(), ok: true, content: String::new() },
        ];
        let news = TurnNews::Events { from: 7, events };
        assert_eq!(decode::<TurnNews>(&encode(&news)), Some(news));
        let asked = ToServer::follow(MessageId::new(3).unwrap(), 9, true);
        assert_eq!(decode::<ToServer>(&encode(&asked)), Some(asked));
        assert_eq!(decode::<ToServer>(&Bytes::from_static(b"{\"type\":\"dance\"}")), None);
    }
}
