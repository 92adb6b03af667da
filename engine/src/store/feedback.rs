//! Feedback on answers.

use super::{Db, StoreError, Tx, conversations::conversation_of_owner, outbox::Happened, tx::params};
use crate::domain::{AccountId, ConversationId, Feedback, MessageId, Role, Timestamp};

/// What became of feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedbackOutcome {
    /// It stands.
    Done,
    /// The owner has no such conversation.
    NoConversation,
    /// The conversation has no such message.
    NoMessage,
    /// The message is no answer.
    NoAnswer,
}

impl Db {
    /// Stores what the owner of a conversation says of an answer in it, in place of what was said before; `None` takes it back.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_feedback_of_owner(
        &self,
        conversation: ConversationId,
        message: MessageId,
        owner: AccountId,
        feedback: Option<Feedback>,
        now: Timestamp,
    ) -> Result<FeedbackOutcome, StoreError> {
        let outbox = self.outbox();
        self.write(move |tx| {
            Box::pin(async move {
                if conversation_of_owner(tx, conversation, owner).await?.is_none() {
                    return Ok(FeedbackOutcome::NoConversation);
                }
                match role_in(tx, conversation, message).await? {
                    None => return Ok(FeedbackOutcome::NoMessage),
                    Some(Role::Assistant) => {}
                    Some(_) => return Ok(FeedbackOutcome::NoAnswer),
                }
                tx.execute("DELETE FROM feedback WHERE message_id = ?", params![message.get()]).await?;
                if let Some(feedback) = &feedback {
                    tx.execute(
                        "INSERT INTO feedback (message_id, account_id, rating, comment, updated_at) VALUES (?, ?, ?, ?, ?)",
                        params![
                            message.get(),
                            owner.get(),
                            feedback.rating.as_str(),
                            feedback.comment.as_ref(),
                            feedback.updated_at.micros()
                        ],
                    )
                    .await?;
                }
                let happened = Happened::FeedbackGiven {
                    account_id: owner.get(),
                    conversation_id: conversation.get(),
                    message_id: message.get(),
                    rating: feedback.as_ref().map(|feedback| feedback.rating.as_str().to_owned()),
                };
                outbox.tell(tx, &happened, now).await?;
                Ok(FeedbackOutcome::Done)
            })
        })
        .await
    }
}

async fn role_in(
    tx: &mut Tx<'_>,
    conversation: ConversationId,
    message: MessageId,
) -> Result<Option<Role>, StoreError> {
    tx.fetch_optional(
        "SELECT role FROM messages WHERE id = ? AND conversation_id = ?",
        params![message.get(), conversation.get()],
        |row| row.decode(0, "a role", |word: String| Role::from_word(&word)),
    )
    .await
}
