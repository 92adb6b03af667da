//! Moderation around a turn: of the message before anything of it is stored, and of the whole answer before anybody reads it.

use super::begin::{SendMessage, fingerprint};
use super::follow::TurnHandle;
use super::live::Stop;
use super::run::Run;
use crate::app::moderation::Subject;
use crate::app::{App, AppError, Caller};
use crate::domain::{Attachments, ModerationSubject};
use crate::store::Branch;

/// What becomes of a whole answer.
pub(super) enum Screened {
    /// It may be read.
    Passed,
    /// It was blocked.
    Withheld,
    /// Nobody could judge it, and the settings let nothing through then.
    Unknown,
    /// The turn was stopped meanwhile.
    Stopped(Stop),
}

impl App {
    /// Judges a message that is about to be sent. A key that stands for a turn or for a refusal gives that again, and nothing is judged.
    pub(super) async fn screen(
        &self,
        caller: &Caller,
        message: &SendMessage,
        branch: Branch,
        (text, attachments): (&str, &Attachments),
    ) -> Result<Option<TurnHandle>, AppError> {
        if !self.moderator.is_on() || matches!(branch, Branch::Regenerate(_)) {
            return Ok(None);
        }
        if let Some(turn) = self.replayed(caller, message, branch).await? {
            return Ok(Some(turn));
        }
        let now = self.clock.now();
        let key = message.idempotency_key.clone().map(|key| (key, fingerprint(message, branch)));
        if let Some((key, fingerprint)) = key.clone() {
            match self.db.blocked_under_key(caller.id(), key, fingerprint, now).await? {
                Some(true) => return Err(AppError::Blocked),
                Some(false) => return Err(AppError::KeyReused),
                None => {}
            }
        }
        let expires_at = now.plus(self.settings.chat.idempotency_ttl);
        self.judge(Subject {
            account_id: caller.id(),
            text: &attachments.beneath(text),
            is: ModerationSubject::Message,
            conversation_id: message.conversation_id,
            message_id: None,
            idempotency: key.map(|(key, fingerprint)| (key, fingerprint, expires_at)),
        })
        .await?;
        Ok(None)
    }
}

impl Run {
    /// Judges a piece of an answer that was asked for in one piece. One that is read as it is written cannot be taken back.
    pub(super) async fn screen(&self, text: &str) -> Screened {
        if self.stream || !self.app.settings.moderation.answers {
            return Screened::Passed;
        }
        let ids = self.live.ids;
        let judging = self.app.judge(Subject {
            account_id: self.live.owner,
            text,
            is: ModerationSubject::Answer,
            conversation_id: Some(ids.conversation_id),
            message_id: Some(ids.answer_id),
            idempotency: None,
        });
        let judged = tokio::select! {
            biased;
            stop = self.live.stopped() => return Screened::Stopped(stop),
            judged = judging => judged,
        };
        match judged {
            Ok(()) => Screened::Passed,
            Err(AppError::Blocked) => Screened::Withheld,
            Err(AppError::ModerationDown) => Screened::Unknown,
            Err(error) => {
                tracing::error!(%error, turn = %ids.turn_id, "judging an answer failed");
                Screened::Unknown
            }
        }
    }
}
