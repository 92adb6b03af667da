//! Sending a message: it is checked, stored with its pending answer, and set running.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::follow::TurnHandle;
use super::run::{CONTEXT_MESSAGES, Run};
use crate::app::conversations::DRAWS;
use crate::app::metering::{Payer, exceeded};
use crate::app::{App, AppError, Caller, Noun};
use crate::domain::{
    Attachments, ConversationId, IdempotencyKey, Invalid, Language, MessageId, MessageText, Preferences, Scope,
    Timestamp, TokenUsage, estimate_tokens,
};
use crate::providers::Attempts;
use crate::store::{Begun, Branch, NewTurn, SIBLINGS_MAX, StoreError, TurnQuota};

/// A message to send.
#[derive(Debug, Clone)]
pub struct SendMessage {
    /// The conversation to continue; `None` begins one.
    pub conversation_id: Option<ConversationId>,
    /// What the person says.
    pub text: String,
    /// What goes with it: ids or addresses of its sender's files, and addresses on the web.
    pub attachments: Vec<String>,
    /// The client's own name for it, where its surface has one.
    pub client_id: Option<String>,
    /// The model to ask; `None` for the one that the person prefers, else the settings' own.
    pub model: Option<String>,
    /// The language to answer in, as a tag of BCP 47; `None` for the one that the person prefers, else the model's choice.
    pub language: Option<Language>,
    /// The same key from the same account sends the message once.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Whether the surface shows the answer as it is written. Where it does not, the provider is asked for the whole answer at once.
    pub stream: bool,
    /// What the answer is when no provider gives one.
    pub on_failure: OnFailure,
}

/// An answer to give again, beside the one that was given.
#[derive(Debug, Clone)]
pub struct Regenerate {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The answer that shall get a sibling.
    pub message_id: MessageId,
    /// The model to ask; `None` for the settings' own.
    pub model: Option<String>,
    /// As for a message.
    pub idempotency_key: Option<IdempotencyKey>,
    /// As for a message.
    pub stream: bool,
}

/// A message of the person's to say differently, beside the one that was said.
#[derive(Debug, Clone)]
pub struct EditMessage {
    /// The message that shall get a sibling.
    pub message_id: MessageId,
    /// The rest, as for a message; its conversation is that of the message.
    pub message: SendMessage,
}

/// What becomes of a turn that no provider answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It fails, and has no answer.
    Fail,
    /// It fails, and this text stands in for the answer.
    Fallback(&'static str),
}

impl App {
    /// Sends a message. When this returns, it is stored, and its answer comes whether or not anybody stays to read it.
    ///
    /// # Errors
    /// [`AppError::Invalid`], [`AppError::NotFound`] for a conversation or a file that is not the caller's, [`AppError::KeyReused`],
    /// [`AppError::Forbidden`] for an API key without the scope, [`AppError::QuotaExceeded`], [`AppError::Blocked`],
    /// [`AppError::ModerationDown`], [`AppError::Overloaded`] and [`AppError::ShuttingDown`].
    pub async fn send_message(&self, caller: &Caller, message: SendMessage) -> Result<TurnHandle, AppError> {
        self.start(caller, message, Branch::Head).await
    }

    /// Gives another answer to what an answer answers. The new one stands beside the old one, and the active branch ends in it. When this
    /// returns, it is stored, and comes whether or not anybody stays to read it.
    ///
    /// # Errors
    /// As [`App::send_message`]; [`AppError::NotFound`] also for a message that is not in the conversation, [`AppError::Invalid`] for one
    /// that is no answer, or has too many versions.
    pub async fn regenerate(&self, caller: &Caller, again: Regenerate) -> Result<TurnHandle, AppError> {
        let message = SendMessage {
            conversation_id: Some(again.conversation_id),
            text: String::new(),
            attachments: Vec::new(),
            client_id: None,
            model: again.model,
            language: None,
            idempotency_key: again.idempotency_key,
            stream: again.stream,
            on_failure: OnFailure::Fail,
        };
        self.start(caller, message, Branch::Regenerate(again.message_id)).await
    }

    /// Says a message of the person's differently. The new one stands beside the old one with an answer of its own, in which the active
    /// branch ends; what followed the old one stays on its branch.
    ///
    /// # Errors
    /// As [`App::regenerate`], but for messages that are not the person's.
    pub async fn edit_message(&self, caller: &Caller, edit: EditMessage) -> Result<TurnHandle, AppError> {
        if edit.message.conversation_id.is_none() {
            return Err(AppError::NotFound(Noun::Conversation));
        }
        self.start(caller, edit.message, Branch::Edit(edit.message_id)).await
    }

