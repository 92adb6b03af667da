//! Conversations. Every query on a person's data carries its owner.

use super::{
    Db, Row, StoreError, Tx,
    messages::{MessageRow, messages_of_conversation},
    tx::params,
};
use crate::domain::{AccountId, Conversation, ConversationId, GuestRealm, Timestamp};

/// What [`read_conversation`] reads.
macro_rules! select_conversation {
    ($rest:literal) => {
        concat!(
            "SELECT id, account_id, title, last_message, message_count, created_at, updated_at FROM conversations WHERE ",
            $rest
        )
    };
}

fn read_conversation(row: &Row<'_>) -> Result<Conversation, StoreError> {
    Ok(Conversation {
        id: row.decode(0, "an id", |id: i64| ConversationId::new(id).ok())?,
        account_id: row.decode(1, "an id", |id: i64| AccountId::new(id).ok())?,
        title: row.get(2)?,
        last_message: row.get(3)?,
        message_count: row.get(4)?,
        created_at: Timestamp::from_micros(row.get(5)?),
        updated_at: Timestamp::from_micros(row.get(6)?),
    })
}

impl Db {
    /// Stores an empty conversation.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the id is taken: draw another.
    pub async fn insert_conversation(
        &self,
        id: ConversationId,
        owner: AccountId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute(
                    "INSERT INTO conversations (id, account_id, created_at, updated_at) VALUES (?, ?, ?, ?)",
                    params![id.get(), owner.get(), now.micros(), now.micros()],
                )
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// One conversation of that owner's.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversation_of_owner(
        &self,
        id: ConversationId,
        owner: AccountId,
    ) -> Result<Option<Conversation>, StoreError> {
        self.read(move |tx| Box::pin(async move { conversation_of_owner(tx, id, owner).await })).await
    }

    /// One conversation of that owner's with its newest messages, `limit` of them at most.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversation_and_messages_of_owner(
        &self,
        id: ConversationId,
        owner: AccountId,
        limit: i64,
    ) -> Result<Option<(Conversation, Vec<MessageRow>)>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let Some(conversation) = conversation_of_owner(tx, id, owner).await? else { return Ok(None) };
                Ok(Some((conversation, messages_of_conversation(tx, id, limit).await?)))
            })
        })
        .await
    }

    /// The owner's conversations, newest first: `limit` of them after the first `offset`, and how many there are in all.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversations_of_owner(
        &self,
        owner: AccountId,
        limit: i64,
        offset: i64,
    ) -> Result<(Vec<Conversation>, i64), StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let page = tx
                    .fetch(
                        select_conversation!("account_id = ? ORDER BY updated_at DESC, id DESC LIMIT ? OFFSET ?"),
                        params![owner.get(), limit, offset],
                        read_conversation,
                    )
                    .await?;
                let total = tx
                    .fetch_optional(
                        "SELECT COUNT(*) FROM conversations WHERE account_id = ?",
                        params![owner.get()],
                        |row| row.get(0),
                    )
                    .await?;
                Ok((page, total.unwrap_or(0)))
            })
        })
        .await
    }

    /// The guest of that surface whose conversation this is.
    ///
    /// # Errors
    /// What the database says.
    pub async fn guest_of_conversation(
        &self,
        id: ConversationId,
        realm: GuestRealm,
    ) -> Result<Option<AccountId>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                tx.fetch_optional(
                    "SELECT a.id FROM conversations c JOIN accounts a ON a.id = c.account_id WHERE c.id = ? AND a.guest_realm = ?",
                    params![id.get(), realm.as_str()],
                    |row| row.decode(0, "an id", |id: i64| AccountId::new(id).ok()),
                )
                .await
            })
        })
        .await
    }

    /// Deletes a conversation of that owner's with everything in it; false when there is none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_conversation_of_owner(&self, id: ConversationId, owner: AccountId) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let gone = tx
                    .execute(
                        "DELETE FROM conversations WHERE id = ? AND account_id = ?",
                        params![id.get(), owner.get()],
                    )
                    .await?;
                Ok(gone > 0)
            })
        })
        .await
    }
}

async fn conversation_of_owner(
    tx: &mut Tx<'_>,
    id: ConversationId,
    owner: AccountId,
) -> Result<Option<Conversation>, StoreError> {
    tx.fetch_optional(
        select_conversation!("id = ? AND account_id = ?"),
        params![id.get(), owner.get()],
        read_conversation,
    )
    .await
}
