//! What moderation blocked, and what admins made of it.

use super::{Db, Row, StoreError, Tx, outbox::Happened, tx::params};
use crate::domain::{
    AccountId, ConversationId, IdempotencyKey, MessageId, ModerationState, ModerationSubject, Timestamp,
};

/// Something that was blocked.
#[derive(Debug, Clone)]
pub struct NewModerationEvent {
    /// Who said it, or whom it was an answer to.
    pub account_id: AccountId,
    /// What it is.
    pub subject: ModerationSubject,
    /// Its conversation, where it has one.
    pub conversation_id: Option<ConversationId>,
    /// An answer's message, which holds a refusal in its stead.
    pub message_id: Option<MessageId>,
    /// The text.
    pub content: String,
    /// Who found something in it.
    pub source: &'static str,
    /// What.
    pub category: String,
    /// The caller's key, the hash of what it stands for, and when it stops protecting.
    pub idempotency: Option<(IdempotencyKey, String, Timestamp)>,
    /// Now.
    pub now: Timestamp,
}

/// Something that was blocked, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModerationEvent {
    /// Its id; they count up.
    pub id: i64,
    /// Who said it, or whom it was an answer to.
    pub account_id: i64,
    /// What it is.
    pub subject: ModerationSubject,
    /// Its conversation, where it has one.
    pub conversation_id: Option<i64>,
    /// An answer's message.
    pub message_id: Option<i64>,
    /// The text.
    pub content: String,
    /// Who found something in it.
    pub source: String,
    /// What.
    pub category: String,
    /// What an admin made of it.
    pub state: ModerationState,
    /// When it was blocked.
    pub created_at: Timestamp,
    /// The admin.
    pub reviewed_by: Option<i64>,
    /// When that was.
    pub reviewed_at: Option<Timestamp>,
}

/// Which to list.
#[derive(Debug, Clone, Copy)]
pub struct ListModerationEvents {
    /// In this state alone.
    pub state: Option<ModerationState>,
    /// Older than this one.
    pub before: Option<i64>,
    /// How many.
    pub limit: i64,
}

/// The query for events, with what follows it.
macro_rules! events {
    ($rest:literal) => {
        concat!(
            "SELECT id, account_id, subject, conversation_id, message_id, content, source, category, state, created_at, reviewed_by, \
             reviewed_at FROM moderation_events ",
            $rest
        )
    };
}

