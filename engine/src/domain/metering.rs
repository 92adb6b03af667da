//! What metered calls are for.

/// What a line of the ledger is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LedgerKind {
    /// An answer in a conversation.
    Chat,
    /// An attempt at an answer that a provider took and did not bring to an end, before another one was asked.
    Retry,
    /// A conversation's title.
    Title,
    /// Looking whether a text may pass.
    Moderation,
    /// Making texts comparable.
    Embedding,
    /// A call of the OpenAI-compatible API.
    Gateway,
}

impl LedgerKind {
    /// The word that the database and the wire use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Retry => "retry",
            Self::Title => "title",
            Self::Moderation => "moderation",
            Self::Embedding => "embedding",
            Self::Gateway => "gateway",
        }
    }
}
