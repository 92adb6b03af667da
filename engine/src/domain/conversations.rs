//! Conversations and the short texts that stand for them in lists.

use super::{AccountId, ConversationId, Invalid, MessageId, Timestamp};

/// A conversation's title, in characters at most: what `conversation_store.chat_name` holds.
pub const TITLE_CHARS: usize = 60;
/// The piece of the last message kept with its conversation, in characters at most, so that lists never read messages.
pub const PREVIEW_CHARS: usize = 500;

/// A row of `conversations`, without its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Made from the first message, unless its owner or a model gave another.
    pub title: Option<String>,
    /// The beginning of the newest message.
    pub last_message: Option<String>,
    /// How many messages it holds, on all of its branches.
    pub message_count: i64,
    /// Whether it stands before the others in lists.
    pub is_pinned: bool,
    /// Whether it is kept out of the usual list.
    pub is_archived: bool,
    /// The last message of its active branch.
    pub head: Option<MessageId>,
    /// When it began.
    pub created_at: Timestamp,
    /// When its newest message came.
    pub updated_at: Timestamp,
}

/// A title that an owner gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// Takes the text without the spaces around it.
    ///
    /// # Errors
    /// When it has not 1 to [`TITLE_CHARS`] characters, or holds a control character.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > TITLE_CHARS || text.chars().any(char::is_control) {
            let problem = format!("title must have 1 to {TITLE_CHARS} characters, and no control characters");
            return Err(Invalid::new("title", problem));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A title out of the first message: its first line's words, cut at a word's end.
#[must_use]
pub fn title_of(text: &str) -> String {
    let mut title = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let wanted = word.chars().count() + usize::from(length > 0);
        if length + wanted > TITLE_CHARS {
            break;
        }
        if length > 0 {
            title.push(' ');
        }
        title.push_str(word);
        length += wanted;
    }
    if title.is_empty() {
        title = text.trim().chars().take(TITLE_CHARS).collect();
    }
    title
}

/// The beginning of a message, for lists.
#[must_use]
pub fn preview_of(text: &str) -> &str {
    match text.char_indices().nth(PREVIEW_CHARS) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_ends_at_a_word_and_has_at_most_sixty_characters() {
        assert_eq!(title_of("  Hello,\n how are you?  "), "Hello, how are you?");
        assert_eq!(title_of(&"word ".repeat(40)), "word ".repeat(12).trim_end());
        assert_eq!(title_of(&"x".repeat(100)).chars().count(), TITLE_CHARS);
    }

    #[test]
    fn a_preview_is_cut_between_characters() {
        assert_eq!(preview_of("short"), "short");
        assert_eq!(preview_of(&"ü".repeat(600)).chars().count(), PREVIEW_CHARS);
    }
}
