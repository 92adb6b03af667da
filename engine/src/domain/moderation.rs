//! What can be blocked, and what can be made of it.

/// What was blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModerationSubject {
    /// What a person said.
    Message,
    /// What a model answered.
    Answer,
}

impl ModerationSubject {
    /// The word that the wire and the database use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Answer => "answer",
        }
    }

    /// The subject of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Message, Self::Answer].into_iter().find(|subject| subject.as_str() == word)
    }
}

/// What an admin made of something that was blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModerationState {
    /// Nobody has looked yet.
    Open,
    /// It was blocked rightly.
    Confirmed,
    /// It should have passed.
    Dismissed,
}

impl ModerationState {
    /// The word that the wire and the database use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::Dismissed => "dismissed",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Open, Self::Confirmed, Self::Dismissed].into_iter().find(|state| state.as_str() == word)
    }
}
