//! Conversations. Every query on a person's data carries its owner.

use super::outbox::Happened;
use super::search::conversations_with;
use super::{
    Db, Row, StoreError, Tx,
    messages::{MessageRow, messages_of_conversation},
    tx::params,
};
use crate::domain::{AccountId, Conversation, ConversationId, GuestRealm, MessageId, Search, Timestamp, Title};

/// Which of an owner's conversations a list shows: pinned ones first, then by their newest message.
#[derive(Debug, Clone)]
pub struct ConversationFilter {
    /// Those in the archive, or those that are not.
    pub archived: bool,
    /// Those whose title, or one of whose messages, has every word of it; `None`: all. Of messages that the index has not reached yet, the newest
    /// 2,000 of the owner's are looked through, or those within 4 MiB.
    pub search: Option<Search>,
    /// Only what comes after this place.
    pub after: Option<ConversationPlace>,
    /// At most so many.
    pub limit: i64,
}

/// A conversation's place in its owner's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConversationPlace {
    /// Whether it is pinned.
    pub is_pinned: bool,
    /// When its newest message came, in microseconds.
    pub updated_at: i64,
    /// Its id.
    pub id: i64,
}

impl ConversationPlace {
    /// Before the first conversation there can be.
    pub(super) const BEFORE_ALL: Self = Self { is_pinned: true, updated_at: i64::MAX, id: i64::MAX };
}

/// What of a conversation its owner changes; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default)]
pub struct ConversationChange {
    /// Another title.
    pub title: Option<Title>,
    /// Pinned or not.
    pub is_pinned: Option<bool>,
    /// In the archive or not.
    pub is_archived: Option<bool>,
}

/// What [`read_conversation`] reads.
macro_rules! select_conversation {
    ($($rest:expr),+) => {
        concat!(
            "SELECT id, account_id, title, last_message, message_count, created_at, updated_at, is_pinned, is_archived, head_message_id \
             FROM conversations WHERE ",
            $($rest),+
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
        is_pinned: row.get::<i64>(7)? != 0,
        is_archived: row.get::<i64>(8)? != 0,
        head: row.get::<Option<i64>>(9)?.and_then(|id| MessageId::new(id).ok()),
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

    /// The owner's conversations that `filter` lets through, pinned ones first, then the newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversations_of_owner_by(
        &self,
        owner: AccountId,
        filter: ConversationFilter,
    ) -> Result<Vec<Conversation>, StoreError> {
        self.read(move |tx| Box::pin(async move { conversations_of_owner_by(tx, owner, &filter).await })).await
    }

    /// Changes a conversation of that owner's, and gives it as it is then. Its place among the unpinned stays, since nothing was said.
    ///
    /// # Errors
    /// What the database says.
    pub async fn change_conversation_of_owner(
        &self,
        id: ConversationId,
        owner: AccountId,
        change: ConversationChange,
    ) -> Result<Option<Conversation>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let title = change.title.as_ref().map(Title::as_str);
                tx.execute(
                    "UPDATE conversations SET title = COALESCE(?, title), title_source = COALESCE(?, title_source), \
                     is_pinned = COALESCE(?, is_pinned), is_archived = COALESCE(?, is_archived) WHERE id = ? AND account_id = ?",
                    params![
                        title,
                        title.map(|_| "owner"),
                        change.is_pinned.map(i64::from),
                        change.is_archived.map(i64::from),
                        id.get(),
                        owner.get()
                    ],
                )
                .await?;
                conversation_of_owner(tx, id, owner).await
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
    pub async fn delete_conversation_of_owner(
        &self,
        id: ConversationId,
        owner: AccountId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let outbox = self.outbox();
        self.write(move |tx| {
            Box::pin(async move {
                let gone = tx
                    .execute(
                        "DELETE FROM conversations WHERE id = ? AND account_id = ?",
                        params![id.get(), owner.get()],
                    )
                    .await?;
                if gone > 0 {
                    let happened = Happened::ConversationDeleted { account_id: owner.get(), conversation_id: id.get() };
                    outbox.tell(tx, &happened, now).await?;
                }
                Ok(gone > 0)
            })
        })
        .await
    }
}

async fn conversations_of_owner_by(
    tx: &mut Tx<'_>,
    owner: AccountId,
    filter: &ConversationFilter,
) -> Result<Vec<Conversation>, StoreError> {
    if let Some(search) = &filter.search {
        return conversations_with(tx, owner, filter, search).await;
    }
    let after = filter.after.unwrap_or(ConversationPlace::BEFORE_ALL);
    let (archived, pinned) = (i64::from(filter.archived), i64::from(after.is_pinned));
    tx.fetch(
        select_conversation!(
            "account_id = ? AND is_archived = ? AND (is_pinned, updated_at, id) < (?, ?, ?) \
             ORDER BY is_pinned DESC, updated_at DESC, id DESC LIMIT ?"
        ),
        params![owner.get(), archived, pinned, after.updated_at, after.id, filter.limit],
        read_conversation,
    )
    .await
}

/// Those of the ids that are the owner's, in no order.
pub(super) async fn conversations_by_ids(
    tx: &mut Tx<'_>,
    owner: AccountId,
    ids: &[i64],
) -> Result<Vec<Conversation>, StoreError> {
    let mut conversations = Vec::with_capacity(ids.len());
    // A statement has a fixed number of parameters; no conversation has the id 0.
    for ids in ids.chunks(10) {
        let mut ten = [0; 10];
        ten[..ids.len()].copy_from_slice(ids);
        let [a, b, c, d, e, f, g, h, i, j] = ten;
        let sql = select_conversation!("account_id = ? AND id IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        let params = params![owner.get(), a, b, c, d, e, f, g, h, i, j];
        conversations.extend(tx.fetch(sql, params, read_conversation).await?);
    }
    Ok(conversations)
}

/// The owner's conversations by their ids: `limit` of those after `after`.
pub(super) async fn conversations_of_owner_after(
    tx: &mut Tx<'_>,
    owner: AccountId,
    after: Option<ConversationId>,
    limit: i64,
) -> Result<Vec<Conversation>, StoreError> {
    let after = after.map_or(0, ConversationId::get);
    let sql = select_conversation!("account_id = ? AND id > ? ORDER BY id LIMIT ?");
    tx.fetch(sql, params![owner.get(), after, limit], read_conversation).await
}

pub(super) async fn conversation_of_owner(
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