impl Db {
    /// Keeps what was blocked. Under a key that has blocked the same already, nothing is kept again.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_moderation_event(&self, new: NewModerationEvent) -> Result<(), StoreError> {
        let outbox = self.outbox();
        let inserted = self.write(move |tx| {
            Box::pin(async move {
                insert(tx, &new).await?;
                let happened = Happened::MessageBlocked {
                    account_id: new.account_id.get(),
                    conversation_id: new.conversation_id.map(ConversationId::get),
                    subject: new.subject.as_str().to_owned(),
                    source: new.source.to_owned(),
                    category: new.category.clone(),
                };
                outbox.tell(tx, &happened, new.now).await
            })
        });
        let inserted = inserted.await;
        match inserted {
            // The same request came twice at once.
            Err(StoreError::Duplicate) => Ok(()),
            other => other,
        }
    }

    /// Whether that key has had a message of that owner's blocked: `Some(true)` this very one, `Some(false)` another.
    ///
    /// # Errors
    /// What the database says.
    pub async fn blocked_under_key(
        &self,
        owner: AccountId,
        key: IdempotencyKey,
        fingerprint: String,
        now: Timestamp,
    ) -> Result<Option<bool>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let known = tx
                    .fetch_optional(
                        "SELECT fingerprint FROM moderation_events WHERE account_id = ? AND idempotency_key = ? AND key_expires_at > ?",
                        params![owner.get(), key.as_str(), now.micros()],
                        |row| row.get::<String>(0),
                    )
                    .await?;
                Ok(known.map(|known| known == fingerprint))
            })
        })
        .await
    }

    /// What was blocked, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_moderation_events(&self, list: ListModerationEvents) -> Result<Vec<ModerationEvent>, StoreError> {
        let before = list.before.unwrap_or(i64::MAX);
        self.read(move |tx| {
            Box::pin(async move {
                match list.state {
                    Some(state) => {
                        tx.fetch(
                            events!("WHERE state = ? AND id < ? ORDER BY id DESC LIMIT ?"),
                            params![state.as_str(), before, list.limit],
                            event,
                        )
                        .await
                    }
                    None => {
                        tx.fetch(events!("WHERE id < ? ORDER BY id DESC LIMIT ?"), params![before, list.limit], event)
                            .await
                    }
                }
            })
        })
        .await
    }

    /// What was blocked of that owner's, oldest first: `limit` of those after `after`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn moderation_events_of_owner(
        &self,
        owner: AccountId,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<ModerationEvent>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let sql = events!("WHERE account_id = ? AND id > ? ORDER BY id LIMIT ?");
                tx.fetch(sql, params![owner.get(), after.unwrap_or(0), limit], event).await
            })
        })
        .await
    }

    /// Stores what an admin makes of it; `None` when there is no such event.
    ///
    /// # Errors
    /// What the database says.
    pub async fn review_moderation_event(
        &self,
        id: i64,
        verdict: ModerationState,
        by: AccountId,
        now: Timestamp,
    ) -> Result<Option<ModerationEvent>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute(
                    "UPDATE moderation_events SET state = ?, reviewed_by = ?, reviewed_at = ? WHERE id = ?",
                    params![verdict.as_str(), by.get(), now.micros(), id],
                )
                .await?;
                tx.fetch_optional(events!("WHERE id = ?"), params![id], event).await
            })
        })
        .await
    }

    /// Removes up to `limit` of what was blocked before `until`. Returns how many went.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_moderation_events(&self, until: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute(
                    "DELETE FROM moderation_events WHERE id IN (SELECT id FROM (SELECT id FROM moderation_events \
                     WHERE created_at <= ? ORDER BY created_at LIMIT ?) AS old)",
                    params![until.micros(), limit],
                )
                .await
            })
        })
        .await
    }
}

async fn insert(tx: &mut Tx<'_>, new: &NewModerationEvent) -> Result<(), StoreError> {
    let now = new.now.micros();
    if let Some((key, ..)) = &new.idempotency {
        tx.execute(
            "UPDATE moderation_events SET idempotency_key = NULL WHERE account_id = ? AND idempotency_key = ? AND key_expires_at <= ?",
            params![new.account_id.get(), key.as_str(), now],
        )
        .await?;
    }
    let (key, fingerprint, expires_at) = match &new.idempotency {
        Some((key, fingerprint, at)) => (Some(key.as_str()), Some(fingerprint), Some(at.micros())),
        None => (None, None, None),
    };
    tx.insert(
        "INSERT INTO moderation_events (account_id, conversation_id, message_id, subject, content, source, category, idempotency_key, \
         fingerprint, key_expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            new.account_id.get(),
            new.conversation_id.map(ConversationId::get),
            new.message_id.map(MessageId::get),
            new.subject.as_str(),
            &new.content,
            new.source,
            &new.category,
            key,
            fingerprint,
            expires_at,
            now
        ],
    )
    .await?;
    Ok(())
}

fn event(row: &Row<'_>) -> Result<ModerationEvent, StoreError> {
    Ok(ModerationEvent {
        id: row.get(0)?,
        account_id: row.get(1)?,
        subject: row.decode(2, "what was blocked", |word: String| ModerationSubject::from_word(&word))?,
        conversation_id: row.get(3)?,
        message_id: row.get(4)?,
        content: row.get(5)?,
        source: row.get(6)?,
        category: row.get(7)?,
        state: row.decode(8, "a state of review", |word: String| ModerationState::from_word(&word))?,
        created_at: Timestamp::from_micros(row.get(9)?),
        reviewed_by: row.get(10)?,
        reviewed_at: row.get::<Option<i64>>(11)?.map(Timestamp::from_micros),
    })
}