    /// The one way in which turns begin.
    async fn start(&self, caller: &Caller, message: SendMessage, branch: Branch) -> Result<TurnHandle, AppError> {
        caller.allow(Scope::Chat)?;
        let checked = self.checked(&message, branch).and_then(|checked| Ok((checked, self.turns.take_place()?)));
        let (checked, place) = match checked {
            Ok(accepted) => accepted,
            // No room for another turn, or a model offered no more, is no reason to keep somebody from the turn that they began.
            Err(refused) => return self.replayed(caller, &message, branch).await?.ok_or(refused),
        };
        let (app, caller) = (self.clone(), caller.clone());
        // On its own task: a client that leaves half-way leaves no stored message without a running turn.
        let begun = self.tasks.spawn(async move {
            match app.screen(&caller, &message, branch, (&checked.text, &checked.attachments)).await? {
                Some(turn) => Ok(turn),
                None => app.begin(&caller, &message, branch, checked, place).await,
            }
        });
        begun.await.map_err(|error| AppError::Internal(format!("beginning a turn: {error}")))?
    }

    /// Says what [`App::send_message`] would refuse whoever sends the message; stores nothing. For surfaces on which sending a message makes
    /// its sender, so that a refused message makes nobody.
    ///
    /// # Errors
    /// As [`App::send_message`], but for what depends on the sender.
    pub fn check_message(&self, message: &SendMessage) -> Result<(), AppError> {
        self.checked(message, Branch::Head)?;
        self.turns.take_place().map(drop)
    }

    fn checked(&self, message: &SendMessage, branch: Branch) -> Result<Checked, AppError> {
        if self.is_shutting_down() {
            return Err(AppError::ShuttingDown);
        }
        let text = match branch {
            Branch::Regenerate(_) => String::new(),
            Branch::Head | Branch::Edit(_) => {
                MessageText::parse(message.text.clone(), self.settings.chat.message_max_chars)?.as_str().to_owned()
            }
        };
        let attachments = Attachments::parse(message.attachments.clone(), &self.settings.server.public_url)?;
        Ok(Checked { text, attachments, model: self.allowed_model(message.model.as_deref())? })
    }

    /// The turn that the message's key has begun already, if it has.
    pub(super) async fn replayed(
        &self,
        caller: &Caller,
        message: &SendMessage,
        branch: Branch,
    ) -> Result<Option<TurnHandle>, AppError> {
        let Some(key) = message.idempotency_key.clone() else { return Ok(None) };
        match self.db.replayed_turn(caller.id(), key, fingerprint(message, branch), self.clock.now()).await? {
            Some(Begun::Replayed(answer_id)) => self.attach(caller, answer_id, true).await.map(Some),
            Some(Begun::KeyReused) => Err(AppError::KeyReused),
            Some(Begun::NoConversation) => Err(AppError::NotFound(Noun::Conversation)),
            Some(_) | None => Ok(None),
        }
    }

