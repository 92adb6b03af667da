//! Links under which a conversation can be read by whoever has them. A link shows the thread that ended in one message when it was made;
//! stored messages do not change, so that nothing is copied, and what is deleted is gone from its links too.

use super::conversations::conversation_of_owner;
use super::threads::{ThreadMessage, parent_in, thread};
use super::{Db, Row, StoreError, Tx, tx::params};
use crate::domain::{AccountId, ConversationId, MessageId, ShareId, Timestamp, TurnState};

/// Links that one conversation can have at once.
pub const SHARES_MAX: i64 = 50;

/// A link, without its token, which is stored as a hash alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Its id.
    pub id: ShareId,
    /// The conversation's title when it was made.
    pub title: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops showing anything.
    pub expires_at: Option<Timestamp>,
}

/// What became of a new link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewShare {
    /// It was made.
    Made(Share),
    /// The owner has no such conversation.
    NoConversation,
    /// There is nothing in it to show.
    Empty,
    /// It has [`SHARES_MAX`] already.
    TooMany,
}

impl Db {
    /// Makes a link to the active branch of a conversation of that owner's as it is now, without an answer that is still being written.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_share_of_owner(
        &self,
        id: ConversationId,
        owner: AccountId,
        token_hash: String,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<NewShare, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(conversation) = conversation_of_owner(tx, id, owner).await? else {
                    return Ok(NewShare::NoConversation);
                };
                let Some(last) = last_settled(tx, id, conversation.head).await? else { return Ok(NewShare::Empty) };
                tx.execute(
                    "DELETE FROM shares WHERE conversation_id = ? AND expires_at <= ?",
                    params![id.get(), now.micros()],
                )
                .await?;
                let count = tx
                    .fetch_optional(
                        "SELECT COUNT(*) FROM shares WHERE conversation_id = ?",
                        params![id.get()],
                        |row| row.get::<i64>(0),
                    )
                    .await?;
                if count.unwrap_or(0) >= SHARES_MAX {
                    return Ok(NewShare::TooMany);
                }
                let share = tx
                    .insert(
                        "INSERT INTO shares (conversation_id, token_hash, title, last_message_id, created_at, expires_at) \
                         VALUES (?, ?, ?, ?, ?, ?)",
                        params![
                            id.get(),
                            &token_hash,
                            conversation.title.as_ref(),
                            last,
                            now.micros(),
                            expires_at.map(Timestamp::micros)
                        ],
                    )
                    .await?;
                let share = ShareId::new(share).map_err(|_| StoreError::Corrupt { column: 0, expected: "an id" })?;
                Ok(NewShare::Made(Share { id: share, title: conversation.title, created_at: now, expires_at }))
            })
        })
        .await
    }

    /// The links of a conversation of that owner's that still show something, newest first; `None` without such a conversation.
    ///
    /// # Errors
    /// What the database says.
    pub async fn shares_of_owner(
        &self,
        id: ConversationId,
        owner: AccountId,
        now: Timestamp,
    ) -> Result<Option<Vec<Share>>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                if conversation_of_owner(tx, id, owner).await?.is_none() {
                    return Ok(None);
                }
                let shares = tx
                    .fetch(
                        "SELECT id, title, created_at, expires_at FROM shares WHERE conversation_id = ? \
                         AND (expires_at IS NULL OR expires_at > ?) ORDER BY id DESC LIMIT ?",
                        params![id.get(), now.micros(), SHARES_MAX],
                        read_share,
                    )
                    .await?;
                Ok(Some(shares))
            })
        })
        .await
    }

    /// Ends a link to a conversation of that owner's; false when there is none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_share_of_owner(
        &self,
        id: ConversationId,
        share: ShareId,
        owner: AccountId,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if conversation_of_owner(tx, id, owner).await?.is_none() {
                    return Ok(false);
                }
                let gone = tx
                    .execute("DELETE FROM shares WHERE id = ? AND conversation_id = ?", params![share.get(), id.get()])
                    .await?;
                Ok(gone > 0)
            })
        })
        .await
    }

    /// What the link with that token shows: itself and its newest `limit` messages, newest first. `None` for a token that leads nowhere, or
    /// to somebody who may no longer call.
    ///
    /// # Errors
    /// What the database says.
    pub async fn shared_thread(
        &self,
        token_hash: String,
        now: Timestamp,
        limit: i64,
    ) -> Result<Option<(Share, Vec<ThreadMessage>)>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let found = tx
                    .fetch_optional(
                        "SELECT s.id, s.title, s.created_at, s.expires_at, s.conversation_id, s.last_message_id FROM shares s \
                         JOIN conversations c ON c.id = s.conversation_id JOIN accounts a ON a.id = c.account_id \
                         WHERE s.token_hash = ? AND (s.expires_at IS NULL OR s.expires_at > ?) AND a.is_active = 1",
                        params![&token_hash, now.micros()],
                        |row| {
                            let conversation = row.decode(4, "an id", |id: i64| ConversationId::new(id).ok())?;
                            Ok((read_share(row)?, conversation, row.get::<i64>(5)?))
                        },
                    )
                    .await?;
                let Some((share, conversation, last)) = found else { return Ok(None) };
                Ok(Some((share, thread(tx, conversation, last, limit).await?)))
            })
        })
        .await
    }
}

/// The last message of the branch that will not change any more.
async fn last_settled(tx: &mut Tx<'_>, id: ConversationId, head: Option<MessageId>) -> Result<Option<i64>, StoreError> {
    let Some(head) = head else { return Ok(None) };
    let state = tx
        .fetch_optional("SELECT state FROM turns WHERE answer_message_id = ?", params![head.get()], |row| {
            row.decode(0, "a turn's state", |word: String| TurnState::from_word(&word))
        })
        .await?;
    if state.is_none_or(TurnState::is_final) {
        return Ok(Some(head.get()));
    }
    Ok(parent_in(tx, id, head).await?.flatten())
}

fn read_share(row: &Row<'_>) -> Result<Share, StoreError> {
    Ok(Share {
        id: row.decode(0, "an id", |id: i64| ShareId::new(id).ok())?,
        title: row.get(1)?,
        created_at: Timestamp::from_micros(row.get(2)?),
        expires_at: row.get::<Option<i64>>(3)?.map(Timestamp::from_micros),
    })
}
