//! A conversation's messages: reading them branch by branch, choosing a branch, saying what one thinks of an answer.

use super::conversations::page_size;
use super::{App, AppError, Caller, Noun};
use crate::domain::{Comment, ConversationId, Feedback, Invalid, MessageId, Rating, Scope};
use crate::store::{FeedbackOutcome, Thread, ThreadMessage};

/// Some messages of a branch.
#[derive(Debug, Clone)]
pub struct ThreadPage {
    /// Oldest first.
    pub items: Vec<ThreadMessage>,
    /// The message before which older ones stand, when there are any.
    pub next: Option<MessageId>,
}

impl App {
    /// The newest `limit` (1 to 100) messages of the active branch of a conversation of the caller's; with `before`, those that stand before
    /// that message on its own branch. Fewer when they are long: a page holds 16 MiB of text at most.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Invalid`].
    pub async fn list_messages(
        &self,
        caller: &Caller,
        id: ConversationId,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<ThreadPage, AppError> {
        caller.allow(Scope::Read)?;
        let limit = page_size(limit)?;
        let mut items = match self.db.thread_of_owner(id, caller.id(), before, limit).await? {
            Thread::Messages(items) => items,
            refused => return Err(refusal(&refused)),
        };
        let next = items.last().filter(|oldest| oldest.parent_id.is_some()).map(|oldest| oldest.message.id);
        items.reverse();
        Ok(ThreadPage { items, next })
    }

    /// Makes the branch through that message the active one, down to its newest message, which is returned.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn switch_branch(
        &self,
        caller: &Caller,
        id: ConversationId,
        through: MessageId,
    ) -> Result<MessageId, AppError> {
        caller.allow(Scope::Chat)?;
        self.db.set_head_of_owner(id, caller.id(), through).await?.map_err(|refused| refusal(&refused))
    }

    /// Says whether an answer in a conversation of the caller's was good, in place of what was said before.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Invalid`].
    pub async fn rate_answer(
        &self,
        caller: &Caller,
        id: ConversationId,
        answer: MessageId,
        rating: Rating,
        comment: Option<&str>,
    ) -> Result<Feedback, AppError> {
        caller.allow(Scope::Chat)?;
        let comment = comment.map(Comment::parse).transpose()?.flatten().map(|comment| comment.as_str().to_owned());
        let feedback = Feedback { rating, comment, updated_at: self.clock.now() };
        self.set_feedback(caller, id, answer, Some(feedback.clone())).await?;
        Ok(feedback)
    }

    /// Takes back what was said of an answer; nothing, when nothing was.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Invalid`].
    pub async fn unrate_answer(&self, caller: &Caller, id: ConversationId, answer: MessageId) -> Result<(), AppError> {
        caller.allow(Scope::Chat)?;
        self.set_feedback(caller, id, answer, None).await
    }

    async fn set_feedback(
        &self,
        caller: &Caller,
        id: ConversationId,
        answer: MessageId,
        feedback: Option<Feedback>,
    ) -> Result<(), AppError> {
        match self.db.set_feedback_of_owner(id, answer, caller.id(), feedback, self.clock.now()).await? {
            FeedbackOutcome::Done => Ok(()),
            FeedbackOutcome::NoConversation => Err(AppError::NotFound(Noun::Conversation)),
            FeedbackOutcome::NoMessage => Err(AppError::NotFound(Noun::Message)),
            FeedbackOutcome::NoAnswer => Err(Invalid::new("message_id", "only answers can be rated").into()),
        }
    }
}

fn refusal(thread: &Thread) -> AppError {
    AppError::NotFound(match thread {
        Thread::NoConversation => Noun::Conversation,
        Thread::NoMessage | Thread::Messages(_) => Noun::Message,
    })
}