    async fn begin(
        &self,
        caller: &Caller,
        message: &SendMessage,
        branch: Branch,
        checked: Checked,
        place: OwnedSemaphorePermit,
    ) -> Result<TurnHandle, AppError> {
        let fingerprint = fingerprint(message, branch);
        let model = self.model_for(caller, message, &checked);
        let Checked { text, attachments, .. } = checked;
        let mut preferences = caller.account().preferences.clone();
        if let Some(language) = &message.language {
            preferences.language = Some(language.as_str().to_owned());
        }
        let payer = self.payer(caller);
        for _ in 0..DRAWS {
            let now = self.clock.now();
            let quota = self.turn_quota(&payer, &preferences, (&text, &attachments), &model, now)?;
            let new = NewTurn {
                account_id: caller.id(),
                conversation_id: message.conversation_id,
                branch,
                new_conversation_id: ConversationId::random(&mut rand::rng()),
                text: text.clone(),
                attachments: attachments.clone(),
                client_id: message.client_id.clone(),
                model: model.clone(),
                idempotency: message.idempotency_key.clone().map(|key| (key, fingerprint.clone())),
                key_expires_at: now.plus(self.settings.chat.idempotency_ttl),
                quota,
                now,
            };
            match self.db.begin_turn(new).await {
                // The drawn id, or on a database with many writers the key, was taken meanwhile.
                Err(StoreError::Duplicate) => {}
                Err(error) => return Err(error.into()),
                Ok(Begun::NoConversation) => return Err(AppError::NotFound(Noun::Conversation)),
                Ok(Begun::NoFile) => return Err(AppError::NotFound(Noun::File)),
                Ok(Begun::NoMessage) => return Err(AppError::NotFound(Noun::Message)),
                Ok(Begun::WrongRole) => {
                    let problem =
                        "a message of one's own can be edited, an answer regenerated; not the other way round";
                    return Err(Invalid::new("message_id", problem).into());
                }
                Ok(Begun::TooManySiblings) => {
                    let problem = format!("this message has {SIBLINGS_MAX} versions already");
                    return Err(Invalid::new("message_id", problem).into());
                }
                Ok(Begun::OverQuota(over)) => return Err(exceeded(&over, now)),
                Ok(Begun::KeyReused) => return Err(AppError::KeyReused),
                Ok(Begun::Replayed(answer_id)) => return self.attach(caller, answer_id, true).await,
                Ok(Begun::Opened(ids)) => {
                    let live = self.turns.insert(ids, caller.id(), model);
                    self.announce(caller.id(), ids.answer_id);
                    let run = Run {
                        app: self.clone(),
                        live: live.clone(),
                        text,
                        attachments,
                        payer,
                        attempts: Attempts::default(),
                        asked: OnceLock::new(),
                        preferences,
                        stream: message.stream,
                        on_failure: message.on_failure,
                        began: now,
                        place,
                    };
                    self.tasks.spawn(run.execute());
                    return Ok(TurnHandle::live(live, caller, false));
                }
            }
        }
        Err(AppError::Internal("no free conversation id was drawn".to_owned()))
    }

    /// What the turn is to take of its sender's quotas, but for the thread that it continues; `None` where none hold.
    fn turn_quota(
        &self,
        payer: &Payer,
        preferences: &Preferences,
        (text, attachments): (&str, &Attachments),
        model: &str,
        now: Timestamp,
    ) -> Result<Option<TurnQuota>, AppError> {
        if !payer.has_quotas() {
            return Ok(None);
        }
        let chat = &self.settings.chat;
        let own = estimate_tokens(&attachments.beneath(text));
        let prompt_tokens = own.saturating_add(estimate_tokens(&preferences.instructions(&chat.system_prompt)));
        let most = u64::from(preferences.max_tokens.unwrap_or(chat.max_tokens));
        let reservation = self.reservation(payer, model, TokenUsage::new(prompt_tokens, most), now)?;
        let room = i64::from(chat.context_tokens).saturating_sub(i64::try_from(own).unwrap_or(i64::MAX)).max(0);
        Ok(reservation.map(|reservation| TurnQuota { reservation, context: (room, CONTEXT_MESSAGES - 1) }))
    }

    /// The model that shall answer: the one that the message names, else the one that its sender prefers, while that is still offered.
    fn model_for(&self, caller: &Caller, message: &SendMessage, checked: &Checked) -> String {
        if message.model.as_deref().is_some_and(|named| !named.trim().is_empty()) {
            return checked.model.clone();
        }
        let preferred = caller.account().preferences.model.as_deref();
        self.allowed_model(preferred).unwrap_or_else(|_| checked.model.clone())
    }
}

/// What is right with a message, whoever sends it.
struct Checked {
    text: String,
    attachments: Attachments,
    /// The model that it names, else the settings' own.
    model: String,
}

/// What an idempotency key stands for: everything that the request says, each part with its length before it. What the server's settings say
/// and what its sender prefers is no part of it: they may change between two tries.
pub(super) fn fingerprint(message: &SendMessage, branch: Branch) -> String {
    let conversation = message.conversation_id.map(|id| id.to_string()).unwrap_or_default();
    let model = message.model.as_deref().map(str::trim).unwrap_or_default();
    let mut hash = Sha256::new();
    let language = message.language.as_ref().map(Language::as_str);
    let branch = match branch {
        Branch::Head => None,
        Branch::Edit(id) => Some(format!("edit {id}")),
        Branch::Regenerate(id) => Some(format!("regenerate {id}")),
    };
    // What is not there leaves the older keys as they were. An address is never taken for a tag, nor a tag for a branch, which has a space.
    let parts = [conversation.as_str(), message.text.as_str(), model].into_iter();
    let addresses = message.attachments.iter().map(String::as_str);
    for part in parts.chain(addresses).chain(language).chain(branch.as_deref()) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
