//! Messages: one row each, with its parent's id, so that edits and regenerations branch.

use super::{Attachments, ConversationId, Invalid, MessageId, Timestamp};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The instructions put before a conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool that the model called.
    Tool,
}

impl Role {
    /// The word that the database, the wire and the providers use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// The role of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::System, Self::User, Self::Assistant, Self::Tool].into_iter().find(|role| role.as_str() == word)
    }
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Where it stands.
    pub conversation_id: ConversationId,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// What goes with it.
    pub attachments: Attachments,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// A message that may be sent: neither empty nor overlong, and storable everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageText(String);

impl MessageText {
    /// `max_chars` is the longest message, in characters.
    ///
    /// # Errors
    /// When it is blank, longer than that, or holds a NUL (PostgreSQL stores none, so no database does).
    pub fn parse(text: String, max_chars: usize) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err(Invalid::new("message", "message must not be empty"));
        }
        if text.len() > max_chars && text.chars().count() > max_chars {
            return Err(Invalid::new("message", format!("message must have at most {max_chars} characters")));
        }
        if text.contains('\0') {
            return Err(Invalid::new("message", "message must not contain a NUL character"));
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a picture costs a model, in tokens, where nobody says: one tile of a large one at OpenAI
/// (<https://platform.openai.com/docs/guides/images-vision>).
pub const IMAGE_TOKENS: u64 = 765;

/// How many tokens a text will cost, for budgets and where a provider reports none: a quarter of its bytes, rounded up, which is
/// OpenAI's rule of thumb for English and near the truth for scripts of three bytes a character.
/// <https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them>
#[must_use]
pub const fn estimate_tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_neither_blank_nor_overlong_nor_unstorable() {
        assert!(MessageText::parse("Hello".into(), 5).is_ok());
        assert!(MessageText::parse("üüüüü".into(), 5).is_ok());
        assert!(MessageText::parse("Hello!".into(), 5).is_err());
        assert!(MessageText::parse(" \n".into(), 5).is_err());
        assert!(MessageText::parse("a\0b".into(), 5).is_err());
    }
}
