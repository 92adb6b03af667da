//! What people think of answers.

use super::{Invalid, Timestamp};

/// The longest comment, in characters.
const COMMENT_CHARS: usize = 2_000;

/// Whether an answer was good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rating {
    /// It was.
    Up,
    /// It was not.
    Down,
}

impl Rating {
    /// The word that the database and the wire use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// The rating of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Up, Self::Down].into_iter().find(|rating| rating.as_str() == word)
    }
}

/// What somebody says about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment(String);

impl Comment {
    /// Takes the text without the spaces around it; nothing when nothing is left.
    ///
    /// # Errors
    /// When it has more than 2,000 characters, or holds a NUL.
    pub fn parse(text: &str) -> Result<Option<Self>, Invalid> {
        let text = text.trim();
        if text.chars().count() > COMMENT_CHARS || text.contains('\0') {
            return Err(Invalid::new("comment", format!("comment must have at most {COMMENT_CHARS} characters")));
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One person's word on one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// Good or not.
    pub rating: Rating,
    /// Why.
    pub comment: Option<String>,
    /// When it was given.
    pub updated_at: Timestamp,
}
